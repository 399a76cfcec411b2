#include "setup/stderr_log.hh"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
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

}  // namespace

Log::Sink stderr_sink(MessageForm form) {
  return [form = std::move(form)](LogLevel level, std::string_view message) {
    std::string line = form.json ? json_line(level, message, time_stamp()) : text_line(form, level, message);
    if (line.back() != '\n') line += '\n';
    static_cast<void>(write_all(STDERR_FILENO, line));
  };
}

}  // namespace sf::setup
