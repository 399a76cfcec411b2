// What link/ calls once the program is confined.
#pragma once

#include "base/allowed_call.hh"

namespace sf::link {

// The TAP, bess's socket (which asks whether its peer is there), --pcap.
[[nodiscard]] AllowedCalls allowed_calls();

}  // namespace sf::link
