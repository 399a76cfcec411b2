// IPv6 (RFC 8200): the format behind IpPacket and IpHeader, and its chain of extension headers.
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-------+---------------+---------------------------------------+
//   |   6   | Traffic class |              Flow label               |
//   +-------+---------------+-------+---------------+---------------+
//   |        Payload length         |  Next header  |   Hop limit   |
//   +-------------------------------+---------------+---------------+
//   |                   Source address, 16 bytes                    |
//   +---------------------------------------------------------------+
//   |                Destination address, 16 bytes                  |
//   +---------------------------------------------------------------+
#pragma once

#include "wire/ip.hh"

namespace sf::wire {

inline constexpr std::size_t kIpv6HeaderSize = 40;
inline constexpr std::size_t kIpv6FragmentHeaderSize = 8;
inline constexpr std::size_t kIpv6JumboHeaderSize = 8;  // hop-by-hop, with the one option
// A chain longer than this is taken for an attack; RFC 8504 section 5.3 allows such limits.
inline constexpr int kMaxIpv6ExtensionHeaders = 8;

namespace ipv6_next {
inline constexpr std::uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kNone = 59, kDestination = 60;
}

// A view whose fixed header and payload length are known to lie within the bytes.
class Ipv6View {
 public:
  // As Ipv4View's: a quoted packet may be cut short.
  enum class Strictness { whole, quoted };

  [[nodiscard]] static tl::expected<Ipv6View, DropReason> check(Bytes packet, Strictness strictness);

  [[nodiscard]] std::uint8_t traffic_class() const {
    return static_cast<std::uint8_t>(load_be16(&bytes_[0]) >> 4);
  }
  [[nodiscard]] std::uint32_t flow_label() const { return load_be32(&bytes_[0]) & 0xfffffU; }
  [[nodiscard]] std::size_t payload_length() const { return load_be16(&bytes_[4]); }
  [[nodiscard]] std::uint8_t next_header() const { return bytes_[6]; }
  [[nodiscard]] std::uint8_t hop_limit() const { return bytes_[7]; }
  [[nodiscard]] Address source() const { return address_at(8); }
  [[nodiscard]] Address destination() const { return address_at(24); }
  // Extension headers and what follows them.
  [[nodiscard]] Bytes payload() const { return bytes_.subspan(kIpv6HeaderSize); }
  [[nodiscard]] Bytes whole() const { return bytes_; }

 private:
  explicit Ipv6View(Bytes bytes) : bytes_(bytes) {}
  [[nodiscard]] Address address_at(std::size_t at) const;

  Bytes bytes_;
};

// The end of a chain of extension headers.
struct Ipv6UpperLayer {
  std::uint8_t protocol = 0;
  Bytes payload;
  std::optional<Fragment> fragment;
};

// Walks hop-by-hop, routing, fragment and destination options headers from `next_header` on. At the header of
// a real fragment the walk ends: protocol is then the Next Header of the fragmented part and payload that
// part, so that fragments can be put together by their offsets; call it again on what reassembly yields (with
// `first` false, as hop-by-hop options may not stand there).
[[nodiscard]] tl::expected<Ipv6UpperLayer, DropReason> walk_ipv6_extensions(std::uint8_t next_header,
                                                                            Bytes bytes, bool first);

[[nodiscard]] tl::expected<IpPacket, DropReason> parse_ipv6(Bytes packet, Ipv6View::Strictness strictness);
void emit_ipv6(Writer& out, const IpHeader& header, std::size_t payload_length);

}  // namespace sf::wire
