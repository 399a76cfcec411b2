// ARP for IPv4 over Ethernet (RFC 826).
#pragma once

#include <optional>

#include "base/address.hh"
#include "base/bytes.hh"

namespace sf::wire {

inline constexpr std::size_t kArpSize = 28;

struct ArpPacket {
  static constexpr std::uint16_t kRequest = 1;
  static constexpr std::uint16_t kReply = 2;

  std::uint16_t operation = kRequest;  // anything may arrive
  MacAddress sender_mac;
  Address sender = Address::v4(0);
  MacAddress target_mac;
  Address target = Address::v4(0);

  // `bytes` follows the Ethernet header and may be padded. Nothing for other hardware or protocol types.
  [[nodiscard]] static std::optional<ArpPacket> parse(Bytes bytes);
  void emit(Writer& out) const;

  constexpr bool operator==(const ArpPacket&) const = default;
};

}  // namespace sf::wire
