// Offloads in software: cuts a super-frame into the frames that would stand on a wire, and completes
// checksums. For links without offloads, for captures, and for the simulation.
#pragma once

#include <span>

#include "base/bytes.hh"
#include "wire/function_ref.hh"
#include "wire/offload.hh"

namespace sf::wire {

// The largest Ethernet, IP and transport headers together that segment_frame takes.
inline constexpr std::size_t kMaxSegmentHeaders = 256;

// Calls `emit` once per finished frame, in order, and stops where it returns false. `parts` are the pieces of
// one frame, from its Ethernet header on; headers may lie across them. The frame handed to `emit` lies in
// `scratch`, or in `parts` where nothing had to be done to a frame of one part, and is valid during that call
// alone.
//
// `scratch` must hold the largest frame made: headers + gso_size, or the whole frame where it is not cut.
//
// Of a TCP super-frame, sequence numbers go up by gso_size, CWR stays on the first segment, FIN and PSH on
// the last (RFC 9293 section 3.9.1.2, RFC 3168 section 6.1.2). IPv4 identifications count up, in UDP too:
// each piece is a datagram of its own.
//
// False where `emit` stopped it, `scratch` is too small, or the frame is not what `offload` says; in the last
// case nothing was emitted.
[[nodiscard]] bool segment_frame(std::span<const Bytes> parts, const Offload& offload, MutBytes scratch,
                                 FunctionRef<bool(Bytes frame)> emit);

}  // namespace sf::wire
