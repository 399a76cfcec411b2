// What this folder calls in a confined process.
#pragma once

#include "base/allowed_call.hh"

namespace sf::flowlog {

// The writer's, into what is open already.
[[nodiscard]] AllowedCalls allowed_calls();

}  // namespace sf::flowlog
