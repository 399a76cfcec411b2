// A packet put together again from what is left of it, so that an ICMP error can quote it as its sender had
// written it: what came back from the network quotes the addresses and ports of a translator's other side.
#pragma once

#include <array>
#include <cstdint>

#include "wire/icmp.hh"
#include "wire/ip.hh"

namespace sf::wire {

// Owns its bytes: packet() is a view into it.
class Quote {
 public:
  // A UDP datagram. The length fields and the checksum are those of all of `payload`; of the bytes only as
  // many are kept as an error may quote. `header`'s protocol is not looked at.
  [[nodiscard]] static Quote udp(const IpHeader& header, std::uint16_t source_port,
                                 std::uint16_t destination_port, Bytes payload);
  // An echo request of the header's family; `body` is what follows identifier and sequence number.
  [[nodiscard]] static Quote echo_request(const IpHeader& header, std::uint16_t id, std::uint16_t sequence,
                                          Bytes body);

  // What an error about the packet quotes; `payload` and `whole` may be shorter than the header says.
  [[nodiscard]] IpPacket packet() const;

 private:
  Quote(const IpHeader& header, IpProtocol protocol) : header_(header) {
    header_.protocol = static_cast<std::uint8_t>(protocol);
  }
  // `checksum`: the unfolded sum of the pseudo-header, or 0. The checksum field of `transport` is still 0.
  void assemble(MutBytes transport, std::size_t checksum_offset, std::uint64_t checksum, Bytes payload);

  // The larger of what the two versions quote (RFC 4443 section 2.4 (c)).
  std::array<std::uint8_t, 1280> buffer_;
  std::size_t size_ = 0;
  IpHeader header_;
};

}  // namespace sf::wire
