// The default network inside, as every test of a service sees it.
#pragma once

#include "link/network.hh"

namespace sf::services {

inline Address address(const char* text) {
  return *Address::parse(text);
}

inline link::Network test_network() {
  link::Network network;
  network.gateway_mac = MacAddress{{0x52, 0x55, 10, 0, 2, 2}};
  network.mtu = 1500;
  network.prefix4 = *Prefix::parse("10.0.2.0/24");
  network.gateway4 = address("10.0.2.2");
  network.dns4 = address("10.0.2.3");
  network.guest4 = address("10.0.2.100");
  network.dhcp_first = address("10.0.2.15");
  network.dhcp_last = address("10.0.2.30");
  network.prefix6 = *Prefix::parse("fd00::/64");
  network.gateway6 = address("fd00::2");
  network.dns6 = address("fd00::3");
  return network;
}

inline constexpr MacAddress kGuestMac{{2, 0, 0, 0, 0, 0x15}};

}  // namespace sf::services
