#include "flowlog/output.hh"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <string_view>

namespace sf::flowlog {
namespace {

// Of a pipe that is said to have room this much is taken without waiting (pipe(7)), and in one piece.
constexpr std::size_t kAtOnce = PIPE_BUF;

bool is_regular(int fd) {
  struct stat about {};
  return ::fstat(fd, &about) == 0 && S_ISREG(about.st_mode);
}

// Where that cannot be read, yes: an empty line does no harm.
bool ends_within_line(int fd) {
  struct stat about {};
  if (::fstat(fd, &about) != 0 || about.st_size == 0) return false;
  // The descriptor itself may be for writing alone.
  const UniqueFd reading(::open(fmt::format("/proc/self/fd/{}", fd).c_str(), O_RDONLY | O_CLOEXEC));
  char last = 0;
  return !reading || ::pread(reading.get(), &last, 1, about.st_size - 1) != 1 || last != '\n';
}

// As many whole lines as fit, or the rest of one.
Bytes whole_lines(Bytes text, std::size_t most) {
  if (text.size() <= most) return text;
  const std::string_view part(reinterpret_cast<const char*>(text.data()), most);
  const std::size_t end = part.rfind('\n');
  return text.first(end == std::string_view::npos ? most : end + 1);
}

}  // namespace

Output::Output(UniqueFd fd, std::string name, bool is_file)
    : fd_(std::move(fd)), name_(std::move(name)), is_file_(is_file) {
  within_line_ = is_file_ && ends_within_line(fd_.get());
}

Result<Output> Output::open(const std::string& path) {
  // A FIFO without a reader fails at once, instead of having the program wait for one. Nobody else may read
  // who talks with whom.
  constexpr int kFlags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
  UniqueFd fd(::open(path.c_str(), kFlags, 0600));
  if (!fd) {
    const int error = errno;
    const char* remedy = error == ELOOP
                             ? "it is a symbolic link: name what it leads to, or a descriptor as fd:1"
                         : error == ENXIO ? "nobody reads the FIFO: start its reader first"
                                          : "name a file that can be written";
    return fail("opening the flow log {} failed: {}; {}", path, std::strerror(error), remedy);
  }
  const bool file = is_regular(fd.get());
  return Output(std::move(fd), path, file);
}

Result<Output> Output::adopt(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  const int mode = flags & O_ACCMODE;
  if (flags < 0 || (mode != O_WRONLY && mode != O_RDWR)) {
    return fail(
        "--flow-log {}: is not open for writing; have the caller open it, as with {}>FILE in a shell, or "
        "write "
        "./{} for a file of that name",
        fd, fd, fd);
  }
  UniqueFd own(::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (!own) {
    return fail(
        "duplicating descriptor {} for the flow log failed: {}; raise the limit of open files (ulimit -n)",
        fd, std::strerror(errno));
  }
  if (fd > STDERR_FILENO) ::close(fd);
  const bool file = is_regular(own.get());
  return Output(std::move(own), fmt::format("fd:{}", fd), file);
}

void Output::leave_other_descriptors() const {
  const auto fd = static_cast<unsigned>(fd_.get());
  constexpr unsigned kFirst = STDERR_FILENO + 1;
  if (::close_range(fd + 1, ~0U, CLOSE_RANGE_UNSHARE) != 0) return;
  ::close_range(STDIN_FILENO, STDOUT_FILENO, 0);
  if (fd > kFirst) ::close_range(kFirst, fd - 1, 0);
}

Output::Written Output::write(Bytes lines, int patience_ms) const {
  Bytes part = lines;
  if (!is_file_) {
    // Descriptors that others have as well must not be made non-blocking.
    pollfd poll{.fd = fd_.get(), .events = POLLOUT, .revents = 0};
    const int ready = ::poll(&poll, 1, patience_ms);
    if (ready == 0 || (ready < 0 && errno == EINTR)) return {Outcome::waits};
    part = whole_lines(lines, kAtOnce);
  }
  const ssize_t count = ::write(fd_.get(), part.data(), part.size());
  if (count > 0) return {Outcome::wrote, static_cast<std::size_t>(count)};
  const int error = count == 0 ? EIO : errno;
  switch (error) {
    case EINTR:
    case EAGAIN:
      return {Outcome::waits};
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return {Outcome::no_room, 0, error};
    default:
      return {Outcome::gone, 0, error};
  }
}

}  // namespace sf::flowlog
