// Neighbour discovery (RFC 4861), with the DNS options of RFC 8106.
//
// Each parse() takes a whole ICMPv6 message, from its type on, and yields nothing for another type, a code
// other than 0, or an option of length zero or past the end (RFC 4861 sections 6.1 and 7.1). The caller has
// verified the checksum and must see to it that the hop limit was 255. Each emit() writes a whole message
// with its checksum over the pseudo-header.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hh"
#include "base/bytes.hh"

namespace sf::wire {

namespace ndp {
inline constexpr std::uint8_t kRouterSolicitation = 133, kRouterAdvertisement = 134,
                              kNeighborSolicitation = 135, kNeighborAdvertisement = 136, kRedirect = 137;
}
inline constexpr std::uint8_t kNdpHopLimit = 255;
// All ones on the wire: for ever. Longer times are sent as this.
inline constexpr std::chrono::seconds kInfiniteLifetime{0xffffffff};

struct RouterSolicitation {
  std::optional<MacAddress> source_link;

  [[nodiscard]] static std::optional<RouterSolicitation> parse(Bytes message);
  void emit(Writer& out, const Address& source, const Address& destination) const;
  constexpr bool operator==(const RouterSolicitation&) const = default;
};

struct PrefixInformation {
  Prefix prefix;
  bool on_link = false;     // L
  bool autonomous = false;  // A: SLAAC
  std::chrono::seconds valid{0};
  std::chrono::seconds preferred{0};

  constexpr bool operator==(const PrefixInformation&) const = default;
};

struct RecursiveDnsServers {
  std::chrono::seconds lifetime{0};
  std::vector<Address> servers;

  bool operator==(const RecursiveDnsServers&) const = default;
};

struct DnsSearchList {
  std::chrono::seconds lifetime{0};
  std::vector<std::string> domains;

  bool operator==(const DnsSearchList&) const = default;
};

struct RouterAdvertisement {
  std::uint8_t hop_limit = 0;               // 0: unspecified
  bool managed = false;                     // M: addresses by DHCPv6
  bool other_config = false;                // O: the rest by DHCPv6
  std::chrono::seconds router_lifetime{0};  // 16 bits; 0: not a default router
  std::chrono::milliseconds reachable_time{0};
  std::chrono::milliseconds retransmit_timer{0};
  std::optional<MacAddress> source_link;
  std::optional<std::uint32_t> mtu;
  std::vector<PrefixInformation> prefixes;
  std::vector<RecursiveDnsServers> dns_servers;
  std::vector<DnsSearchList> dns_search;

  [[nodiscard]] static std::optional<RouterAdvertisement> parse(Bytes message);
  // The writer fails where a search list or server list does not fit an option, or a domain is no name.
  void emit(Writer& out, const Address& source, const Address& destination) const;
  bool operator==(const RouterAdvertisement&) const = default;
};

struct NeighborSolicitation {
  Address target;
  std::optional<MacAddress> source_link;

  // Nothing, too, where the target is multicast.
  [[nodiscard]] static std::optional<NeighborSolicitation> parse(Bytes message);
  void emit(Writer& out, const Address& source, const Address& destination) const;
  constexpr bool operator==(const NeighborSolicitation&) const = default;
};

struct NeighborAdvertisement {
  bool router = false;
  bool solicited = false;
  bool override_cache = false;
  Address target;
  std::optional<MacAddress> target_link;

  // Nothing, too, where the target is multicast.
  [[nodiscard]] static std::optional<NeighborAdvertisement> parse(Bytes message);
  void emit(Writer& out, const Address& source, const Address& destination) const;
  constexpr bool operator==(const NeighborAdvertisement&) const = default;
};

// ff02::1, every node of the link.
inline constexpr Address kAllNodes = Address::v6({0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
// ff02::2, every router of the link.
inline constexpr Address kAllRouters = Address::v6({0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2});
// ff02::1:ffXX:XXXX, where solicitations for `address` go (RFC 4291 section 2.7.1).
[[nodiscard]] Address solicited_node(const Address& address);
// 33:33 and the last 32 bits of a multicast address (RFC 2464 section 7); for IPv4, 01:00:5e and the last 23
// (RFC 1112 section 6.4).
[[nodiscard]] MacAddress multicast_mac(const Address& group);

}  // namespace sf::wire
