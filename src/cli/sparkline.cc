#include "cli/sparkline.hh"

#include <algorithm>
#include <array>
#include <string_view>

namespace sf::cli {

std::string sparkline(const std::deque<std::uint64_t>& values, std::size_t width, std::uint64_t most,
                      bool utf8) {
  constexpr std::array<std::string_view, 9> kBars{" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  constexpr std::array<std::string_view, 9> kAscii{" ", ".", ".", ":", "-", "=", "+", "*", "#"};
  const auto& bars = utf8 ? kBars : kAscii;
  const std::size_t count = std::min(width, values.size());
  std::string out(width - count, ' ');
  for (std::size_t i = values.size() - count; i < values.size(); ++i) {
    const std::uint64_t value = std::min(values[i], most);
    const auto height =
        value == 0
            ? std::size_t{0}
            : static_cast<std::size_t>(1 + static_cast<double>(value) * 7.0 / static_cast<double>(most));
    out += bars[std::min<std::size_t>(height, 8)];
  }
  return out;
}

}  // namespace sf::cli
