// Ethernet II framing (IEEE 802.3 clause 3). VLAN tags are not used on a TAP of ours; a tagged frame is
// dropped as an unknown EtherType.
#pragma once

#include <optional>

#include "base/address.hh"
#include "base/bytes.hh"

namespace sf::wire {

inline constexpr std::size_t kEthernetHeaderSize = 14;

enum class EtherType : std::uint16_t { ipv4 = 0x0800, arp = 0x0806, ipv6 = 0x86dd };

struct EthernetHeader {
  MacAddress destination;
  MacAddress source;
  std::uint16_t type = 0;  // compared with EtherType; anything may arrive

  // Nothing where the frame is shorter than a header.
  [[nodiscard]] static std::optional<EthernetHeader> parse(Bytes frame);
  void emit(Writer& out) const;
};

}  // namespace sf::wire
