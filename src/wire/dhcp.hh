// DHCP (RFC 2131) and the options (RFC 2132) that a server for containers needs.
//
// Options that do not stand here are skipped by parse. Long options are joined from their parts and cut into
// them (RFC 3396); options may continue in the `file` and `sname` fields (option 52).
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hh"
#include "base/bytes.hh"

namespace sf::wire {

inline constexpr std::uint16_t kDhcpServerPort = 67;
inline constexpr std::uint16_t kDhcpClientPort = 68;
// What every client must take as UDP payload (RFC 2131 section 2: 576 bytes of IP), and the least that is
// sent, because BOOTP relays and old clients want it.
inline constexpr std::size_t kDhcpMaxSize = 548;
inline constexpr std::size_t kDhcpMinSize = 300;

enum class DhcpType : std::uint8_t {
  discover = 1,
  offer = 2,
  request = 3,
  decline = 4,
  ack = 5,
  nak = 6,
  release = 7,
  inform = 8,
};

// Numbers of options, as they stand in a parameter request list.
namespace dhcp_option {
inline constexpr std::uint8_t kSubnetMask = 1, kRouter = 3, kDns = 6, kHostName = 12, kDomainName = 15,
                              kMtu = 26, kBroadcast = 28, kRequestedAddress = 50, kLeaseTime = 51,
                              kOverload = 52, kMessageType = 53, kServerId = 54, kParameterList = 55,
                              kMessage = 56, kMaxMessageSize = 57, kRenewalTime = 58, kRebindingTime = 59,
                              kClientId = 61, kDomainSearch = 119;
}

struct DhcpMessage {
  static constexpr std::uint8_t kBootRequest = 1;
  static constexpr std::uint8_t kBootReply = 2;

  std::uint8_t operation = kBootRequest;
  std::uint8_t hops = 0;
  std::uint32_t transaction = 0;
  std::uint16_t seconds = 0;  // since the client began
  bool broadcast_flag = false;
  Address client = Address::v4(0);   // ciaddr
  Address yours = Address::v4(0);    // yiaddr
  Address server = Address::v4(0);   // siaddr: the next boot server, not the DHCP server
  Address gateway = Address::v4(0);  // giaddr: the relay
  MacAddress hardware;               // chaddr

  std::optional<DhcpType> type;  // 53; anything may arrive
  std::optional<Address> subnet_mask;
  std::vector<Address> routers;
  std::vector<Address> dns_servers;
  std::string host_name;
  std::string domain_name;
  std::optional<std::uint16_t> mtu;
  std::optional<Address> broadcast;
  std::optional<Address> requested_address;
  std::optional<std::chrono::seconds> lease_time;  // 32 bits, all ones: for ever
  std::optional<Address> server_id;
  std::vector<std::uint8_t> parameters;  // 55: options that the client asks for, in its order
  std::string message;                   // 56: why a NAK
  std::optional<std::uint16_t> max_message_size;
  std::optional<std::chrono::seconds> renewal_time;    // T1
  std::optional<std::chrono::seconds> rebinding_time;  // T2
  std::vector<std::uint8_t> client_id;                 // 61, with its type byte
  std::vector<std::string> domain_search;              // 119, RFC 3397

  // `bytes` is a UDP payload. Nothing for hardware other than Ethernet, without the magic cookie, where an
  // option runs past its field or has a length that it cannot have.
  [[nodiscard]] static std::optional<DhcpMessage> parse(Bytes bytes);
  // Empty strings, lists and optionals are left out. Padded to kDhcpMinSize. The writer fails where it all
  // does not fit, or a search domain is no name.
  void emit(Writer& out) const;
  bool operator==(const DhcpMessage&) const = default;
};

}  // namespace sf::wire
