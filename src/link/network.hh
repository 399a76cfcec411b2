// The network inside, as the guest sees it: who has which address, and where a destination leads.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/address.hh"

namespace sf::link {

inline constexpr Address kLoopback4 = Address::v4(127, 0, 0, 1);
inline constexpr Address kLoopback6 = Address::v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
// The router's link-local address: source of advertisements, next hop of the default route.
inline constexpr Address kRouterLinkLocal =
    Address::v6({0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2});

// Where clouds tell a machine who it is and hand out its credentials, to whoever asks from it: most of them,
// and Amazon's containers; Amazon and Google over IPv6.
inline constexpr std::array kMetadataServices = {
    Address::v4(169, 254, 169, 254), Address::v4(169, 254, 170, 2),
    Address::v6({0xfd, 0, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54}),
    Address::v6({0xfd, 0x20, 0, 0xce, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54})};

// Where a packet of the guest's leads.
struct Route {
  enum class Kind : std::uint8_t {
    host,         // out of an ordinary socket, to `address`
    gateway,      // to the gateway itself: pings are answered, all else is refused
    dns,          // to the DNS forwarder
    unreachable,  // on-link, but nobody is there; or never routed: an ICMP error
    ignored,      // multicast and broadcast: dropped without an answer
  };
  Kind kind = Kind::ignored;
  Address address;  // as seen from the host; for Kind::host alone
};

struct Network {
  MacAddress gateway_mac;
  std::optional<MacAddress> gateway_mac6;  // for IPv6, where that is to be another one
  std::uint32_t mtu = 1500;

  Prefix prefix4;
  Address gateway4;
  Address dns4;
  Address guest4;      // the one that --configure sets
  Address dhcp_first;  // range of the DHCP server, both ends included
  Address dhcp_last;

  bool ipv6 = true;
  Prefix prefix6;
  Address gateway6;
  Address dns6;

  bool host_loopback = false;       // the gateway address leads to the host's 127.0.0.1 and ::1
  bool metadata = false;            // kMetadataServices are reachable
  bool dns = true;                  // the DNS forwarder is on
  bool silent_without_dns = false;  // where it is off, its address answers nothing at all, instead of errors

  [[nodiscard]] Route route(const Address& destination) const;
  // The address that the guest sees for a packet or client from `host_source`: the host's loopback is the
  // gateway.
  [[nodiscard]] Address seen_by_guest(const Address& host_source) const;
  // The guest may use `source`: of the IPv4 prefix and not one of ours, an IPv6 one of the prefix, or a
  // link-local one.
  [[nodiscard]] bool is_guest_source(const Address& source) const;
  [[nodiscard]] MacAddress mac(bool v4) const {
    return v4 ? gateway_mac : gateway_mac6.value_or(gateway_mac);
  }
  [[nodiscard]] bool is_our_mac(const MacAddress& m) const { return m == gateway_mac || m == mac(false); }
  [[nodiscard]] const Address& gateway(bool v4) const { return v4 ? gateway4 : gateway6; }
  [[nodiscard]] bool is_ours(const Address& a) const {
    return a == gateway4 || a == dns4 || (ipv6 && (a == gateway6 || a == dns6 || a == kRouterLinkLocal));
  }
};

}  // namespace sf::link
