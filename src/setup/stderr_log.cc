#include "setup/stderr_log.hh"

#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdint>
#include <ctime>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "setup/posix.hh"

namespace sf::setup {
namespace {

// UTC. Not by gmtime_r(3), which opens /etc/localtime: confined, that is the end of the process.
std::string time_stamp() {
  const std::chrono::sys_seconds now{std::chrono::seconds(std::time(nullptr))};
  const auto midnight = std::chrono::floor<std::chrono::days>(now);
  const std::chrono::year_month_day day(midnight);
  const std::chrono::hh_mm_ss time(now - midnight);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(day.year()),
                     static_cast<unsigned>(day.month()), static_cast<unsigned>(day.day()),
                     time.hours().count(), time.minutes().count(), time.seconds().count());
}

std::string text_line(const MessageForm& form, LogLevel level, std::string_view message) {
  if (level == LogLevel::error || level == LogLevel::info)
    return fmt::format("{}: {}\n", form.program, message);
  const std::string_view mark = level == LogLevel::warning ? form.warning : to_string(level);
  return fmt::format("{}: {}: {}\n", form.program, mark, message);
}

bool is_pipe(int fd) {
  struct stat about {};
  return ::fstat(fd, &about) == 0 && S_ISFIFO(about.st_mode);
}

// What all threads write through.
class Lines {
 public:
  Lines(int fd, MessageForm form) : fd_(fd), form_(std::move(form)), tries_at_once_(is_pipe(fd)) {}

  void write(LogLevel level, std::string_view message) {
    const std::scoped_lock lock(mutex_);
    // Who has not read within the patience is not waited for again before he has.
    const auto patience = missing_ == 0 ? kPatience : kNone;
    if (missing_ > 0 && put(line_of(LogLevel::warning, missing_line()), patience)) missing_ = 0;
    if (missing_ > 0 || !put(line_of(level, message), patience)) ++missing_;
  }

 private:
  [[nodiscard]] std::string missing_line() const {
    return fmt::format("{} messages are missing here: standard error had no room for them", missing_);
  }
  [[nodiscard]] std::string line_of(LogLevel level, std::string_view message) const {
    message = message.substr(0, kMostBytes);
    std::string line =
        form_.json ? json_line(level, message, time_stamp()) : text_line(form_, level, message);
    if (line.back() != '\n') line += '\n';
    return line;
  }
  // False: there is no room for the line within that time.
  [[nodiscard]] bool put(const std::string& line, std::chrono::milliseconds patience) {
    using Clock = std::chrono::steady_clock;
    const auto end = Clock::now() + patience;
    while (!put_at_once(line)) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
      if (!has_room(std::max(0, static_cast<int>(left.count())))) return false;
      if (!may_go_at_once(line)) {
        static_cast<void>(write_all(fd_, line));
        return true;
      }
      // Somebody else was quicker, perhaps.
      if (Clock::now() >= end) return put_at_once(line);
    }
    return true;
  }
  // The command may fill the pipe that it shares with us between a look and a write. A pipe without a name
  // can be written without waiting since Linux 6.4, and takes a line of up to PIPE_BUF bytes as a whole.
  [[nodiscard]] bool may_go_at_once(const std::string& line) const {
    return tries_at_once_ && line.size() <= PIPE_BUF;
  }
  [[nodiscard]] bool put_at_once(const std::string& line) {
    if (!may_go_at_once(line)) return false;
    const iovec part{const_cast<char*>(line.data()), line.size()};  // is read alone
    constexpr off_t kAtItsEnd = -1;
    if (::pwritev2(fd_, &part, 1, kAtItsEnd, RWF_NOWAIT) >= 0) return true;
    if (errno != EAGAIN && errno != EINTR) tries_at_once_ = false;
    return false;
  }
  // A pipe that says so takes a page.
  [[nodiscard]] bool has_room(int wait_ms) const {
    pollfd reader{fd_, POLLOUT, 0};
    int ready = 0;
    do {
      ready = ::poll(&reader, 1, wait_ms);
    } while (ready < 0 && errno == EINTR);
    return ready != 0;
  }

  static constexpr std::chrono::milliseconds kPatience{250};
  static constexpr std::chrono::milliseconds kNone{0};
  static constexpr std::size_t kMostBytes = 3500;  // of a message, so that a line is less than a page

  const int fd_;
  const MessageForm form_;
  std::mutex mutex_;
  std::uint64_t missing_ = 0;
  bool tries_at_once_;
};

}  // namespace

Log::Sink message_sink(int fd, MessageForm form) {
  return [lines = std::make_shared<Lines>(fd, std::move(form))](LogLevel level, std::string_view message) {
    lines->write(level, message);
  };
}

}  // namespace sf::setup
