#include "base/log.hh"

#include <fmt/format.h>

#include <memory>
#include <mutex>
#include <set>

namespace sf::base {

std::optional<LogLevel> parse_log_level(std::string_view text) {
  if (text == "error") return LogLevel::error;
  if (text == "warning") return LogLevel::warning;
  if (text == "info") return LogLevel::info;
  if (text == "debug") return LogLevel::debug;
  return std::nullopt;
}

std::string_view to_string(LogLevel level) {
  switch (level) {
    case LogLevel::error:
      return "error";
    case LogLevel::warning:
      return "warning";
    case LogLevel::info:
      return "info";
    case LogLevel::debug:
      return "debug";
  }
  return "unknown";
}

Log without_repetitions(const Log& to) {
  struct Said {
    std::mutex mutex;
    std::set<std::string, std::less<>> lines;
  };
  return {to.level(), [&to, said = std::make_shared<Said>()](LogLevel level, std::string_view message) {
            const std::scoped_lock lock(said->mutex);
            if (said->lines.emplace(message).second) to.write(level, message);
          }};
}

std::string json_line(LogLevel level, std::string_view message, std::string_view time) {
  std::string escaped;
  escaped.reserve(message.size());
  for (const char c : message) {
    switch (c) {
      case '"':
        escaped += "\\\"";
        break;
      case '\\':
        escaped += "\\\\";
        break;
      case '\n':
        escaped += "\\n";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          escaped += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
          escaped += c;
        }
    }
  }
  return fmt::format(R"({{"time":"{}","level":"{}","message":"{}"}})", time, to_string(level), escaped);
}

}  // namespace sf::base
