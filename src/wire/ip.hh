// Both IP versions as one packet type. ipv4.{hh,cc} and ipv6.{hh,cc} know the formats; what is above wire/
// sees only IpPacket and IpHeader.
#pragma once

#include <optional>
#include <tl/expected.hpp>

#include "base/address.hh"
#include "base/bytes.hh"

namespace sf::wire {

// IANA protocol numbers, the ones that the engine speaks.
enum class IpProtocol : std::uint8_t { icmp = 1, tcp = 6, udp = 17, icmpv6 = 58 };

// Why a received packet was dropped; each has a counter.
enum class DropReason : std::uint8_t {
  truncated,       // shorter than its headers or its length fields say
  bad_version,     // neither 4 nor 6, or not what the EtherType says
  bad_header,      // IHL below 5, malformed extension header, and the like
  bad_checksum,    // IPv4 header, TCP, UDP or ICMP
  bad_address,     // multicast or broadcast source, destination of no use
  bad_fragment,    // overlaps, misaligned, too large
  fragment_limit,  // no slot left for another datagram in reassembly
  unknown_ether_type,
  unknown_protocol,  // answered with ICMP protocol unreachable where that may be
  not_for_us,        // other destination MAC
  spoofed_source,    // a source address that the guest does not own
  flow_limit,        // no room for another flow
  out_of_memory,     // the buffer pool is exhausted
  no_listener,       // a segment or packet of no flow
  rate_limited,
  malformed_service,  // DHCP, DNS, ND, ARP message that does not parse
  policy_refused,     // a new flow, or a datagram to another destination, that the egress policy refuses
  handover_full,      // for another shard, which did not keep up
  count_,
};
inline constexpr std::size_t kDropReasons = static_cast<std::size_t>(DropReason::count_);
// "bad-checksum" and the like, for counters and logs.
[[nodiscard]] const char* to_string(DropReason reason);

struct Fragment {
  std::uint32_t id = 0;      // 16 bits in IPv4
  std::uint32_t offset = 0;  // in bytes
  bool more = false;
};

// A view over one received packet. Valid as long as the bytes that it was parsed from.
struct IpPacket {
  Address source;
  Address destination;
  std::uint8_t protocol = 0;  // upper-layer protocol, after all IPv6 extension headers
  std::uint8_t ttl = 0;       // or hop limit
  std::uint8_t traffic_class = 0;
  bool dont_fragment = false;  // IPv4's DF; false for IPv6
  std::optional<Fragment> fragment;
  bool reassembled = false;  // came as fragments
  Bytes payload;  // upper-layer header and data, cut at the packet's own length (link padding is gone)
  Bytes whole;    // from the IP header on, cut likewise: what an ICMP error quotes
};

// `packet` starts at the IP header; the version is read from its first nibble. A GSO super-frame of the
// kernel's has a correct length field up to 65,535. The IPv4 header checksum is verified.
[[nodiscard]] tl::expected<IpPacket, DropReason> parse_ip(Bytes packet);
// The same for the packet that an ICMP error quotes: it may be cut short, and its header checksum is not
// looked at.
[[nodiscard]] tl::expected<IpPacket, DropReason> parse_quoted_ip(Bytes packet);

// For building packets of either version: the family is the addresses'.
struct IpHeader {
  Address source;
  Address destination;
  std::uint8_t protocol = 0;
  std::uint8_t ttl = 64;
  std::uint8_t traffic_class = 0;
  bool dont_fragment = true;           // IPv4 only
  std::uint16_t id = 0;                // IPv4 only, for packets without a Fragment
  std::optional<Fragment> fragment{};  // IPv6: makes a Fragment extension header
  // A super-frame above 64 KiB, as Linux passes it between devices (BIG TCP): IPv4's total length is 0, and
  // the frame's end is the packet's; IPv6 has a jumbogram's length (RFC 2675). No fragment.
  bool big = false;

  // 20, 40, or 48 bytes.
  [[nodiscard]] std::size_t size() const;
  // Writes the header for `payload_length` bytes of upper-layer data. The writer fails where size() +
  // payload_length does not fit the length field (65,535 in all for IPv4, 65,535 after the fixed header for
  // IPv6) and `big` is not set.
  void emit(Writer& out, std::size_t payload_length) const;
};

[[nodiscard]] constexpr std::size_t ip_header_size(const Address& address) {
  return address.is_v4() ? 20 : 40;
}

}  // namespace sf::wire
