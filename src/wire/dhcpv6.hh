// DHCPv6 (RFC 8415), as far as a stateless server needs it: the rest is told by router advertisements.
// Clients that ask for addresses get their identity associations back with a status.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hh"
#include "base/bytes.hh"

namespace sf::wire {

inline constexpr std::uint16_t kDhcpv6ServerPort = 547;
inline constexpr std::uint16_t kDhcpv6ClientPort = 546;
// ff02::1:2, all relay agents and servers.
inline constexpr Address kDhcpv6Servers = Address::v6({0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2});

enum class Dhcpv6Type : std::uint8_t {
  solicit = 1,
  advertise = 2,
  request = 3,
  confirm = 4,
  renew = 5,
  rebind = 6,
  reply = 7,
  release = 8,
  decline = 9,
  reconfigure = 10,
  information_request = 11,
};

enum class Dhcpv6Status : std::uint16_t {
  success = 0,
  unspecified_failure = 1,
  no_addresses = 2,
  no_binding = 3,
  not_on_link = 4,
  use_multicast = 5,
  no_prefixes = 6,
};

// Numbers of options, as they stand in an option request.
namespace dhcpv6_option {
inline constexpr std::uint16_t kClientId = 1, kServerId = 2, kIaNa = 3, kIaTa = 4, kOptionRequest = 6,
                               kElapsedTime = 8, kStatusCode = 13, kRapidCommit = 14, kDnsServers = 23,
                               kDomainSearch = 24, kIaPd = 25, kInformationRefresh = 32;
}

struct Dhcpv6StatusCode {
  Dhcpv6Status code = Dhcpv6Status::success;
  std::string message;  // UTF-8, for people

  bool operator==(const Dhcpv6StatusCode&) const = default;
};

// IA_NA, IA_TA or IA_PD without the addresses in it.
struct IdentityAssociation {
  std::uint16_t option = dhcpv6_option::kIaNa;  // kIaNa, kIaTa or kIaPd
  std::uint32_t id = 0;
  std::optional<Dhcpv6StatusCode> status;

  bool operator==(const IdentityAssociation&) const = default;
};

struct Dhcpv6Message {
  Dhcpv6Type type = Dhcpv6Type::solicit;  // anything but a relay's may arrive
  std::uint32_t transaction = 0;          // 24 bits
  std::vector<std::uint8_t> client_id;    // a DUID
  std::vector<std::uint8_t> server_id;
  std::vector<std::uint16_t> requested;             // option numbers, in the client's order
  std::optional<std::uint16_t> elapsed_hundredths;  // of a second
  std::optional<Dhcpv6StatusCode> status;
  bool rapid_commit = false;
  std::vector<IdentityAssociation> associations;
  std::vector<Address> dns_servers;                         // RFC 3646
  std::vector<std::string> domain_search;                   // RFC 3646
  std::optional<std::chrono::seconds> information_refresh;  // 32 bits

  // `bytes` is a UDP payload. Nothing for relay messages, or where an option runs past its end or has a
  // length that it cannot have. Options that do not stand here are skipped.
  [[nodiscard]] static std::optional<Dhcpv6Message> parse(Bytes bytes);
  // Empty lists and optionals are left out. The writer fails where it does not fit, or a domain is no name.
  void emit(Writer& out) const;
  bool operator==(const Dhcpv6Message&) const = default;
};

// A DUID made from a MAC (RFC 8415 section 11.4, DUID-LL).
[[nodiscard]] std::vector<std::uint8_t> duid_from(const MacAddress& mac);

}  // namespace sf::wire
