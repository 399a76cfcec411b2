#include "sim/guest_tcp.hh"

#include <algorithm>

#include "sim/sequence.hh"

namespace sf::sim {
namespace {

constexpr unsigned kSynRetries = 6;
constexpr unsigned kRetries = 15;
constexpr Duration kInitialTimeout = 1s;
constexpr Duration kMinTimeout = 200ms;
constexpr Duration kMaxTimeout = 60s;
constexpr Duration kDelayedAck = 40ms;
constexpr Duration kTimeWait = 60s;
constexpr std::size_t kTimestampsSize = 12;
constexpr std::uint32_t kLargestSuper = 64000;

}  // namespace

GuestTcp::GuestTcp(World& world, Ledger& ledger, const LinkPlan& link, Emit emit)
    : world_(world),
      ledger_(ledger),
      plan_(ledger.plan.from),
      link_(link),
      emit_(std::move(emit)),
      sender_(plan_, world.random()),
      receiver_(plan_),
      retransmit_(world, [this] { on_timer(); }),
      delayed_ack_(world,
                   [this] {
                     if (pending()) send_ack();
                   }),
      write_(world, [this] { application_write(); }),
      read_(world, [this] { application_read(); }),
      keep_alive_(world, [this] { probe(); }),
      fin_wait_(world, [this] {
        if (pending()) end(GuestOutcome::gave_up);
      }) {}

std::uint32_t GuestTcp::clock() const {
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(world_.now().time_since_epoch()).count();
  return static_cast<std::uint32_t>(ms) + plan_.timestamp_offset;
}

Duration GuestTcp::timeout() const {
  const Duration base = smoothed_ ? std::max(*smoothed_ + 4 * variation_, kMinTimeout) : kInitialTimeout;
  return std::min(base * (1 << std::min(retries_, 10U)), kMaxTimeout);
}

bool GuestTcp::forgotten() const {
  if (ledger_.outcome == GuestOutcome::done) return world_.now() > ledger_.ended + kTimeWait;
  return !pending();
}

// --- opening
// -------------------------------------------------------------------------------------------------------

void GuestTcp::start() {
  started_ = true;
  send_syn();
  if (plan_.close == GuestClose::never_answer) return end(GuestOutcome::vanished);
  retransmit_.set(kInitialTimeout);
}

void GuestTcp::send_syn() {
  wire::TcpSegment syn;
  syn.flags.syn = true;
  syn.sequence = plan_.isn;
  syn.window = receiver_.syn_window();
  if (plan_.mss != 0) syn.options.mss = plan_.mss;
  if (plan_.offer_scale) syn.options.window_scale = plan_.scale;
  syn.options.sack_permitted = plan_.offer_sack;
  if (plan_.offer_timestamps) syn.options.timestamps = wire::TcpTimestamps{clock(), 0};
  emit_(syn, {}, 0);
}

void GuestTcp::on_syn_sent(const wire::TcpSegment& segment) {
  const bool ours = segment.flags.ack && segment.acknowledgment == plan_.isn + 1;
  if (segment.flags.rst) {
    if (ours) end(GuestOutcome::refused);
    return;
  }
  if (segment.flags.ack && !ours) {
    // RFC 9293 section 3.10.7.3: an ACK of something else.
    wire::TcpSegment reset;
    reset.flags.rst = true;
    reset.sequence = segment.acknowledgment;
    emit_(reset, {}, 0);
    return;
  }
  if (segment.flags.syn && ours) establish(segment);
}

void GuestTcp::establish(const wire::TcpSegment& segment) {
  const wire::TcpOptions& options = segment.options;
  established_ = true;
  retries_ = 0;
  retransmit_.cancel();
  timestamps_ = plan_.offer_timestamps && options.timestamps;
  sack_ = plan_.offer_sack && options.sack_permitted;
  const bool scaled = plan_.offer_scale && options.window_scale;
  peer_scale_ = scaled ? std::min<unsigned>(*options.window_scale, 14) : 0;
  if (timestamps_) ts_recent_ = options.timestamps->value;
  receiver_.begin(segment.sequence, scaled ? plan_.scale : 0);
  const bool v4 = ledger_.plan.guest.address.is_v4();
  const std::uint32_t path = link_.mtu - (v4 ? 40 : 60);
  const std::uint32_t mss = std::min<std::uint32_t>(options.mss.value_or(v4 ? 536 : 1220), path);
  segment_ = mss - (timestamps_ ? static_cast<std::uint32_t>(kTimestampsSize) : 0);
  sender_.begin(segment_, link_.guest_gso ? std::max(kLargestSuper, segment_) : segment_, segment.window);
  window_sequence_ = 0;
  window_ack_ = 1;
  ack_now_ = true;
  if (plan_.keep_alive != Duration{0}) keep_alive_.set(plan_.keep_alive);
  application_write();
  settle();
}

void GuestTcp::vanish() {
  if (pending()) end(GuestOutcome::vanished);
}

void GuestTcp::on_unreachable(std::uint32_t sequence) {
  if (started_ && sequence == plan_.isn && !established_ && pending()) end(GuestOutcome::unreachable);
}

// --- segments
// ------------------------------------------------------------------------------------------------------

void GuestTcp::on_segment(const wire::TcpSegment& segment) {
  if (!established_) return on_syn_sent(segment);
  unanswered_ = 0;
  if (!check_sequence(segment)) return;
  take_ack(segment);
  if (!segment.payload.empty() || segment.flags.fin) take_data(segment);
  settle();
}

// RFC 9293 section 3.10.7.4 up to the ACK field, with RFC 5961's care and RFC 7323's PAWS.
bool GuestTcp::check_sequence(const wire::TcpSegment& segment) {
  const std::uint64_t from = receiver_.offset(segment.sequence);
  const wire::TcpOptions& options = segment.options;
  const bool in_window = receiver_.acceptable(from, segment.length());
  if (segment.flags.rst) {
    if (from == receiver_.next()) {
      if (pending()) end(GuestOutcome::reset);
    } else if (from < receiver_.edge() && from > receiver_.next()) {
      send_ack();
    }
    return false;
  }
  if (segment.flags.syn) {
    send_ack();
    return false;
  }
  const bool old =
      timestamps_ && options.timestamps && timestamp_before(options.timestamps->value, ts_recent_);
  // Beyond a closed window a FIN still counts, as does an ACK; any other ACK of such a segment does not.
  const bool bare_fin = segment.flags.fin && from + segment.payload.size() == receiver_.next();
  if (old || (!in_window && !bare_fin)) {
    const bool closed = receiver_.edge() == receiver_.next() && from == receiver_.next();
    if (!old && closed && segment.flags.ack) take_ack(segment);
    send_ack();
    settle();
    return false;
  }
  if (!segment.flags.ack) return false;
  if (timestamps_ && options.timestamps && from <= last_ack_sent_) ts_recent_ = options.timestamps->value;
  return true;
}

void GuestTcp::take_ack(const wire::TcpSegment& segment) {
  const std::uint64_t ack = offset_of(segment.acknowledgment, plan_.isn, sender_.acknowledged());
  if (ack > sender_.highest()) {
    world_.violation("ack-unsent", "{}: ACK of {}, of which {} was sent", ledger_.plan.guest.to_string(), ack,
                     sender_.highest());
    return;
  }
  if (ack < sender_.acknowledged()) return;
  for (std::size_t i = 0; sack_ && i < segment.options.sack_count; ++i) {
    sender_.on_sack(offset_of(segment.options.sack[i].left, plan_.isn, ack),
                    offset_of(segment.options.sack[i].right, plan_.isn, ack));
  }
  const std::uint64_t from = receiver_.offset(segment.sequence);
  GuestSender::Ack news{.ack = ack, .bare = segment.payload.empty() && !segment.flags.fin};
  // An older segment's window is of no use (RFC 9293 section 3.10.7.4, SND.WL1 and SND.WL2); its ACK is.
  if (from > window_sequence_ || (from == window_sequence_ && ack >= window_ack_)) {
    window_sequence_ = from;
    window_ack_ = ack;
    news.window = std::uint64_t{segment.window} << peer_scale_;
  }
  if (sender_.on_ack(news)) {
    retries_ = 0;
    measure(ack);
    if (sender_.unfinished()) {
      retransmit_.set(timeout());
    } else {
      retransmit_.cancel();
    }
  }
  ledger_.guest_acked = sender_.bytes_acknowledged();
}

// RFC 6298 section 2, on one segment at a time that was sent once.
void GuestTcp::measure(std::uint64_t acknowledged) {
  if (!timed_ || acknowledged < timed_->first) return;
  const Duration sample = world_.now() - timed_->second;
  timed_.reset();
  if (!smoothed_) {
    smoothed_ = sample;
    variation_ = sample / 2;
    return;
  }
  const Duration error = sample > *smoothed_ ? sample - *smoothed_ : *smoothed_ - sample;
  variation_ = (3 * variation_ + error) / 4;
  smoothed_ = (7 * *smoothed_ + sample) / 8;
}

void GuestTcp::take_data(const wire::TcpSegment& segment) {
  const std::uint64_t from = receiver_.offset(segment.sequence);
  const auto outcome = receiver_.take_segment(from, segment.payload, segment.flags.fin, ledger_.to_guest);
  if (outcome.wrong) {
    world_.violation("prefix-to-guest", "{}: byte {} is not what the server sent",
                     ledger_.plan.guest.to_string(), *outcome.wrong);
  }
  if (outcome.after_fin) {
    world_.violation("data-after-fin", "{}: the stream goes on after its end",
                     ledger_.plan.guest.to_string());
  }
  if (world_.random().chance(plan_.forged)) forge();
  if (plan_.reneges && world_.random().chance(0.05)) receiver_.renege();
  ledger_.guest_received = receiver_.received();
  ledger_.guest_saw_fin = receiver_.fin_received();
  unacknowledged_ += segment.payload.size() > segment_ ? 2U : 1U;
  if (!plan_.delayed_ack || !outcome.in_order || segment.flags.fin || unacknowledged_ >= 2) {
    ack_now_ = true;
  } else if (!delayed_ack_.armed()) {
    delayed_ack_.set(kDelayedAck);
  }
  if (plan_.pause_at != 0 && !was_paused_ && receiver_.received() >= plan_.pause_at) {
    paused_ = was_paused_ = true;
    read_.set(plan_.pause);
  } else if (!paused_ && plan_.read_chunk == 0) {
    receiver_.read(receiver_.unread());
  } else if (!read_.armed()) {
    read_.set(plan_.read_interval);
  }
}

// --- the application
// -------------------------------------------------------------------------------------------------

void GuestTcp::application_write() {
  if (!pending()) return;
  const std::uint64_t left = plan_.send_bytes - sender_.written();
  sender_.write(plan_.write_chunk == 0 ? left : std::min(left, plan_.write_chunk));
  if (sender_.written() < plan_.send_bytes) write_.set(plan_.write_interval);
  settle();
}

void GuestTcp::application_read() {
  if (!pending()) return;
  paused_ = false;
  receiver_.read(plan_.read_chunk == 0 ? receiver_.unread() : plan_.read_chunk);
  if (receiver_.unread() > 0) read_.set(plan_.read_interval);
  if (receiver_.update_due() && !plan_.no_updates) send_ack();
}

// What follows from what has changed: the plan's end, a FIN of one's own, segments to send.
void GuestTcp::settle() {
  if (!established_) return;
  if (!pending()) {
    if (ack_now_) send_ack();
    return;
  }
  const std::uint64_t progress = sender_.bytes_acknowledged() + receiver_.received();
  if (plan_.close == GuestClose::vanish && progress >= plan_.close_at) return end(GuestOutcome::vanished);
  if (plan_.close == GuestClose::abort && progress >= plan_.close_at) {
    wire::TcpSegment reset;
    reset.flags.rst = reset.flags.ack = true;
    reset.sequence = plan_.isn + static_cast<std::uint32_t>(sender_.highest());
    reset.acknowledgment = receiver_.acknowledgment();
    emit_(reset, {}, 0);
    return end(GuestOutcome::aborted);
  }
  if (sender_.written() == plan_.send_bytes &&
      (plan_.close == GuestClose::after_send ||
       (plan_.close == GuestClose::after_peer_fin && receiver_.fin_received()))) {
    sender_.close();
  }
  output();
  if (plan_.close == GuestClose::vanish_after_peer_fin && receiver_.fin_received()) {
    return end(GuestOutcome::vanished);
  }
  if (sender_.fin_acknowledged() && receiver_.fin_received()) return end(GuestOutcome::done);
  if (sender_.fin_acknowledged() && plan_.fin_wait != Duration{0} && !fin_wait_.armed()) {
    fin_wait_.set(plan_.fin_wait);
  }
}

void GuestTcp::end(GuestOutcome outcome) {
  ledger_.outcome = outcome;
  ledger_.ended = world_.now();
  retransmit_.cancel();
  write_.cancel();
  read_.cancel();
  keep_alive_.cancel();
  fin_wait_.cancel();
  world_.note("guest: {} {}", ledger_.plan.guest.to_string(), to_string(outcome));
}

// --- sending
// ---------------------------------------------------------------------------------------------------------

void GuestTcp::put_options(wire::TcpSegment& segment) {
  if (timestamps_) segment.options.timestamps = wire::TcpTimestamps{clock(), ts_recent_};
  if (sack_) receiver_.put_sack(segment.options);
}

void GuestTcp::output() {
  while (const auto chunk = sender_.next()) send(*chunk);
  if (ack_now_) send_ack();
  if (sender_.unfinished() && !retransmit_.armed()) retransmit_.set(timeout());
}

void GuestTcp::send(const GuestSender::Chunk& chunk) {
  wire::TcpSegment segment;
  segment.flags.ack = true;
  segment.flags.fin = chunk.fin;
  segment.flags.psh = chunk.size > 0;
  segment.flags.urg = plan_.odd_sizes && world_.random().chance(0.01);
  segment.sequence = plan_.isn + static_cast<std::uint32_t>(chunk.from);
  segment.acknowledgment = receiver_.acknowledgment();
  segment.window = receiver_.advertise();
  if (timestamps_) segment.options.timestamps = wire::TcpTimestamps{clock(), ts_recent_};
  std::vector<std::uint8_t> payload(chunk.size);
  ledger_.from_guest.fill(chunk.from - 1, payload);
  if (chunk.again) {
    timed_.reset();
  } else if (!timed_) {
    timed_ = {chunk.from + chunk.size + (chunk.fin ? 1 : 0), world_.now()};
  }
  ack_now_ = false;
  unacknowledged_ = 0;
  delayed_ack_.cancel();
  last_ack_sent_ = receiver_.next();
  emit_(segment, payload, static_cast<std::uint16_t>(segment_));
}

void GuestTcp::send_ack() {
  wire::TcpSegment segment;
  segment.flags.ack = true;
  segment.sequence = plan_.isn + static_cast<std::uint32_t>(sender_.ack_sequence());
  segment.acknowledgment = receiver_.acknowledgment();
  segment.window = receiver_.advertise();
  put_options(segment);
  ack_now_ = false;
  unacknowledged_ = 0;
  delayed_ack_.cancel();
  last_ack_sent_ = receiver_.next();
  emit_(segment, {}, 0);
}

// RFC 9293 section 3.8.4. Where something is on its way, that is probe enough.
void GuestTcp::probe() {
  if (!pending()) return;
  keep_alive_.set(plan_.keep_alive);
  if (sender_.unfinished()) return;
  wire::TcpSegment segment;
  segment.flags.ack = true;
  segment.sequence = plan_.isn + static_cast<std::uint32_t>(sender_.acknowledged()) - 1;
  segment.acknowledgment = receiver_.acknowledgment();
  segment.window = receiver_.advertise();
  put_options(segment);
  emit_(segment, {}, 0);
}

// A segment as a blind attacker would send it (RFC 5961): a reset or SYN somewhere in the window, or data
// with an ACK of what was never sent. None of them may have an effect.
void GuestTcp::forge() {
  Random& random = world_.random();
  wire::TcpSegment segment;
  std::vector<std::uint8_t> payload;
  segment.sequence = plan_.isn + static_cast<std::uint32_t>(sender_.highest() + random.between(1, 60'000));
  segment.window = static_cast<std::uint16_t>(random.next());
  if (timestamps_) segment.options.timestamps = wire::TcpTimestamps{clock(), ts_recent_};
  switch (random.below(4)) {
    case 0:
      segment.flags.rst = true;
      break;
    case 1:
      segment.flags.syn = true;
      break;
    case 2:
      segment.flags.rst = true;
      segment.sequence += 0x4000'0000;
      break;
    default:
      segment.flags.ack = true;
      segment.sequence = plan_.isn + static_cast<std::uint32_t>(sender_.highest());
      segment.acknowledgment = receiver_.acknowledgment() + 0x1000'0000;
      payload.resize(random.between(1, 100), 0x66);
      break;
  }
  emit_(segment, payload, 0);
}

void GuestTcp::on_timer() {
  if (!pending()) return;
  ++retries_;
  if (!established_) {
    if (retries_ > kSynRetries) return end(GuestOutcome::timed_out);
    send_syn();
    retransmit_.set(kInitialTimeout * (1 << retries_));
    return;
  }
  // A probe of a closed window goes on for as long as it is answered (RFC 9293 section 3.8.6.1).
  if (++unanswered_ > kRetries) return end(GuestOutcome::gave_up);
  timed_.reset();
  sender_.on_timeout();
  if (const auto chunk = sender_.next()) {
    send(*chunk);
  } else if (sender_.unfinished()) {
    send(sender_.probe());
  }
  retransmit_.set(timeout());
}

}  // namespace sf::sim
