// What host/ calls once the program is confined.
#pragma once

#include "base/allowed_call.hh"

namespace sf::host {

struct HostCalls {
  bool reads_resolv_conf = false;  // by itself, for want of somebody who does (HostOptions)
};

[[nodiscard]] AllowedCalls allowed_calls(const HostCalls& wanted);

}  // namespace sf::host
