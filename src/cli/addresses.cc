#include "cli/addresses.hh"

namespace sf::cli {
namespace {

constexpr std::uint32_t kGateway = 2;
constexpr std::uint32_t kDns = 3;
constexpr std::uint32_t kFirstSmall = 4;
constexpr std::uint32_t kDhcpFirst = 15;
constexpr std::uint32_t kDhcpLast = 30;
constexpr std::uint32_t kGuest = 100;
constexpr std::uint32_t kGuest6 = 0x100;
constexpr std::uint8_t kLongestRoomy = 25;  // the longest prefix that has an address kGuest

}  // namespace

link::Network make_network(const Config& config) {
  link::Network network;
  network.mtu = config.mtu;
  network.prefix4 = config.cidr;
  const Address& base = config.cidr.base;
  network.gateway4 = base.plus(kGateway);
  network.dns4 = base.plus(kDns);
  if (config.cidr.length <= kLongestRoomy) {
    network.guest4 = base.plus(kGuest);
    network.dhcp_first = base.plus(kDhcpFirst);
    network.dhcp_last = base.plus(kDhcpLast);
  } else {
    network.guest4 = base.plus(kFirstSmall);
    network.dhcp_first = base.plus(kFirstSmall);
    network.dhcp_last = Address::v4(config.cidr.v4_broadcast().to_v4() - 1);
  }
  // Locally administered (0x02), and different for every gateway, so that a cache never mixes two networks
  // up.
  const Bytes ip = network.gateway4.wire_bytes();
  network.gateway_mac = MacAddress{{0x52, 0x55, ip[0], ip[1], ip[2], ip[3]}};
  if (config.slirp4netns) network.gateway_mac6 = MacAddress{{0x52, 0x56, 0, 0, 0, 0x02}};

  network.ipv6 = config.ipv6;
  network.prefix6 = config.cidr6;
  network.gateway6 = config.cidr6.base.plus(kGateway);
  network.dns6 = config.cidr6.base.plus(kDns);
  network.host_loopback = config.host_loopback;
  network.metadata = config.metadata;
  network.dns = config.dns;
  network.silent_without_dns = config.slirp4netns;
  return network;
}

Address guest6(const Config& config) {
  return config.cidr6.base.plus(kGuest6);
}

std::optional<Address> configured_guest6(const Config& config) {
  if (!config.configure || !config.ipv6 || config.slirp4netns) return std::nullopt;
  return guest6(config);
}

}  // namespace sf::cli
