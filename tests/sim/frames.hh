// Building and taking apart frames as a guest's kernel and a virtual network device do: checksums completed,
// super-frames cut. Written apart from wire/segmentation, which is one of the things under test.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "base/address.hh"
#include "base/bytes.hh"
#include "wire/ethernet.hh"
#include "wire/ip.hh"
#include "wire/offload.hh"
#include "wire/tcp.hh"
#include "wire/udp.hh"

namespace sf::sim {

using FrameBytes = std::vector<std::uint8_t>;

struct Frame {
  FrameBytes bytes;
  wire::Offload offload;
};

// Who a frame is from and for.
struct Addressing {
  MacAddress source_mac;
  MacAddress destination_mac;
  Address source;
  Address destination;
};

// With gso_size, a super-frame where the payload is larger than that. With `partial`, the checksum is left to
// the link.
[[nodiscard]] Frame build_tcp(const Addressing& to, wire::TcpSegment segment, Bytes payload, bool partial,
                              std::uint16_t gso_size);
// `packet` is an upper-layer packet, ready but for its IP header; cut into fragments where it is above `mtu`.
[[nodiscard]] std::vector<Frame> build_ip(const Addressing& to, std::uint8_t protocol, Bytes packet,
                                          std::uint32_t mtu, std::uint16_t id);
// A UDP header and payload with a checksum.
[[nodiscard]] FrameBytes build_udp(const Endpoint& from, const Endpoint& to, Bytes payload);

// What a frame is, down to the transport. Views into it.
struct ParsedFrame {
  wire::EthernetHeader ethernet;
  wire::IpPacket ip;
  std::size_t transport_offset = 0;     // from the start of the frame
  std::optional<wire::TcpSegment> tcp;  // not of fragments
};
// Nothing where it is not an IP packet, or not a sound one.
[[nodiscard]] std::optional<ParsedFrame> parse_frame(Bytes frame);

// Why `frame` could not have been made by a sound sender with this offload: fields that contradict each
// other, a partial checksum that is not the pseudo-header's. Null where all is well.
[[nodiscard]] const char* offload_fault(Bytes frame, const wire::Offload& offload);
// Completes a partial checksum in place.
void complete_checksum(Frame& frame);
// The frames that would go over a wire for this one: itself, or the segments of a super-frame; checksums
// complete.
[[nodiscard]] std::vector<Frame> to_wire_frames(Frame frame);

}  // namespace sf::sim
