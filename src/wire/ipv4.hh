// IPv4 (RFC 791): the format behind IpPacket and IpHeader. Only ip.cc and tests need this header.
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-------+-------+---------------+-------------------------------+
//   |   4   |  IHL  | Traffic class |         Total length          |
//   +-------+-------+---------------+-----+-------------------------+
//   |         Identification        |0 D M|  Fragment offset / 8    |
//   +---------------+---------------+-----+-------------------------+
//   |      TTL      |   Protocol    |        Header checksum        |
//   +---------------+---------------+-------------------------------+
//   |                        Source address                         |
//   +---------------------------------------------------------------+
//   |                      Destination address                      |
//   +---------------------------------------------------------------+
//   |                  Options, IHL * 4 bytes in all                |
#pragma once

#include "wire/ip.hh"

namespace sf::wire {

inline constexpr std::size_t kIpv4HeaderSize = 20;

// A view whose header and total length are known to lie within the bytes.
class Ipv4View {
 public:
  // How the length field and the header checksum are held against the bytes at hand: an ICMP error quotes
  // only the start of a packet, and routers on the way may have changed what the checksum covers.
  enum class Strictness { whole, quoted };

  [[nodiscard]] static tl::expected<Ipv4View, DropReason> check(Bytes packet, Strictness strictness);

  [[nodiscard]] std::size_t header_size() const { return std::size_t{bytes_[0] & 0x0fU} * 4; }
  [[nodiscard]] std::size_t total_length() const { return load_be16(&bytes_[2]); }
  [[nodiscard]] std::uint8_t traffic_class() const { return bytes_[1]; }
  [[nodiscard]] std::uint16_t id() const { return load_be16(&bytes_[4]); }
  [[nodiscard]] bool dont_fragment() const { return (bytes_[6] & 0x40) != 0; }
  [[nodiscard]] bool more_fragments() const { return (bytes_[6] & 0x20) != 0; }
  // In bytes.
  [[nodiscard]] std::size_t fragment_offset() const {
    return (load_be16(&bytes_[6]) & 0x1fffU) * std::size_t{8};
  }
  [[nodiscard]] std::uint8_t ttl() const { return bytes_[8]; }
  [[nodiscard]] std::uint8_t protocol() const { return bytes_[9]; }
  [[nodiscard]] Address source() const { return Address::v4(load_be32(&bytes_[12])); }
  [[nodiscard]] Address destination() const { return Address::v4(load_be32(&bytes_[16])); }
  [[nodiscard]] Bytes payload() const { return bytes_.subspan(header_size()); }
  // Header and payload, without link padding.
  [[nodiscard]] Bytes whole() const { return bytes_; }

 private:
  explicit Ipv4View(Bytes bytes) : bytes_(bytes) {}

  Bytes bytes_;
};

[[nodiscard]] tl::expected<IpPacket, DropReason> parse_ipv4(Bytes packet, Ipv4View::Strictness strictness);
void emit_ipv4(Writer& out, const IpHeader& header, std::size_t payload_length);

}  // namespace sf::wire
