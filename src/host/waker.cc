#include "host/waker.hh"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace sf::host {

Result<Waker> Waker::create() {
  UniqueFd fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!fd)
    return fail("cannot create an event descriptor: {}; raise the limit of open files (ulimit -n)",
                std::strerror(errno));
  return Waker(std::move(fd));
}

void Waker::wake() const {
  // Full, it is readable already.
  const std::uint64_t one = 1;
  static_cast<void>(::write(fd_.get(), &one, sizeof(one)) < 0);
}

void Waker::reset() const {
  std::uint64_t count = 0;
  static_cast<void>(::read(fd_.get(), &count, sizeof(count)) < 0);
}

}  // namespace sf::host
