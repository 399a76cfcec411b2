#include "sim/guest_sender.hh"

#include <algorithm>

namespace sf::sim {
namespace {

constexpr std::uint64_t kInitialWindow = 10;  // segments (RFC 6928)
constexpr std::uint64_t kMaxCongestion = 4 << 20;

}  // namespace

void GuestSender::begin(std::uint32_t segment, std::uint32_t super, std::uint64_t window) {
  segment_ = segment;
  super_ = super;
  window_ = window;
  congestion_ = kInitialWindow * segment;
}

std::uint64_t GuestSender::bytes_acknowledged() const {
  return std::min(una_, data_end()) - 1;
}

// A plan with odd sizes cuts anywhere, and elsewhere the next time.
std::uint64_t GuestSender::cut(std::uint64_t most) const {
  return plan_.odd_sizes && most > 1 && random_.chance(0.3) ? random_.between(1, most) : most;
}

// The first thing that the peer lacks as far as is known.
std::optional<GuestSender::Chunk> GuestSender::hole() {
  resend_ = false;
  const std::uint64_t from = sacked_.end_of(una_);
  if (from >= max_) return std::nullopt;
  Chunk chunk{.from = from, .again = true};
  if (from < data_end()) {
    const std::uint64_t end = std::min({max_, data_end(), sacked_.next_start(from, UINT64_MAX)});
    chunk.size = cut(std::min<std::uint64_t>(segment_, end - from));
  }
  chunk.fin = closing_ && from + chunk.size == data_end() && max_ > data_end();
  if (chunk.size == 0 && !chunk.fin) return std::nullopt;
  return chunk;
}

std::optional<GuestSender::Chunk> GuestSender::next() {
  if (resend_) {
    if (const auto chunk = hole()) return chunk;
  }
  while (nxt_ < max_ && sacked_.end_of(nxt_) > nxt_) nxt_ = sacked_.end_of(nxt_);
  Chunk chunk{.from = nxt_, .again = nxt_ < max_};
  if (nxt_ < data_end()) {
    const std::uint64_t limit = una_ + std::min(window_, congestion_);
    const std::uint64_t room = limit > nxt_ ? limit - nxt_ : 0;
    const std::uint64_t left = data_end() - nxt_;
    chunk.size = std::min({room, left, std::uint64_t{super_}});
    if (nxt_ < max_) chunk.size = std::min(chunk.size, sacked_.next_start(nxt_, UINT64_MAX) - nxt_);
    if (chunk.size == 0) return std::nullopt;
    // Silly windows are waited out while something is on its way (RFC 9293 section 3.8.6.2.1), and so are
    // small writes (section 3.7.4).
    const bool small = chunk.size < segment_ && !chunk.again;
    if (small && nxt_ > una_ && (chunk.size < left || (plan_.nagle && !closing_))) return std::nullopt;
    chunk.size = cut(chunk.size);
  } else if (!closing_ || nxt_ > data_end()) {
    return std::nullopt;
  }
  chunk.fin = closing_ && nxt_ + chunk.size == data_end();
  nxt_ += chunk.size + (chunk.fin ? 1 : 0);
  max_ = std::max(max_, nxt_);
  return chunk;
}

GuestSender::Chunk GuestSender::probe() {
  Chunk chunk{.from = una_, .again = una_ < max_};
  if (una_ < data_end()) chunk.size = 1;
  chunk.fin = closing_ && una_ + chunk.size == data_end();
  nxt_ = una_ + chunk.size + (chunk.fin ? 1 : 0);
  max_ = std::max(max_, nxt_);
  return chunk;
}

void GuestSender::on_timeout() {
  // The receiver may have thrown away what it reported (RFC 2018 section 8).
  sacked_.clear();
  nxt_ = una_;
  threshold_ = std::max<std::uint64_t>(congestion_ / 2, 2 * std::uint64_t{segment_});
  congestion_ = segment_;
  recovering_ = false;
  resend_ = false;
  duplicates_ = 0;
}

void GuestSender::enter_recovery() {
  recovering_ = true;
  recover_ = max_;
  threshold_ = std::max<std::uint64_t>(congestion_ / 2, 2 * std::uint64_t{segment_});
  congestion_ = threshold_;
  resend_ = true;
}

bool GuestSender::on_ack(const Ack& ack) {
  const std::uint64_t window = ack.window.value_or(window_);
  const bool same_window = window == window_;
  const bool reopened = window_ == 0 && window > 0;
  window_ = window;
  if (ack.ack > una_) {
    const std::uint64_t count = ack.ack - una_;
    una_ = ack.ack;
    nxt_ = std::max(nxt_, una_);
    sacked_.erase_below(una_);
    duplicates_ = 0;
    congestion_ +=
        congestion_ < threshold_ ? count : std::max<std::uint64_t>(1, count * segment_ / congestion_);
    congestion_ = std::min(congestion_, kMaxCongestion);
    if (recovering_ && una_ >= recover_) recovering_ = false;
    if (recovering_) resend_ = true;  // a partial ACK: the next hole (RFC 6582 section 3.2)
    return true;
  }
  // What probed a closed window was not taken.
  if (reopened) nxt_ = una_;
  if (outstanding() && ack.ack == una_ && ack.bare && same_window && ++duplicates_ == 3 && !recovering_) {
    enter_recovery();
  }
  return false;
}

void GuestSender::on_sack(std::uint64_t left, std::uint64_t right) {
  if (left >= una_ && right <= max_) sacked_.add(left, right);
}

}  // namespace sf::sim
