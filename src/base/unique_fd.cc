#include "base/unique_fd.hh"

#include <unistd.h>

namespace sf::base {

void UniqueFd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

}  // namespace sf::base
