#include "setup/posix.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sf::setup {

std::string reason(int error) {
  const char* text = ::strerrordesc_np(error);
  const char* name = ::strerrorname_np(error);
  if (text == nullptr || name == nullptr) return fmt::format("error {}", error);
  return fmt::format("{} ({})", text, name);
}

UniqueFd open_fd(const std::string& path, int flags) {
  return UniqueFd(::open(path.c_str(), flags | O_CLOEXEC));
}

bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}

void fill_missing_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // open(2) takes the lowest number that is free.
    if (!is_open(fd)) static_cast<void>(::open("/dev/null", O_RDONLY));
  }
}

std::optional<std::string> read_text(const std::string& path) {
  const UniqueFd fd = open_fd(path, O_RDONLY);
  if (!fd) return std::nullopt;
  std::string text;
  char piece[4096];
  for (;;) {
    const ssize_t got = ::read(fd.get(), piece, sizeof(piece));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::nullopt;
    if (got == 0) return text;
    text.append(piece, static_cast<std::size_t>(got));
  }
}

int write_text(const std::string& path, const std::string& text) {
  const UniqueFd fd = open_fd(path, O_WRONLY);
  if (!fd) return errno;
  const ssize_t put = ::write(fd.get(), text.data(), text.size());
  if (put < 0) return errno;
  return static_cast<std::size_t>(put) == text.size() ? 0 : EIO;
}

int write_all(int fd, const std::string& text) {
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t put = ::write(fd, text.data() + done, text.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return errno;
    done += static_cast<std::size_t>(put);
  }
  return 0;
}

}  // namespace sf::setup
