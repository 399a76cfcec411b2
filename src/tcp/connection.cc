#include "tcp/connection.hh"

namespace sf::tcp {
namespace {

constexpr std::uint32_t kTimestampOptionSize = 12;  // with its padding
constexpr std::uint32_t kDefaultMss4 = 536;         // RFC 9293 section 3.7.1
constexpr std::uint32_t kSmallestMss = 48;          // what is below makes no sense and only costs
constexpr std::uint8_t kMaxWindowScale = 14;        // RFC 7323 section 2.3
constexpr std::uint8_t kSynTimeouts = 5;
constexpr Duration kTimestampTick = 1ms;

// As an option's field.
std::uint16_t mss_field(std::uint32_t mss) {
  return static_cast<std::uint16_t>(std::min<std::uint32_t>(mss, 0xffff));
}

}  // namespace

Connection::Connection(const wire::TcpSegment& syn, const Opening& opening, Time now)
    : irs_(Seq{syn.sequence}),
      iss_(opening.iss),
      last_ack_sent_(Seq{syn.sequence}),
      timestamp_offset_(opening.timestamp_offset),
      our_mss_(mss_field(opening.our_mss)),
      offered_mss_(mss_field(opening.offered_mss)),
      last_heard_(now) {
  agree(syn);
}

Connection::Connection(const Opening& opening, Time now)
    : iss_(opening.iss),
      timestamp_offset_(opening.timestamp_offset),
      our_mss_(mss_field(opening.our_mss)),
      offered_mss_(mss_field(opening.offered_mss)),
      phase_(Phase::syn_sent),
      syn_pending_(true),
      last_heard_(now),
      phase_deadline_(now + RttEstimator::kInitialRto) {
  transmit_.start(iss_ + 1, kDefaultMss4, 0, Seq{});
}

// What the guest's SYN or SYN-ACK offers and demands.
void Connection::agree(const wire::TcpSegment& syn) {
  scaling_ = syn.options.window_scale.has_value();
  if (scaling_) guest_scale_ = std::min(*syn.options.window_scale, kMaxWindowScale);
  sack_ = syn.options.sack_permitted;
  timestamps_ = syn.options.timestamps.has_value();
  if (timestamps_) timestamp_recent_ = syn.options.timestamps->value;

  receive_.start(irs_, scaling_ ? kWindowScale : std::uint8_t{0});
  std::uint32_t mss = std::max<std::uint32_t>(syn.options.mss.value_or(kDefaultMss4), kSmallestMss);
  mss = std::min<std::uint32_t>(mss, our_mss_);
  if (timestamps_) mss -= std::min(kTimestampOptionSize, mss / 2);
  // The window of a SYN is never scaled (RFC 7323 section 2.2).
  transmit_.start(iss_ + 1, mss, syn.window, irs_);
}

void Connection::host_connected(Time now) {
  if (phase_ != Phase::connecting) return;
  phase_ = Phase::syn_received;
  syn_pending_ = true;
  phase_deadline_ = now + RttEstimator::kInitialRto;
}

SegmentOutcome Connection::on_segment(const wire::TcpSegment& segment, Time now) {
  SegmentOutcome outcome;
  if (phase_ == Phase::closed) {
    outcome.refuse = !segment.flags.rst;
    return outcome;
  }
  if (phase_ == Phase::connecting) {
    // Nothing has been answered yet, so there is only the SYN again, or a guest that has changed its mind.
    const Seq seq{segment.sequence};
    if (segment.flags.rst && (seq == irs_ || seq == irs_ + 1)) {
      outcome.reset = true;
      phase_ = Phase::closed;
    }
    // The answer echoes the SYN that is fresh (RFC 7323 section 4.3).
    const bool again = segment.flags.syn && !segment.flags.rst && seq == irs_;
    if (again && timestamps_ && segment.options.timestamps)
      timestamp_recent_ = segment.options.timestamps->value;
    return outcome;
  }

  if (phase_ == Phase::syn_sent) {
    on_syn_sent(segment, outcome);
    return outcome;
  }

  const auto payload = static_cast<std::uint32_t>(segment.payload.size());
  const ReceivePlan plan = receive_.plan(Seq{segment.sequence}, payload, segment.flags.fin);
  if (!passes_checks(segment, plan, outcome, now)) return outcome;

  last_heard_ = now;
  keep_alive_probes_ = 0;
  if (phase_ == Phase::syn_received) {
    on_syn_received(segment, outcome);
    if (phase_ != Phase::open) return outcome;
  }

  const bool bare = payload == 0 && !segment.flags.fin;
  const auto ack = transmit_.on_ack(Seq{segment.acknowledgment}, Seq{segment.sequence},
                                    scaled_window(segment), segment.options, bare, now);
  if (ack.verdict == TransmitHalf::AckVerdict::invalid) {
    challenge(now);
    return outcome;
  }
  outcome.acked = ack.acked;
  outcome.plan = plan;
  if (payload > 0 || segment.flags.fin) owe_ack(plan, segment, now);
  settle(now);
  return outcome;
}

void Connection::owe_ack(const ReceivePlan& plan, const wire::TcpSegment& segment, Time now) {
  const auto payload = static_cast<std::uint32_t>(segment.payload.size());
  const bool in_order = plan.offset == 0 && plan.take == payload && receive_.out_of_order().empty();
  const bool alone = unacknowledged() == 0 && !ack_.pending() && !segment.flags.fin;
  if (in_order && alone && payload < transmit_.mss()) {
    ack_.message(now);
  } else {
    ack_.demand();
  }
}

// The checks that come before a segment counts for anything (RFC 9293 section 3.10.7.4, RFC 7323 section 5.3,
// RFC 5961). False: it does not.
bool Connection::passes_checks(const wire::TcpSegment& segment, const ReceivePlan& plan,
                               SegmentOutcome& outcome, Time now) {
  const Seq seq{segment.sequence};
  if (timestamps_ && segment.options.timestamps && !segment.flags.rst) {
    const std::uint32_t value = segment.options.timestamps->value;
    if (static_cast<std::int32_t>(value - timestamp_recent_) < 0) {
      ack_.demand();
      return false;
    }
  }
  if (phase_ == Phase::syn_received && segment.flags.syn && seq == irs_) {
    syn_pending_ = true;  // ours was lost
    return false;
  }
  if (!plan.acceptable) {
    if (segment.flags.rst) return false;
    // What has been received already is acknowledged again at once, or its sender would wait for that; so is
    // a keep-alive or a window probe. What lies beyond the window is nobody's, and limited.
    if (seq > receive_.right_edge()) {
      challenge(now);
    } else {
      ack_.demand();
    }
    return false;
  }
  if (timestamps_ && segment.options.timestamps && !segment.flags.rst && seq <= last_ack_sent_) {
    timestamp_recent_ = segment.options.timestamps->value;  // RFC 7323 section 4.3 (2)
  }
  if (segment.flags.rst) {
    if (seq == receive_.next()) {
      outcome.reset = true;
      phase_ = Phase::closed;
    } else {
      challenge(now);  // RFC 5961 section 3.2
    }
    return false;
  }
  if (segment.flags.syn) {
    challenge(now);  // RFC 5961 section 4.2
    return false;
  }
  return segment.flags.ack;
}

// RFC 9293 section 3.10.7.3. Data on a SYN-ACK is left to be sent again.
void Connection::on_syn_sent(const wire::TcpSegment& segment, SegmentOutcome& outcome) {
  const bool acknowledged = segment.flags.ack && Seq{segment.acknowledgment} == iss_ + 1;
  if (segment.flags.ack && !acknowledged) {
    outcome.refuse = !segment.flags.rst;
    return;
  }
  if (!acknowledged) return;  // a blind RST, or a guest that opens the same connection at the same time
  if (segment.flags.rst) {
    outcome.reset = true;
    phase_ = Phase::closed;
    return;
  }
  if (!segment.flags.syn) return;
  irs_ = last_ack_sent_ = Seq{segment.sequence};
  agree(segment);
  receive_.allow(0xffff);  // our SYN's window
  phase_ = Phase::open;
  phase_deadline_ = kNever;
  ack_.demand();
}

void Connection::on_syn_received(const wire::TcpSegment& segment, SegmentOutcome& outcome) {
  const Seq ack{segment.acknowledgment};
  if (ack != iss_ + 1) {
    outcome.refuse = true;
    return;
  }
  phase_ = Phase::open;
  phase_deadline_ = kNever;
  syn_pending_ = false;
}

std::uint32_t Connection::commit(const ReceivePlan& plan, std::uint32_t stored, Time now) {
  const bool had_finished = receive_.finished();
  const std::uint32_t grown = receive_.commit(plan, stored);
  if (!had_finished && receive_.finished()) {
    guest_finished_first_ = !transmit_.fin_sent();
    if (guest_finished_first_) ack_.fin(now);
    settle(now);
  }
  return grown;
}

void Connection::set_held(std::uint32_t held, std::uint32_t capacity) {
  held_ = held;
  capacity_ = capacity;
  const std::uint32_t room = capacity_ > held_ ? capacity_ - held_ : 0;
  if (phase_ == Phase::open && receive_.window_update_due(room, capacity_, offered_mss_)) ack_.demand();
}

void Connection::set_blocked(bool blocked, Time now) {
  if (phase_ == Phase::open) transmit_.set_blocked(blocked, now);
}

// Both directions are over: what is left is to see the last ACKs through.
void Connection::settle(Time now) {
  if (phase_ == Phase::time_wait) {
    phase_deadline_ = now + kTimeWait;  // the guest asks again: it has not seen our last ACK
    return;
  }
  if (phase_ != Phase::open) return;
  if (!receive_.finished() || !transmit_.fin_acked()) return;
  if (guest_finished_first_) {
    phase_ = Phase::closed;
  } else {
    phase_ = Phase::time_wait;
    phase_deadline_ = now + kTimeWait;
  }
}

bool Connection::on_deadline(Time now) {
  if (phase_ == Phase::connecting || phase_ == Phase::closed) return true;
  if (phase_deadline_ <= now) {
    if (phase_ == Phase::time_wait) {
      phase_ = Phase::closed;
      return true;
    }
    if (++syn_timeouts_ > kSynTimeouts) {
      phase_ = Phase::closed;
      return false;
    }
    syn_pending_ = true;
    phase_deadline_ = now + RttEstimator::kInitialRto * (1 << syn_timeouts_);
  }
  if (phase_ != Phase::open) return true;
  ack_.on_deadline(now);
  switch (transmit_.on_deadline(now)) {
    case TransmitHalf::TimeoutResult::give_up:
      phase_ = Phase::closed;
      return false;
    case TransmitHalf::TimeoutResult::probe:
      probe_pending_ = true;
      break;
    case TransmitHalf::TimeoutResult::retransmit:
    case TransmitHalf::TimeoutResult::nothing:
      break;
  }
  if (deadline() <= now) {  // and so no other timer runs: keep-alive
    if (++keep_alive_probes_ > kKeepAliveProbes) {
      phase_ = Phase::closed;
      return false;
    }
    probe_pending_ = true;
  }
  return true;
}

Time Connection::deadline() const {
  switch (phase_) {
    case Phase::closed:
      return kNever;
    case Phase::connecting:
      return kNever;  // the host's kernel times out
    case Phase::syn_received:
    case Phase::syn_sent:
    case Phase::time_wait:
      return phase_deadline_;
    case Phase::open:
      break;
  }
  // Where one side has finished, a guest that has vanished would keep the flow for hours.
  const bool closing = receive_.finished() || transmit_.fin_acked();
  if (transmit_.deadline() != kNever) return std::min(transmit_.deadline(), ack_.deadline());
  const Duration quiet =
      (closing ? kKeepAliveClosing : kKeepAliveOpen) + keep_alive_probes_ * kKeepAliveInterval;
  return std::min(last_heard_ + quiet, ack_.deadline());
}

std::optional<Emission> Connection::next(std::uint32_t queued, std::uint32_t max_payload, Time now) {
  if (phase_ == Phase::connecting || phase_ == Phase::closed) return std::nullopt;
  if (phase_ == Phase::syn_received || phase_ == Phase::syn_sent) {
    if (!syn_pending_) return std::nullopt;
    syn_pending_ = false;
    return Emission{phase_ == Phase::syn_sent ? make_syn(now) : make_syn_ack(now), 0, 0};
  }
  if (phase_ == Phase::open) {
    if (const auto chunk = transmit_.next(queued, max_payload)) {
      const Seq una = transmit_.una();
      if (chunk->length > 0) ack_.payload(now - last_heard_);
      Emission emission{make_header(chunk->seq, now), chunk->seq - una, chunk->length};
      emission.header.flags.fin = chunk->fin;
      emission.header.flags.psh = chunk->length > 0;
      if (chunk->length > 0 && emission.header.options.sack_count > 0) {
        // The segments are cut to fit without the blocks (RFC 6691); those go into an ACK of their own.
        emission.header.options.sack_count = 0;
        ack_.demand();
      }
      transmit_.sent(*chunk, now);
      return emission;
    }
    if (probe_pending_) {
      // One byte back: the guest has it already, and so answers with its ACK and window. It may look at
      // nothing else of such a segment, so an ACK that is due still is.
      probe_pending_ = false;
      const AckTiming ack = ack_;
      const Seq acked = last_ack_sent_;
      const Emission probe{make_header(transmit_.una() - 1, now), 0, 0};
      ack_ = ack;
      last_ack_sent_ = acked;
      return probe;
    }
  }
  if (!ack_.pending()) return std::nullopt;
  ack_.bare();
  return Emission{make_header(transmit_.nxt(), now), 0, 0};
}

wire::TcpSegment Connection::make_header(Seq seq, Time now) {
  wire::TcpSegment header;
  header.sequence = seq.value;
  header.acknowledgment = receive_.next().value;
  header.flags.ack = true;
  const std::uint32_t room = capacity_ > held_ ? capacity_ - held_ : 0;
  const std::uint32_t hard_room = kCapacity > held_ ? kCapacity - held_ : 0;
  header.window = receive_.offer_window(room, hard_room);
  if (timestamps_) header.options.timestamps = wire::TcpTimestamps{timestamp(now), timestamp_recent_};
  if (sack_) {
    const Ranges& ranges = receive_.out_of_order();
    const std::size_t most = timestamps_ ? 3 : wire::TcpOptions::kMaxSackBlocks;
    for (std::size_t i = 0; i < std::min(ranges.size(), most); ++i) {
      header.options.sack[header.options.sack_count++] = {ranges[i].left.value, ranges[i].right.value};
    }
  }
  ack_.acknowledged();
  last_ack_sent_ = receive_.next();
  return header;
}

wire::TcpSegment Connection::make_syn(Time now) const {
  wire::TcpSegment header;
  header.sequence = iss_.value;
  header.flags.syn = true;
  header.options.mss = offered_mss_;
  header.window = 0xffff;
  header.options.window_scale = kWindowScale;
  header.options.timestamps = wire::TcpTimestamps{timestamp(now), 0};
  header.options.sack_permitted = true;
  return header;
}

wire::TcpSegment Connection::make_syn_ack(Time now) {
  wire::TcpSegment header;
  header.sequence = iss_.value;
  header.acknowledgment = receive_.next().value;
  header.flags.syn = true;
  header.flags.ack = true;
  header.options.mss = offered_mss_;
  // Scaling starts after the handshake, so the first right edge is what 16 bits can say.
  header.window = 0xffff;
  if (scaling_) header.options.window_scale = kWindowScale;
  if (timestamps_) header.options.timestamps = wire::TcpTimestamps{timestamp(now), timestamp_recent_};
  header.options.sack_permitted = sack_;
  receive_.allow(0xffff);
  last_ack_sent_ = receive_.next();
  return header;
}

wire::TcpSegment Connection::reset_segment() const {
  wire::TcpSegment header;
  header.flags.rst = true;
  header.flags.ack = phase_ != Phase::syn_sent;  // of which nothing is known to acknowledge
  if (header.flags.ack) header.acknowledgment = receive_.next().value;
  // In answer to a SYN, the sequence number is zero (RFC 9293 section 3.10.7.1).
  header.sequence = phase_ == Phase::connecting ? 0 : transmit_.nxt().value;
  return header;
}

void Connection::challenge(Time now) {
  if (now < challenge_after_) return;
  challenge_after_ = now + kChallengeInterval;
  ack_.demand();
}

std::uint32_t Connection::scaled_window(const wire::TcpSegment& segment) const {
  return std::uint32_t{segment.window} << guest_scale_;
}

std::uint32_t Connection::timestamp(Time now) const {
  return static_cast<std::uint32_t>(now.time_since_epoch() / kTimestampTick) + timestamp_offset_;
}

State Connection::state() const {
  switch (phase_) {
    case Phase::connecting:
      return State::connecting;
    case Phase::syn_received:
      return State::syn_received;
    case Phase::syn_sent:
      return State::syn_sent;
    case Phase::time_wait:
      return State::time_wait;
    case Phase::closed:
      return State::closed;
    case Phase::open:
      break;
  }
  const bool guest = receive_.finished();
  if (!transmit_.fin_sent()) return guest ? State::close_wait : State::established;
  if (guest) return guest_finished_first_ ? State::last_ack : State::closing;
  return transmit_.fin_acked() ? State::fin_wait_2 : State::fin_wait_1;
}

}  // namespace sf::tcp
