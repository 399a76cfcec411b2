// What requests to the control socket and replies are made of, for those who answer them (requests.hh).
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "control/instance.hh"

namespace sf::control {

using Json = nlohmann::json;

[[nodiscard]] std::string to_text(const Json& json);
// {"return":VALUE}
[[nodiscard]] std::string returned(Json value);
// {"error":{"desc":"bad request: DESCRIPTION","reason":"REASON"}}
[[nodiscard]] std::string error_with_reason(std::string_view description, const std::string& reason);
// Null where there is none.
[[nodiscard]] const Json& member(const Json& json, const char* name);
// Some clients write numbers as 80.0.
[[nodiscard]] std::optional<std::uint64_t> whole_number(const Json& json);
[[nodiscard]] const char* transport_name(engine::Transport transport);

// slirp4netns's requests, word for word.
[[nodiscard]] std::string add_hostfwd(const Json& arguments, Instance& instance);
[[nodiscard]] std::string remove_hostfwd(const Json& arguments, Instance& instance);
[[nodiscard]] std::string list_hostfwd(const Json& arguments, Instance& instance);

}  // namespace sf::control
