#include "sim/guest_receiver.hh"

#include <algorithm>

#include "sim/sequence.hh"

namespace sf::sim {

void GuestReceiver::begin(std::uint32_t initial, unsigned scale) {
  initial_ = initial;
  scale_ = scale;
  next_ = 1;
}

std::uint64_t GuestReceiver::offset(std::uint32_t sequence) const {
  return offset_of(sequence, initial_, next_);
}

std::uint64_t GuestReceiver::received() const {
  return next_ == 0 ? 0 : next_ - 1 - (fin_received() ? 1 : 0);
}

bool GuestReceiver::acceptable(std::uint64_t from, std::uint64_t length) const {
  if (length == 0) return edge_ == next_ ? from == next_ : from >= next_ && from < edge_;
  return edge_ > next_ && from < edge_ && from + length > next_;
}

GuestReceiver::Outcome GuestReceiver::take_segment(std::uint64_t from, Bytes payload, bool fin,
                                                   const Pattern& expected) {
  Outcome outcome;
  const std::uint64_t end = from + payload.size();
  const std::uint64_t left = std::max(from, next_);
  const std::uint64_t right = std::min(end, edge_);
  if (fin) {
    if (fin_ && *fin_ != end) outcome.after_fin = true;
    fin_ = end;
  }
  if (fin_ && end > *fin_) outcome.after_fin = true;
  if (left < right) {
    const Bytes fresh = payload.subspan(left - from, right - left);
    const std::size_t wrong = expected.mismatch(left - 1, fresh);
    if (wrong != fresh.size()) outcome.wrong = left - 1 + wrong;
    early_.add(left, right);
    newest_ = left;
  }
  const std::uint64_t before = next_;
  next_ = early_.end_of(next_);
  // The FIN counts even where the window is closed, as everywhere in practice.
  if (fin_ && next_ == *fin_) ++next_;
  early_.erase_below(next_);
  outcome.in_order = next_ > before && early_.empty();
  return outcome;
}

std::uint16_t GuestReceiver::syn_window() {
  const auto window = static_cast<std::uint16_t>(std::min<std::uint32_t>(plan_.receive_buffer, 65535));
  edge_ = 1 + std::uint64_t{window};
  return window;
}

bool GuestReceiver::update_due() const {
  const std::uint64_t wanted = wanted_edge();
  const std::uint64_t step =
      std::min<std::uint64_t>(plan_.mss == 0 ? 536 : plan_.mss, plan_.receive_buffer / 2);
  return wanted >= edge_ + std::max<std::uint64_t>(step, 1);
}

std::uint16_t GuestReceiver::advertise() {
  const std::uint64_t target = std::max(update_due() ? wanted_edge() : edge_, next_);
  std::uint64_t units = (target - next_) >> scale_;
  if (edge_ > next_ && (units << scale_) < edge_ - next_) ++units;
  units = std::min<std::uint64_t>(units, 65535);
  edge_ = std::max(edge_, next_ + (units << scale_));
  return static_cast<std::uint16_t>(units);
}

void GuestReceiver::put_sack(wire::TcpOptions& options) const {
  const auto put = [&options](const std::pair<const std::uint64_t, std::uint64_t>& range,
                              std::uint32_t initial) {
    if (options.sack_count == wire::TcpOptions::kMaxSackBlocks) return;
    options.sack[options.sack_count++] = {initial + static_cast<std::uint32_t>(range.first),
                                          initial + static_cast<std::uint32_t>(range.second)};
  };
  const auto holds_newest = [this](const auto& range) {
    return range.first <= newest_ && newest_ < range.second;
  };
  for (const auto& range : early_.ranges()) {
    if (holds_newest(range)) put(range, initial_);
  }
  for (const auto& range : early_.ranges()) {
    if (!holds_newest(range)) put(range, initial_);
  }
}

}  // namespace sf::sim
