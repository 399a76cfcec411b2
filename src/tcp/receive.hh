// The half of a connection that receives from the guest: which bytes of a segment are new, what is
// acknowledged and what window is offered. It knows sequence numbers, not bytes: the translator keeps those.
//
//         rcv_nxt - held          rcv_nxt            right_edge
//   ──────────┬──────────────────────┬───────╥═══════╥──────┬─────────
//   taken by  │ held in order until  │ gap   ║ held  ║ gap  │ not yet
//   the host  │ the host takes it    │       ║ out of║      │ allowed
//                                            ║ order ║
//
// The right edge never moves back (RFC 9293 section 3.8.6): a byte that was once allowed has room.
#pragma once

#include <cstdint>

#include "tcp/ranges.hh"
#include "tcp/seq.hh"

namespace sf::tcp {

// What to do with a segment's payload.
struct ReceivePlan {
  bool acceptable = false;   // RFC 9293 section 3.10.7.4, first check; false asks for an ACK in reply
  std::uint32_t skip = 0;    // leading payload bytes that are already here
  std::uint32_t take = 0;    // bytes to take after those
  std::uint32_t offset = 0;  // of the first one taken, from rcv_nxt; 0: in order
  bool fin = false;          // the segment's FIN counts, once all of `take` is stored
};

class ReceiveHalf {
 public:
  // `irs` is the sequence number of the guest's SYN; windows are sent shifted right by `scale`.
  void start(Seq irs, std::uint8_t scale);

  [[nodiscard]] ReceivePlan plan(Seq seq, std::uint32_t payload, bool fin) const;
  // Takes note that the first `stored` of plan.take bytes are kept. Returns by how many bytes the in-order
  // stream has grown, what was held out of order included.
  std::uint32_t commit(const ReceivePlan& plan, std::uint32_t stored);

  // The window field for a segment that goes out now, with `room` bytes after rcv_nxt that may be offered and
  // `hard_room` that exist at most. Moves the right edge.
  [[nodiscard]] std::uint16_t offer_window(std::uint32_t room, std::uint32_t hard_room);
  // Allows `bytes` after rcv_nxt, as an unscaled window in a SYN-ACK does.
  void allow(std::uint32_t bytes) { right_edge_ = later(right_edge_, next_ + bytes); }
  // An ACK for nothing but its window is worth sending: `room` has grown by a segment, or from next to
  // nothing (RFC 9293 section 3.8.6.2.2).
  [[nodiscard]] bool window_update_due(std::uint32_t room, std::uint32_t capacity, std::uint32_t mss) const;

  [[nodiscard]] Seq next() const { return next_; }
  [[nodiscard]] Seq right_edge() const { return right_edge_; }
  [[nodiscard]] const Ranges& out_of_order() const { return out_of_order_; }
  [[nodiscard]] bool finished() const { return finished_; }  // the guest's FIN has come, in order

 private:
  Seq next_;
  Seq right_edge_;
  Seq fin_at_;
  Ranges out_of_order_;
  std::uint8_t scale_ = 0;
  bool fin_known_ = false;
  bool finished_ = false;
};

}  // namespace sf::tcp
