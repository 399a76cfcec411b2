// What a terminal sends when a key is pressed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sf::cli {

struct Key {
  enum class Kind : std::uint8_t { character, up, down, page_up, page_down, home, end, enter };
  Kind kind = Kind::character;
  char character = 0;
  bool operator==(const Key&) const = default;
};

// Takes the keys that are whole from `typed`; the beginning of one stays there. What is none that is used is
// left out.
[[nodiscard]] std::vector<Key> take_keys(std::string& typed);

}  // namespace sf::cli
