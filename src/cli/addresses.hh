// Which address in the guest's network is whose: derived from the two prefixes alone.
//
//     IPv4   .2 gateway   .3 DNS   .15 to .30 DHCP   .100 the guest, where we configure it
//            In a network longer than /25 the guest is .4, and DHCP has .4 up to the last but one.
//     IPv6   ::2 gateway  ::3 DNS  ::100 the guest, where we configure it (beside what SLAAC gives it)
#pragma once

#include <optional>

#include "base/address.hh"
#include "cli/config.hh"
#include "link/network.hh"

namespace sf::cli {

[[nodiscard]] link::Network make_network(const Config& config);

// The IPv6 address that we configure; not a member of Network, because nothing on the link depends on it.
[[nodiscard]] Address guest6(const Config& config);
// The same, but absent where it is not configured: the guest then has what it has chosen itself.
[[nodiscard]] std::optional<Address> configured_guest6(const Config& config);

}  // namespace sf::cli
