// What control/ calls once the program is confined.
#pragma once

#include "base/allowed_call.hh"

namespace sf::control {

struct ControlCalls {
  bool removes_files = false;  // the sockets' own, for want of somebody who does (Server::give_file)
};

[[nodiscard]] AllowedCalls allowed_calls(const ControlCalls& wanted);

}  // namespace sf::control
