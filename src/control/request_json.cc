#include "control/request_json.hh"

#include <fmt/format.h>

#include <cmath>
#include <utility>

namespace sf::control {

std::string to_text(const Json& json) {
  // Command lines and paths need not be UTF-8.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string returned(Json value) {
  Json reply;
  reply["return"] = std::move(value);
  return to_text(reply);
}

std::string error_with_reason(std::string_view description, const std::string& reason) {
  Json reply;
  reply["error"]["desc"] = fmt::format("bad request: {}", description);
  reply["error"]["reason"] = reason;
  return to_text(reply);
}

const Json& member(const Json& json, const char* name) {
  static const Json none;
  if (!json.is_object()) return none;
  const auto found = json.find(name);
  return found == json.end() ? none : *found;
}

std::optional<std::uint64_t> whole_number(const Json& json) {
  if (json.is_number_unsigned()) return json.get<std::uint64_t>();
  if (!json.is_number_float()) return std::nullopt;
  const double value = json.get<double>();
  constexpr double kMaxExact = 9007199254740992.0;
  if (!(value >= 0 && value <= kMaxExact) || std::trunc(value) < value) return std::nullopt;
  return static_cast<std::uint64_t>(value);
}

const char* transport_name(engine::Transport transport) {
  return transport == engine::Transport::udp ? "udp" : "tcp";
}

}  // namespace sf::control
