#include "tcp/receive.hh"

namespace sf::tcp {

void ReceiveHalf::start(Seq irs, std::uint8_t scale) {
  next_ = irs + 1;
  right_edge_ = next_;
  scale_ = scale;
}

ReceivePlan ReceiveHalf::plan(Seq seq, std::uint32_t payload, bool fin) const {
  ReceivePlan plan;
  const Seq end = seq + payload + (fin ? 1 : 0);
  // Also at the right edge exactly: that is where the bare ACKs of a guest stand that has used up its window.
  plan.acceptable = end >= next_ && seq <= right_edge_;
  if (!plan.acceptable || finished_) return plan;

  Seq payload_end = seq + payload;
  Seq limit = right_edge_;
  if (fin_known_) limit = earlier(limit, fin_at_);
  const Seq first = later(seq, next_);
  plan.skip = first - seq;
  if (plan.skip > payload) plan.skip = payload;
  const Seq last = earlier(payload_end, limit);
  plan.take = last > first ? last - first : 0;
  plan.offset = first - next_;
  // A FIN takes no room, so one just beyond a full window counts as well.
  plan.fin = fin && !fin_known_ && payload_end <= right_edge_ && payload_end >= next_ &&
             payload_end == later(last, first);
  // Out of order and no slot left to remember it: the guest will send it again.
  if (plan.offset > 0 && plan.take > 0 && !out_of_order_.fits({first, last})) {
    plan.take = 0;
    plan.fin = false;
  }
  return plan;
}

std::uint32_t ReceiveHalf::commit(const ReceivePlan& plan, std::uint32_t stored) {
  const Seq before_commit = next_;
  const Seq first = next_ + plan.offset;
  if (plan.fin && stored == plan.take) {
    fin_known_ = true;
    fin_at_ = first + stored;
  }
  if (plan.offset > 0) {
    out_of_order_.add({first, first + stored});
  } else {
    next_ += stored;
    while (const auto held = out_of_order_.holding(next_)) next_ = held->right;
    out_of_order_.drop_before(next_);
  }
  const std::uint32_t grown = next_ - before_commit;
  if (fin_known_ && !finished_ && next_ == fin_at_) {
    finished_ = true;
    next_ += 1;
    right_edge_ = later(right_edge_, next_);
  }
  return grown;
}

std::uint16_t ReceiveHalf::offer_window(std::uint32_t room, std::uint32_t hard_room) {
  const std::uint32_t promised = right_edge_ - next_;
  const std::uint32_t unit = 1U << scale_;
  std::uint32_t field = room >> scale_;
  if ((field << scale_) < promised) {
    // What was promised must stay allowed, so this rounds up; it may not where the memory really ends, which
    // takes a guest that fills the whole window byte by byte.
    const std::uint32_t rounded = (promised + unit - 1) >> scale_;
    field = (rounded << scale_) <= hard_room ? rounded : promised >> scale_;
  }
  if (field > 0xffff) field = 0xffff;
  right_edge_ = later(right_edge_, next_ + (field << scale_));
  return static_cast<std::uint16_t>(field);
}

bool ReceiveHalf::window_update_due(std::uint32_t room, std::uint32_t capacity, std::uint32_t mss) const {
  if (finished_) return false;
  const std::uint32_t promised = right_edge_ - next_;
  // Without scaling 64 KiB is all that an ACK can offer; one that says it again would count as a duplicate.
  room = std::min(room, 0xffffU << scale_);
  if (room <= promised) return false;
  const std::uint32_t gain = room - promised;
  if (promised < mss) return gain >= std::min(mss, capacity / 2);
  return gain >= capacity / 4;
}

}  // namespace sf::tcp
