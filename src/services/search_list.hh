// The host's DNS search list, as far as it can be handed on: resolv.conf holds any text, a packet has a size.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace sf::services {

// The names, in order, that are names on the wire and take no more than `budget` bytes there together. The
// first one that does not fit ends the list: later ones must not overtake it. The root is left out.
[[nodiscard]] std::vector<std::string> usable_search(std::span<const std::string> search, std::size_t budget);

}  // namespace sf::services
