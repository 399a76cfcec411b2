// The network inside that the targets use: the default one, and the guest in it.
#pragma once

#include "link/network.hh"

namespace sf::fuzz {

inline constexpr MacAddress kGatewayMac{{0x52, 0x55, 10, 0, 2, 2}};
inline constexpr MacAddress kGuestMac{{0x02, 0, 0, 0, 0, 1}};
inline constexpr Address kGuest4 = Address::v4(10, 0, 2, 100);
inline constexpr Address kGuest6 = Address::v6({0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0});

[[nodiscard]] inline link::Network make_network() {
  link::Network network;
  network.gateway_mac = kGatewayMac;
  network.prefix4 = {Address::v4(10, 0, 2, 0), 24};
  network.gateway4 = Address::v4(10, 0, 2, 2);
  network.dns4 = Address::v4(10, 0, 2, 3);
  network.guest4 = kGuest4;
  network.dhcp_first = Address::v4(10, 0, 2, 15);
  network.dhcp_last = Address::v4(10, 0, 2, 30);
  network.prefix6 = {Address::v6({0xfd}), 64};
  network.gateway6 = network.prefix6.base.plus(2);
  network.dns6 = network.prefix6.base.plus(3);
  return network;
}

}  // namespace sf::fuzz
