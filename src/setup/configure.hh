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
  bool configure = false;
  bool bring_up = true;  // without configure: the TAP, and nothing else is done

  Address guest4;
  Prefix prefix4;
  Address gateway4;

  bool ipv6 = true;
  Address guest6;
  Prefix prefix6;
  Address router6;  // link-local
  // Instead of all that: IPv6 comes by router advertisements. Where `ipv6` is false, nothing is disabled.
  bool advertised_ipv6 = false;
};

// To be called before the TAP is opened. One that exists and is up begins with its IPv6 address at that
// moment. For the second of duplicate address detection it would have a route by our advertisement and no
// address of its own; Linux then connects from ::1, and waits in vain.
void prepare_tap(const NetworkSettings& settings);

// lo and the TAP up, addresses, default routes. IPv6 is set here as well, though router advertisements offer
// the same: so that the network is ready at once. They may refresh it later. (With advertised_ipv6 they alone
// set it, and wait_for_ipv6() takes a little longer.)
[[nodiscard]] Result<void> configure_network(const NetworkSettings& settings, const Log& log);

// Waits, up to some seconds, until the TAP has its IPv6 addresses, and none of them is in duplicate address
// detection. Says so if that is not so then.
void wait_for_ipv6(const NetworkSettings& settings, const Log& log);

}  // namespace sf::setup
