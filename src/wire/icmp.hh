// ICMP (RFC 792) and ICMPv6 (RFC 4443): echo, and the errors, in one shape for both.
#pragma once

#include <optional>

#include "base/address.hh"
#include "base/bytes.hh"

namespace sf::wire {

inline constexpr std::size_t kIcmpHeaderSize = 8;

namespace icmpv4 {
inline constexpr std::uint8_t kEchoReply = 0, kUnreachable = 3, kEchoRequest = 8, kTimeExceeded = 11,
                              kParameterProblem = 12;
}
namespace icmpv6 {
inline constexpr std::uint8_t kUnreachable = 1, kPacketTooBig = 2, kTimeExceeded = 3, kParameterProblem = 4,
                              kEchoRequest = 128, kEchoReply = 129;
}

// The errors that we translate, named once for both versions.
enum class IcmpError : std::uint8_t {
  net_unreachable,       // v4 3/0    v6 1/0 (no route)
  host_unreachable,      // v4 3/1    v6 1/3 (address unreachable)
  protocol_unreachable,  // v4 3/2    v6 4/1 (unrecognized next header)
  port_unreachable,      // v4 3/3    v6 1/4
  packet_too_big,        // v4 3/4    v6 2/0, with the MTU
  admin_prohibited,      // v4 3/13   v6 1/1
  beyond_scope,          // v6 1/2, of the source address; v4 has no such thing and says 3/13
  time_exceeded,         // v4 11/0   v6 3/0
  reassembly_timeout,    // v4 11/1   v6 3/1
};

struct IcmpMessage {
  std::uint8_t type = 0;
  std::uint8_t code = 0;
  std::uint16_t checksum = 0;  // as received
  std::uint32_t rest = 0;      // identifier and sequence of an echo, MTU, or unused
  Bytes body;                  // after the 8-byte header

  [[nodiscard]] static std::optional<IcmpMessage> parse(Bytes bytes);

  [[nodiscard]] std::uint16_t echo_id() const { return static_cast<std::uint16_t>(rest >> 16); }
  [[nodiscard]] std::uint16_t echo_sequence() const { return static_cast<std::uint16_t>(rest); }

  // Writes header and body with the right checksum; for ICMPv6 (v6 addresses) over the pseudo-header too.
  void emit(Writer& out, const Address& source, const Address& destination) const;
};

// Type and code of an error in the family of `v4`.
struct IcmpTypeCode {
  std::uint8_t type;
  std::uint8_t code;
};
[[nodiscard]] IcmpTypeCode icmp_type_code(IcmpError error, bool v4);
// The other way round; nothing for types that are not errors we know (unknown unreachable codes become
// net_unreachable).
[[nodiscard]] std::optional<IcmpError> icmp_error_from(std::uint8_t type, std::uint8_t code, bool v4);

// How much of the offending packet an error quotes: RFC 1812 section 4.3.2.3 (576 bytes of IPv4 in all) and
// RFC 4443 section 2.4 (c) (1280 bytes of IPv6 in all).
[[nodiscard]] std::size_t icmp_quote_limit(bool v4);

}  // namespace sf::wire
