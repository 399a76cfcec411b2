#include "tcp/ranges.hh"

namespace sf::tcp {
namespace {

bool touch(const Range& a, const Range& b) {
  return a.left <= b.right && b.left <= a.right;
}

}  // namespace

bool Ranges::fits(Range range) const {
  if (size_ < kMax) return true;
  for (std::size_t i = 0; i < size_; ++i) {
    if (touch(ranges_[i], range)) return true;
  }
  return false;
}

void Ranges::add(Range range) {
  if (range.left == range.right || !fits(range)) return;
  for (std::size_t i = 0; i < size_;) {
    if (touch(ranges_[i], range)) {
      range.left = earlier(range.left, ranges_[i].left);
      range.right = later(range.right, ranges_[i].right);
      remove(i);
    } else {
      ++i;
    }
  }
  for (std::size_t i = size_; i > 0; --i) ranges_[i] = ranges_[i - 1];
  ranges_[0] = range;
  ++size_;
}

void Ranges::drop_before(Seq edge) {
  for (std::size_t i = 0; i < size_;) {
    if (ranges_[i].right <= edge) {
      remove(i);
    } else {
      ranges_[i].left = later(ranges_[i].left, edge);
      ++i;
    }
  }
}

std::optional<Range> Ranges::holding(Seq at) const {
  for (std::size_t i = 0; i < size_; ++i) {
    if (ranges_[i].left <= at && at < ranges_[i].right) return ranges_[i];
  }
  return std::nullopt;
}

std::optional<Seq> Ranges::next_after(Seq at) const {
  std::optional<Seq> best;
  for (std::size_t i = 0; i < size_; ++i) {
    if (ranges_[i].left > at && (!best || ranges_[i].left < *best)) best = ranges_[i].left;
  }
  return best;
}

Seq Ranges::highest() const {
  Seq best = ranges_[0].right;
  for (std::size_t i = 1; i < size_; ++i) best = later(best, ranges_[i].right);
  return best;
}

std::uint32_t Ranges::total() const {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < size_; ++i) sum += ranges_[i].right - ranges_[i].left;
  return sum;
}

void Ranges::remove(std::size_t i) {
  --size_;
  for (; i < size_; ++i) ranges_[i] = ranges_[i + 1];
}

}  // namespace sf::tcp
