// The guest's side of the network: addresses, routes and IPv6 settings, set in the network namespace of the
// calling process.
#pragma once

#include <string>

#include "base/address.hh"
#include "base/log.hh"
#include "base/result.hh"
#include "setup/tap.hh"

namespace sf::setup {

struct NetworkSettings {
  TapSettings tap;
  bool configure = false;  // false: the TAP is brought up, and nothing else

  Address guest4;
  Prefix prefix4;
  Address gateway4;

  bool ipv6 = true;
  Address guest6;
  Prefix prefix6;
  Address router6;  // link-local
};

// lo and the TAP up, addresses, default routes. IPv6 is set here as well, though router advertisements offer
// the same: so that the network is ready at once. They may refresh it later.
[[nodiscard]] Result<void> configure_network(const NetworkSettings& settings, const Log& log);

// Waits, up to some seconds, until no IPv6 address of the TAP is in duplicate address detection. Says so if
// one still is.
void wait_for_ipv6(const NetworkSettings& settings, const Log& log);

}  // namespace sf::setup
