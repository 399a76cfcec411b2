// Messages for people, as text or as JSON lines, through a sink that the program's entry provides.
//
// A Log is passed by reference to whoever has something to say; there is no global one. Nothing is ever
// logged per packet: what happens often is counted, and `Once` says a thing a single time.
#pragma once

#include <fmt/core.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace sf::base {

enum class LogLevel { error, warning, info, debug };

[[nodiscard]] std::optional<LogLevel> parse_log_level(std::string_view text);
[[nodiscard]] std::string_view to_string(LogLevel level);

class Log {
 public:
  using Sink = std::function<void(LogLevel, std::string_view message)>;

  Log(LogLevel level, Sink sink) : level_(level), sink_(std::move(sink)) {}

  [[nodiscard]] LogLevel level() const { return level_; }
  [[nodiscard]] bool enabled(LogLevel level) const { return level <= level_; }
  void write(LogLevel level, std::string_view message) const {
    if (enabled(level)) sink_(level, message);
  }

  template <typename... Args>
  void error(fmt::format_string<Args...> format, Args&&... args) const {
    print(LogLevel::error, format, std::forward<Args>(args)...);
  }
  template <typename... Args>
  void warning(fmt::format_string<Args...> format, Args&&... args) const {
    print(LogLevel::warning, format, std::forward<Args>(args)...);
  }
  template <typename... Args>
  void info(fmt::format_string<Args...> format, Args&&... args) const {
    print(LogLevel::info, format, std::forward<Args>(args)...);
  }
  template <typename... Args>
  void debug(fmt::format_string<Args...> format, Args&&... args) const {
    print(LogLevel::debug, format, std::forward<Args>(args)...);
  }

 private:
  template <typename... Args>
  void print(LogLevel level, fmt::format_string<Args...> format, Args&&... args) const {
    if (enabled(level)) sink_(level, fmt::format(format, std::forward<Args>(args)...));
  }

  LogLevel level_;
  Sink sink_;
};

// `to`'s lines, each but once whichever thread says it: for several that do the same, and each of which may find the same
// out. They say little, so all of it is remembered. `to` outlives it.
[[nodiscard]] Log without_repetitions(const Log& to);

// True the first time only.
class Once {
 public:
  [[nodiscard]] bool first() { return !std::exchange(done_, true); }

 private:
  bool done_ = false;
};

// The message as one JSON object on a line: {"level":"error","message":"…"}.
[[nodiscard]] std::string json_line(LogLevel level, std::string_view message, std::string_view time);

}  // namespace sf::base

namespace sf {
using namespace base;
}
