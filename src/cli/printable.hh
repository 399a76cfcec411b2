// Text from others, made fit for a terminal: what moves the cursor, changes the terminal or hides other text
// is written out.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sf::cli {

// Control characters, characters that change the direction of text or have no width, and what is not UTF-8
// become \x1b or \u202e. The rest is as it was.
[[nodiscard]] std::string printable(std::string_view text);

// Of printable text, in characters.
[[nodiscard]] std::size_t width(std::string_view text);

// At most `most` characters, the last three "..." where some are left out. `most` is at least 3.
[[nodiscard]] std::string cut(std::string_view text, std::size_t most);

}  // namespace sf::cli
