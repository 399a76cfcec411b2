#include "setup/reread_file.hh"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sf::setup {

Result<RereadFile> RereadFile::open(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  UniqueFd directory(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) {
    return fail("opening {} failed: {}; name a file whose directory can be read", path, std::strerror(errno));
  }
  return RereadFile(path, std::move(directory), name);
}

Result<UniqueFd> RereadFile::open_now() const {
  // Not a FIFO, which would have packets wait.
  UniqueFd file(::openat(directory_.get(), name_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return fail("opening {} failed: {}; make it readable", path_, std::strerror(errno));
  struct stat about {};
  if (::fstat(file.get(), &about) != 0 || !S_ISREG(about.st_mode)) {
    return fail("reading {} failed: it is no regular file; name one", path_);
  }
  return file;
}

Result<void> RereadFile::hold() {
  auto file = open_now();
  if (!file) return tl::unexpected(file.error());
  held_ = *std::move(file);
  directory_.reset();
  return {};
}

Result<std::string> RereadFile::read(std::size_t most) const {
  UniqueFd opened;
  if (!held_) {
    auto file = open_now();
    if (!file) return tl::unexpected(file.error());
    opened = *std::move(file);
  }
  const int fd = held_ ? held_.get() : opened.get();
  if (struct stat about{}; held_ && ::fstat(fd, &about) == 0 && about.st_nlink == 0) {
    return fail(
        "reading {} again failed: another file is in its place, which a confined process cannot open; change "
        "the file itself, or use `slirp-forwarder policy INSTANCE set FILE`",
        path_);
  }
  if (::lseek(fd, 0, SEEK_SET) != 0) return fail("reading {} failed: {}", path_, std::strerror(errno));
  std::string text;
  for (;;) {
    const std::size_t at = text.size();
    text.resize(at + 65536);
    const ssize_t got = ::read(fd, text.data() + at, 65536);
    if (got < 0) return fail("reading {} failed: {}", path_, std::strerror(errno));
    text.resize(at + static_cast<std::size_t>(got));
    if (got == 0) return text;
    if (text.size() > most)
      return fail("reading {} failed: it has more than {} bytes; shorten it", path_, most);
  }
}

}  // namespace sf::setup
