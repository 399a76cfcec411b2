// JSON from somebody else: parsed within bounds of depth and number, whatever it is.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace sf::control {

// A value that is_discarded() where `text` is not JSON, is nested too deeply, or has too many values.
[[nodiscard]] nlohmann::json parse_bounded(std::string_view text);

}  // namespace sf::control
