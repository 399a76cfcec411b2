#include "setup/stderr_log.hh"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <ctime>
#include <string>
#include <utility>

#include "setup/posix.hh"

namespace sf::setup {
namespace {

std::string time_stamp() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  std::array<char, 32> text{};
  if (::gmtime_r(&now, &parts) == nullptr) return {};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts)};
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
