#include "control/bounded_json.hh"

#include <nlohmann/json.hpp>

namespace sf::control {
namespace {

using Json = nlohmann::json;

// Deeper than any request or reply, and shallow enough for code that walks values recursively.
constexpr int kMaxDepth = 32;
// A list of all ports there are, twice; about 100 MiB of memory.
constexpr std::size_t kMaxValues = std::size_t{1} << 21;

}  // namespace

Json parse_bounded(std::string_view text) {
  bool too_much = false;
  std::size_t values = 0;
  const auto watch = [&](int depth, Json::parse_event_t, Json&) {
    too_much = too_much || depth > kMaxDepth || ++values > kMaxValues;
    return !too_much;
  };
  Json json = Json::parse(text.begin(), text.end(), watch, false);
  return too_much ? Json(Json::value_t::discarded) : json;
}

}  // namespace sf::control
