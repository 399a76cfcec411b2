#include "cli/addresses.hh"

#include <gtest/gtest.h>

namespace sf::cli {
namespace {

link::Network network_of(const char* cidr) {
  Config config;
  config.cidr = *Prefix::parse(cidr);
  return make_network(config);
}

TEST(Addresses, defaults) {
  const link::Network network = make_network(Config{});
  EXPECT_EQ(network.gateway4.to_string(), "10.0.2.2");
  EXPECT_EQ(network.dns4.to_string(), "10.0.2.3");
  EXPECT_EQ(network.guest4.to_string(), "10.0.2.100");
  EXPECT_EQ(network.dhcp_first.to_string(), "10.0.2.15");
  EXPECT_EQ(network.dhcp_last.to_string(), "10.0.2.30");
  EXPECT_EQ(network.gateway6.to_string(), "fd00::2");
  EXPECT_EQ(network.dns6.to_string(), "fd00::3");
  EXPECT_EQ(guest6(Config{}).to_string(), "fd00::100");
  EXPECT_EQ(network.gateway_mac.to_string(), "52:55:0a:00:02:02");
}

TEST(Addresses, longest_roomy_prefix_keeps_the_usual_ones) {
  const link::Network network = network_of("10.9.8.128/25");
  EXPECT_EQ(network.guest4.to_string(), "10.9.8.228");
  EXPECT_EQ(network.dhcp_first.to_string(), "10.9.8.143");
}

TEST(Addresses, small_prefixes) {
  const link::Network network = network_of("192.168.0.8/29");
  EXPECT_EQ(network.gateway4.to_string(), "192.168.0.10");
  EXPECT_EQ(network.dns4.to_string(), "192.168.0.11");
  EXPECT_EQ(network.guest4.to_string(), "192.168.0.12");
  EXPECT_EQ(network.dhcp_first.to_string(), "192.168.0.12");
  EXPECT_EQ(network.dhcp_last.to_string(), "192.168.0.14");
  EXPECT_EQ(network_of("10.0.0.0/26").dhcp_last.to_string(), "10.0.0.62");
}

TEST(Addresses, all_lie_in_the_network_and_differ) {
  for (std::uint8_t length = 1; length <= 29; ++length) {
    Config config;
    config.cidr = Prefix{Address::v4(128, 0, 0, 0), length};
    const link::Network n = make_network(config);
    for (const Address& a : {n.gateway4, n.dns4, n.guest4, n.dhcp_first, n.dhcp_last}) {
      EXPECT_TRUE(config.cidr.contains(a)) << int{length} << " " << a.to_string();
      EXPECT_NE(a, config.cidr.v4_broadcast());
    }
    EXPECT_LT(n.dns4, n.dhcp_first);
    EXPECT_LE(n.dhcp_first, n.dhcp_last);
  }
}

TEST(Addresses, switches_are_handed_on) {
  Config config;
  config.ipv6 = false;
  config.dns = false;
  config.host_loopback = true;
  config.mtu = 9000;
  const link::Network network = make_network(config);
  EXPECT_FALSE(network.ipv6);
  EXPECT_FALSE(network.dns);
  EXPECT_TRUE(network.host_loopback);
  EXPECT_EQ(network.mtu, 9000U);
}

}  // namespace
}  // namespace sf::cli
