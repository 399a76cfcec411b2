#include "sim/tcp_watch.hh"

#include <algorithm>

#include "sim/sequence.hh"

namespace sf::sim {
namespace {

// RFC 9293 section 3.7.1: what to assume where the SYN had no MSS option.
constexpr std::uint32_t default_mss(bool v4) {
  return v4 ? 536 : 1220;
}

// The least time for which the stack answers a FIN that comes again. Shorter than TCP's two maximum segment
// lifetimes, as the link lies within one machine.
constexpr Duration kTimeWait = 900ms;

}  // namespace

// --- what reached the stack
// --------------------------------------------------------------------------------------

void TcpWatch::begin(const wire::TcpSegment& syn) {
  // The same SYN once more: which of the two is echoed is of no matter.
  if (begun_ && syn.sequence == guest_isn_) {
    if (syn.options.timestamps) echoable_.insert(syn.options.timestamps->value);
    return;
  }
  begun_ = true;
  guest_isn_ = syn.sequence;
  offered_ = syn.options;
  arrived_.clear();
  arrived_.add(0, 1);
  contiguous_ = in_order_ = 1;
  guest_fin_.reset();
  echoable_.clear();
  newest_timestamp_.reset();
  if (syn.options.timestamps) echoable_.insert(syn.options.timestamps->value);
  guest_edge_ = 1 + std::uint64_t{syn.window};
  largest_window_ = syn.window;
  guest_ack_ = 0;
}

void TcpWatch::on_received(const wire::TcpSegment& segment) {
  // Only the exact number makes a reset one (RFC 5961 section 3.2); before the connection stands, any that is
  // near does.
  if (segment.flags.rst) {
    const std::uint64_t at = offset_of(segment.sequence, guest_isn_, contiguous_);
    if (at == contiguous_ || !ledger_.handshake_reached_stack) ledger_.reset_reached_stack = true;
  }
  const bool repeated = begun_ && segment.sequence == guest_isn_;
  if (segment.flags.syn && !segment.flags.ack && (!answered_ || repeated)) begin(segment);
  if (!begun_ || segment.flags.syn || segment.flags.rst || !segment.flags.ack) return;
  if (forged(segment)) {
    // Its timestamp may count all the same: RFC 7323 section 4.3 looks at the sequence number alone.
    if (segment.options.timestamps) echoable_.insert(segment.options.timestamps->value);
    return;
  }
  if (answered_) learn_ack(segment);
  learn_data(segment);
  if (completed_ == kNever && ledger_.fin_reached_stack && ledger_.fin_acked_to_stack)
    completed_ = world_.now();
}

// An ACK of what was never sent comes from somebody else, and so does what is with it (RFC 5961 section 5.2).
bool TcpWatch::forged(const wire::TcpSegment& segment) const {
  return answered_ && offset_of(segment.acknowledgment, stack_isn_, guest_ack_) > highest_;
}

void TcpWatch::learn_ack(const wire::TcpSegment& segment) {
  const std::uint64_t ack = offset_of(segment.acknowledgment, stack_isn_, guest_ack_);
  if (ack == 0) return;
  if (!ghost_) ledger_.handshake_reached_stack = true;
  guest_ack_ = std::max(guest_ack_, ack);
  const std::uint64_t fin = stack_fin_.value_or(UINT64_MAX);
  ledger_.fin_acked_to_stack = ledger_.fin_acked_to_stack || guest_ack_ > fin;
  ledger_.acked_to_stack = std::min(guest_ack_, fin) - 1;
  const unsigned scale = agreed_.window_scale ? std::min<unsigned>(offered_.window_scale.value_or(0), 14) : 0;
  const std::uint64_t window = std::uint64_t{segment.window} << scale;
  largest_window_ = std::max(largest_window_, window);
  guest_edge_ = std::max(guest_edge_, ack + window);
}

void TcpWatch::learn_data(const wire::TcpSegment& segment) {
  const std::uint64_t from = offset_of(segment.sequence, guest_isn_, contiguous_);
  const std::uint64_t end = from + segment.payload.size();
  // What RFC 5961 section 5.2 and PAWS (RFC 7323 section 5) throw away nobody has to acknowledge.
  const std::uint64_t ack = answered_ ? offset_of(segment.acknowledgment, stack_isn_, guest_ack_) : 0;
  bool too_old = ack + largest_window_ < guest_ack_;
  if (segment.options.timestamps) {
    const std::uint32_t value = segment.options.timestamps->value;
    if (from <= contiguous_) echoable_.insert(value);
    const bool earlier = newest_timestamp_ && timestamp_before(value, *newest_timestamp_);
    if (!earlier) newest_timestamp_ = value;
    too_old = too_old || earlier;
  }
  if (segment.flags.fin) guest_fin_ = end;
  arrived_.add(from, end + (segment.flags.fin ? 1 : 0));
  if (from <= in_order_ && !too_old) {
    in_order_ = std::max(in_order_, std::min(end + (segment.flags.fin ? 1 : 0), adv_edge_));
  }
  contiguous_ = arrived_.end_of(contiguous_);
  if (ghost_) return;
  const std::uint64_t data_end = std::min(contiguous_, guest_fin_.value_or(UINT64_MAX));
  ledger_.reached_stack = std::max(ledger_.reached_stack, data_end - 1);
  ledger_.fin_reached_stack = ledger_.fin_reached_stack || (guest_fin_ && contiguous_ > *guest_fin_);
}

// --- what the stack sent
// -----------------------------------------------------------------------------------------

void TcpWatch::on_sent(const wire::TcpSegment& segment, const wire::Offload& offload, bool taken) {
  if (segment.flags.rst) return check_reset(segment);
  if (!begun_) return broken("unasked", "a segment to a guest that sent no SYN");
  if (segment.flags.syn) {
    check_syn_ack(segment);
  } else if (!answered_) {
    return broken("unasked", "a segment before the SYN-ACK");
  }
  // Refused frames count as well: an ACK of what they carried cannot come, and whether it could is not worth
  // a rule.
  const std::uint64_t end = offset_of(segment.sequence, stack_isn_, guest_ack_) + segment.length();
  highest_ = std::max(highest_, end);
  if (ghost_) return;
  if (!segment.flags.ack) return broken("ack-missing", "a segment without ACK");
  check_ack(segment);
  check_window(segment);
  check_timestamps(segment);
  check_sack(segment);
  if (!segment.flags.syn) check_data(segment, offload);
  if (!taken) return;
  last_ack_ = std::max(last_ack_, offset_of(segment.acknowledgment, guest_isn_, last_ack_));
}

void TcpWatch::check_syn_ack(const wire::TcpSegment& segment) {
  if (!segment.flags.ack) return broken("syn-without-ack", "a bare SYN towards the guest");
  if (answered_ && segment.sequence == stack_isn_) return;
  if (!ledger_.connected && ledger_.ghosts == 0)
    broken("syn-ack-early", "SYN-ACK before the host connection was known to stand");
  if (answered_) {
    if (ledger_.connects == connects_seen_) {
      return broken("syn-ack-changed", "a second initial sequence number on one host connection");
    }
    // The guest knows nothing of what an old SYN has opened again, unless the first one never answered it.
    ghost_ = ledger_.handshake_reached_stack || ledger_.outcome != GuestOutcome::pending;
    arrived_.clear();
    arrived_.add(0, 1);
    contiguous_ = in_order_ = 1;
    last_ack_ = adv_edge_ = must_ack_ = guest_ack_ = highest_ = 0;
    last_echo_.reset();
    stack_fin_.reset();
  }
  answered_ = true;
  connects_seen_ = ledger_.connects;
  stack_isn_ = segment.sequence;
  agreed_ = segment.options;
  if (agreed_.window_scale && !offered_.window_scale)
    broken("syn-ack-options", "window scale was not offered");
  if (agreed_.timestamps && !offered_.timestamps) broken("syn-ack-options", "timestamps were not offered");
  if (agreed_.sack_permitted && !offered_.sack_permitted) broken("syn-ack-options", "SACK was not offered");
  if (agreed_.window_scale.value_or(0) > 14) broken("syn-ack-options", "window scale above 14");
  if (!agreed_.mss) broken("syn-ack-options", "no MSS");
  const std::uint32_t headers = ledger_.plan.guest.address.is_v4() ? 40 : 60;
  if (agreed_.mss.value_or(0) + headers > mtu_)
    broken("syn-ack-options", "MSS {} above the MTU", *agreed_.mss);
  if (!segment.payload.empty()) broken("syn-ack-options", "data on a SYN-ACK");
}

void TcpWatch::check_reset(const wire::TcpSegment& /*segment*/) {
  const FlowPlan& plan = ledger_.plan;
  // Whoever waits to be answered may be turned away in a flood; its last ACK may be on its way by then.
  const bool asked_for =
      !plan.clean() || ledger_.stack_sent_reset || ledger_.connect_failed || ledger_.reset_reached_stack;
  const bool over =
      ledger_.outcome != GuestOutcome::pending || (ledger_.guest_saw_fin && ledger_.fin_reached_stack);
  if (!asked_for && !over && !ghost_ && ledger_.handshake_reached_stack) {
    broken("unexpected-reset", "RST although nobody failed: {} of {} bytes from the guest, {} of {} to it",
           ledger_.accepted, plan.from.send_bytes, ledger_.acked_to_stack, plan.peer.send_bytes);
  }
  if (!asked_for && !ghost_ && ledger_.outcome == GuestOutcome::pending && completed_ != kNever &&
      world_.now() < completed_ + kTimeWait) {
    broken("time-wait", "RST to a guest whose FIN was not acknowledged in its eyes");
  }
  ledger_.stack_sent_reset = true;
}

void TcpWatch::check_ack(const wire::TcpSegment& segment) {
  const std::uint64_t ack = offset_of(segment.acknowledgment, guest_isn_, last_ack_);
  if (ack > contiguous_) broken("ack-unreceived", "ACK of {}, of which {} has arrived", ack, contiguous_);
  if (ack < last_ack_) broken("ack-backwards", "ACK of {} after one of {}", ack, last_ack_);
  if (ack < must_ack_ && !may_drop_ && !ledger_.peer_reset && !ledger_.connect_failed) {
    broken("in-window-dropped", "ACK of {} although {} came in order and in window", ack, must_ack_);
  }
}

void TcpWatch::check_window(const wire::TcpSegment& segment) {
  const bool scaled = !segment.flags.syn && offered_.window_scale && agreed_.window_scale;
  const unsigned scale = scaled ? *agreed_.window_scale : 0;
  const std::uint64_t ack = offset_of(segment.acknowledgment, guest_isn_, last_ack_);
  const std::uint64_t edge = ack + (std::uint64_t{segment.window} << scale);
  // What does not divide by the scale cannot be said exactly (RFC 7323 section 2.4).
  if (edge + (std::uint64_t{1} << scale) - 1 < adv_edge_) {
    broken("window-shrink", "right edge {} after {}", edge, adv_edge_);
  }
  adv_edge_ = std::max(adv_edge_, edge);
}

void TcpWatch::check_timestamps(const wire::TcpSegment& segment) {
  const bool agreed = agreed_.timestamps && offered_.timestamps;
  if (!segment.options.timestamps) {
    if (agreed) broken("timestamps", "missing although agreed on (RFC 7323 section 3.2)");
    return;
  }
  if (!agreed) return broken("timestamps", "not agreed on");
  const std::uint32_t echo = segment.options.timestamps->echo_reply;
  if (!echoable_.contains(echo)) broken("timestamps", "echo of {}, which is not to be echoed", echo);
  if (last_echo_ && timestamp_before(echo, *last_echo_)) broken("timestamps", "echo goes back to {}", echo);
  last_echo_ = echo;
}

void TcpWatch::check_sack(const wire::TcpSegment& segment) {
  const wire::TcpOptions& options = segment.options;
  if (options.sack_count > 0 && !(offered_.sack_permitted && agreed_.sack_permitted)) {
    broken("sack", "blocks although not agreed on");
  }
  for (std::size_t i = 0; i < options.sack_count; ++i) {
    const std::uint64_t left = offset_of(options.sack[i].left, guest_isn_, contiguous_);
    const std::uint64_t right = offset_of(options.sack[i].right, guest_isn_, contiguous_);
    const std::uint64_t ack = offset_of(segment.acknowledgment, guest_isn_, last_ack_);
    if (left >= right) broken("sack", "empty block {}-{}", left, right);
    if (!arrived_.contains(left, right)) broken("sack", "block {}-{} has not arrived", left, right);
    // The first may report a duplicate (RFC 2883), the others may not.
    if (i > 0 && left <= ack) broken("sack", "block {}-{} lies below the ACK of {}", left, right, ack);
  }
}

void TcpWatch::check_data(const wire::TcpSegment& segment, const wire::Offload& offload) {
  const std::uint64_t from = offset_of(segment.sequence, stack_isn_, guest_ack_);
  const std::uint64_t end = from + segment.payload.size();
  const std::size_t piece =
      offload.gso == wire::GsoType::none ? segment.payload.size() : std::size_t{offload.gso_size};
  const std::uint32_t mss = offered_.mss ? *offered_.mss : default_mss(ledger_.plan.guest.address.is_v4());
  // RFC 6691: options come out of the MSS.
  if (piece > 0 && piece + segment.options.size() > mss) {
    broken("mss", "{} bytes of data and {} of options with an MSS of {}", piece, segment.options.size(), mss);
  }
  // A probe of a closed window may carry one byte (RFC 9293 section 3.8.6.1); so may a keep-alive, of any
  // value.
  const bool probe = segment.payload.size() == 1 && from == guest_edge_ && guest_ack_ == guest_edge_;
  const bool keep_alive = segment.payload.size() == 1 && from + 1 == std::max<std::uint64_t>(guest_ack_, 1);
  if (keep_alive) return;
  if (!segment.payload.empty()) {
    if (end > guest_edge_ && !probe) {
      broken("window-overrun", "data {}-{} beyond the guest's right edge {}", from, end, guest_edge_);
    }
    if (from == 0 || end > 1 + ledger_.handed) {
      return broken("data-unread", "data {}-{}, but the host gave {} bytes", from, end, ledger_.handed);
    }
    if (stack_fin_ && end > *stack_fin_) broken("data-after-fin", "data {}-{} past the FIN", from, end);
    const std::size_t wrong = ledger_.to_guest.mismatch(from - 1, segment.payload);
    if (wrong != segment.payload.size()) {
      broken("prefix-to-guest", "byte {} is not what the server sent", from - 1 + wrong);
    }
  }
  if (segment.flags.fin) check_fin(segment, end);
}

void TcpWatch::check_fin(const wire::TcpSegment& /*segment*/, std::uint64_t end) {
  if (!ledger_.eof_handed || end != 1 + ledger_.handed) {
    broken("fin-early", "FIN at {}; the host gave {} bytes, {}", end, ledger_.handed,
           ledger_.eof_handed ? "and its end" : "not its end");
  }
  if (stack_fin_ && *stack_fin_ != end) broken("fin-moved", "FIN at {} after one at {}", end, *stack_fin_);
  stack_fin_ = end;
}

}  // namespace sf::sim
