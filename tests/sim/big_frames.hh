// Super-frames above 64 KiB (BIG TCP), taken apart into ones below it.
#pragma once

#include <variant>
#include <vector>

#include "sim/frames.hh"

namespace sf::sim {

// Longer than any length field of IP can say, Ethernet header included.
[[nodiscard]] bool is_big(Bytes frame);
// The super-frames that say the same; or why no kernel would take `frame` for one.
[[nodiscard]] std::variant<std::vector<Frame>, const char*> split_big(const Frame& frame);

}  // namespace sf::sim
