#include "cli/screen.hh"

#include <fmt/format.h>

#include <utility>

namespace sf::cli {

const char* Screen::look(Look look) const {
  switch (look) {
    case Look::plain:
      break;
    case Look::title:
      return "\x1b[1m";
    case Look::header:
    case Look::chosen:
      return "\x1b[7m";
    case Look::from_guest:
      return colour_ ? "\x1b[36m" : "";
    case Look::to_guest:
      return colour_ ? "\x1b[32m" : "";
    case Look::warning:
      return colour_ ? "\x1b[1;33m" : "\x1b[1m";
  }
  return "";
}

std::string Screen::draw(std::vector<ScreenLine> lines) {
  const bool all = !std::exchange(known_, true) || lines.size() != shown_.size();
  std::string out = all ? "\x1b[0m\x1b[2J" : "";
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const ScreenLine& line = lines[i];
    if (all ? line.text.empty() : line == shown_[i]) continue;
    out += fmt::format("\x1b[{};1H{}{}\x1b[0m\x1b[K", i + 1, look(line.look), line.text);
  }
  shown_ = std::move(lines);
  return out;
}

}  // namespace sf::cli
