// UDP datagrams (RFC 768).
#pragma once

#include <optional>

#include "base/bytes.hh"

namespace sf::wire {

inline constexpr std::size_t kUdpHeaderSize = 8;
inline constexpr std::size_t kUdpMaxPayload = 65507;  // 65,535 less an IPv4 and a UDP header

struct UdpDatagram {
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint16_t checksum = 0;  // as received; 0: none (IPv4 only)
  Bytes payload;

  // `bytes` is an IP payload; cut at UDP's own length. Nothing where that is below 8 or past the end. A GSO
  // super-frame (USO) carries its whole length here.
  [[nodiscard]] static std::optional<UdpDatagram> parse(Bytes bytes);
  // Writes the 8-byte header for `payload_length` bytes.
  void emit(Writer& out, std::size_t payload_length, std::uint16_t header_checksum) const;
};

// The checksum field for a finished checksum: 0 would mean that there is none, so it is sent as all ones (RFC
// 768).
[[nodiscard]] constexpr std::uint16_t udp_checksum_field(std::uint16_t finished) {
  return finished == 0 ? std::uint16_t{0xffff} : finished;
}

}  // namespace sf::wire
