// A row of numbers as a row of bars.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

namespace sf::cli {

// The last `width` of `values`, each a character whose height says how large it is beside `most`; what is not
// 0 is seen. Shorter rows stand at the right.
[[nodiscard]] std::string sparkline(const std::deque<std::uint64_t>& values, std::size_t width,
                                    std::uint64_t most, bool utf8);

}  // namespace sf::cli
