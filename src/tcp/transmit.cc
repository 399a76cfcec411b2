#include "tcp/transmit.hh"

namespace sf::tcp {
namespace {

constexpr std::uint32_t kBigFrame = 65536;

}  // namespace

void TransmitHalf::start(Seq first, std::uint32_t mss, std::uint32_t window, Seq irs) {
  una_ = nxt_ = recover_ = retransmit_next_ = window_ack_ = big_begin_ = big_end_ = first;
  window_seq_ = irs;  // RFC 9293 section 3.10.7.4, SYN-RECEIVED: the next segment's window is taken
  mss_ = mss;
  window_ = max_window_ = window;
}

TransmitHalf::AckResult TransmitHalf::on_ack(Seq ack, Seq segment_seq, std::uint32_t window,
                                             const wire::TcpOptions& options, bool bare, Time now) {
  // RFC 5961 section 5.2: an ACK from further back than the largest window ever offered, or for what was
  // never sent, comes from somebody else.
  if (ack > nxt_ || ack < una_ - max_window_) return {AckVerdict::invalid, 0};
  if (ack < una_) return {AckVerdict::old, 0};

  const bool same_window = window == window_;
  const bool fresher = window_seq_ < segment_seq || (window_seq_ == segment_seq && window_ack_ <= ack);
  if (fresher || ack > una_) {
    window_ = window;
    max_window_ = std::max(max_window_, window);
    window_seq_ = segment_seq;
    window_ack_ = ack;
  }
  const bool new_blocks = note_sack(options);
  timeouts_ = 0;
  // A guest that answers probes is alive however long its window stays shut.
  AckResult result;
  if (ack > una_) {
    result.acked = ack - una_;
    if (fin_sent_ && ack == nxt_) {
      fin_acked_ = true;
      result.acked -= 1;
    }
    advance(ack, now);
  } else if (in_flight() > 0 && (new_blocks || (bare && same_window))) {
    // RFC 5681 section 2, and RFC 6675 section 2 for a guest that tells blocks: its window may change
    // meanwhile.
    on_duplicate(now);
  }
  return result;
}

void TransmitHalf::advance(Seq ack, Time now) {
  const std::uint32_t acked = ack - una_;
  una_ = ack;
  watch_big(ack);
  duplicates_ = 0;
  sacked_.drop_before(una_);
  if (timed_at_ != kNever && ack >= timed_) {
    rtt_.sample(now - timed_at_);
    timed_at_ = kNever;
  }
  if (recovery_ != Recovery::none) {
    if (una_ >= recover_) {
      recovery_ = Recovery::none;
      cwnd_ = std::max(cwnd_, threshold_);
    } else if (recovery_ == Recovery::fast) {
      // A partial ACK (RFC 6582 section 3.2 step 3): the next hole begins right here.
      retransmit_next_ = later(retransmit_next_, una_);
      if (sacked_.empty()) retransmit_next_ = una_;
    } else {
      retransmit_next_ = later(retransmit_next_, una_);
      cwnd_ += std::min(acked, 2 * mss_);
    }
  } else if (cwnd_ < kMaxInFlight) {
    const std::uint32_t growth = cwnd_ < threshold_ ? acked : std::max(1U, acked / 8);
    cwnd_ = std::min(kMaxInFlight, cwnd_ + growth);
  }
  retransmit_at_ = in_flight() > 0 ? now + rtt_.rto() : kNever;
}

void TransmitHalf::on_duplicate(Time now) {
  if (recovery_ != Recovery::none) return;
  if (duplicates_ < kDuplicateAcks) ++duplicates_;
  if (duplicates_ < kDuplicateAcks && sacked_.total() <= 2 * mss_) return;
  enter(Recovery::fast);
  retransmit_at_ = now + rtt_.rto();
}

void TransmitHalf::watch_big(Seq ack) {
  if (big_begin_ == big_end_ || ack <= big_begin_) return;
  if (ack < big_end_) big_is_cut_ = true;
  big_begin_ = big_end_;
}

void TransmitHalf::enter(Recovery recovery) {
  threshold_ = std::max(in_flight() / 2, 2 * mss_);
  cwnd_ = recovery == Recovery::fast ? threshold_ : mss_;
  recover_ = nxt_;
  retransmit_next_ = una_;
  recovery_ = recovery;
  timed_at_ = kNever;  // Karn: what is sent twice times nothing
  // The guest may take back what it has reported (RFC 2018 section 8), so a time-out trusts none of it.
  if (recovery == Recovery::timeout) sacked_.clear();
}

bool TransmitHalf::note_sack(const wire::TcpOptions& options) {
  const std::uint32_t known = sacked_.total();
  for (std::size_t i = options.sack_count; i > 0; --i) {
    const Range range{Seq{options.sack[i - 1].left}, Seq{options.sack[i - 1].right}};
    const bool sane = range.left < range.right && range.left > una_ && range.right <= nxt_;
    if (sane) sacked_.add(range);
  }
  return sacked_.total() > known;
}

Seq TransmitHalf::retransmit_limit() const {
  if (recovery_ == Recovery::timeout) return recover_;
  // Without SACK, one segment per partial ACK; with it, every hole below what has arrived.
  return sacked_.empty() ? earlier(una_ + mss_, recover_) : earlier(sacked_.highest(), recover_);
}

std::optional<TransmitHalf::Chunk> TransmitHalf::next_retransmission(std::uint32_t max_payload) const {
  if (recovery_ == Recovery::none) return std::nullopt;
  Seq from = later(retransmit_next_, una_);
  while (const auto held = sacked_.holding(from)) from = held->right;
  Seq limit = earlier(retransmit_limit(), una_ + cwnd_);
  if (const auto hole_end = sacked_.next_after(from)) limit = earlier(limit, *hole_end);
  if (from >= limit) return std::nullopt;

  Chunk chunk{from, std::min(limit - from, max_payload), false, true};
  const Seq data_end = fin_sent_ ? nxt_ - 1 : nxt_;
  if (from + chunk.length > data_end) {
    chunk.length = data_end > from ? data_end - from : 0;
    chunk.fin = true;
  }
  return chunk;
}

std::uint32_t TransmitHalf::room(std::uint32_t queued) const {
  if (recovery_ != Recovery::none || fin_wanted_) return 0;
  const std::uint32_t most = allowed();
  if (most <= queued) return 0;
  const std::uint32_t free = most - queued;
  // Sender's silly window avoidance (RFC 9293 section 3.8.6.2.1): with something in flight, its ACK will
  // bring more.
  return free < mss_ && queued > 0 ? 0 : free;
}

std::optional<TransmitHalf::Chunk> TransmitHalf::next(std::uint32_t queued, std::uint32_t max_payload) const {
  if (auto chunk = next_retransmission(max_payload)) return chunk;
  if (recovery_ != Recovery::none || fin_sent_) return std::nullopt;
  const std::uint32_t flying = in_flight();
  const std::uint32_t waiting = queued - flying;
  const std::uint32_t most = allowed();
  const std::uint32_t free = most > flying ? most - flying : 0;
  Chunk chunk{nxt_, std::min({waiting, free, max_payload}), false, false};
  // A FIN takes a sequence number, and so needs a window; a shut one is probed first.
  chunk.fin = fin_wanted_ && chunk.length == waiting && free > chunk.length;
  if (chunk.length == 0 && !chunk.fin) return std::nullopt;
  return chunk;
}

void TransmitHalf::sent(const Chunk& chunk, Time now) {
  const Seq end = chunk.seq + chunk.length + (chunk.fin ? 1 : 0);
  if (chunk.retransmission) {
    retransmit_next_ = end;
    ++retransmissions_;
  } else {
    nxt_ = end;
    if (chunk.fin) fin_sent_ = true;
    if (chunk.length >= kBigFrame && big_begin_ == big_end_) {
      big_begin_ = chunk.seq;
      big_end_ = end;
    }
    if (timed_at_ == kNever) {
      timed_ = end;
      timed_at_ = now;
    }
  }
  if (retransmit_at_ == kNever) retransmit_at_ = now + rtt_.rto();
  persist_at_ = kNever;
  persist_interval_ = Duration::zero();
}

void TransmitHalf::set_blocked(bool blocked, Time now) {
  // With something in flight the retransmission timer does the asking.
  if (!blocked || in_flight() > 0) {
    persist_at_ = kNever;
    persist_interval_ = Duration::zero();
  } else if (persist_at_ == kNever) {
    persist_interval_ = kPersistFirst;
    persist_at_ = now + persist_interval_;
  }
}

TransmitHalf::TimeoutResult TransmitHalf::on_deadline(Time now) {
  if (retransmit_at_ <= now) {
    if (++timeouts_ > kMaxTimeouts) return TimeoutResult::give_up;
    rtt_.back_off();
    enter(Recovery::timeout);
    retransmit_at_ = now + rtt_.rto();
    return TimeoutResult::retransmit;
  }
  if (persist_at_ <= now) {
    if (++timeouts_ > kMaxTimeouts) return TimeoutResult::give_up;
    persist_interval_ = std::min<Duration>(2 * persist_interval_, kPersistMost);
    persist_at_ = now + persist_interval_;
    return TimeoutResult::probe;
  }
  return TimeoutResult::nothing;
}

}  // namespace sf::tcp
