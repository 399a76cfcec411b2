// A few disjoint ranges of sequence numbers, the most recently touched first: what has come out of order, and
// what the guest says (by SACK) that it has. Bounded: what does not fit is not remembered, which costs a
// retransmission.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "tcp/seq.hh"

namespace sf::tcp {

struct Range {
  Seq left;
  Seq right;  // just after the last
};

class Ranges {
 public:
  static constexpr std::size_t kMax = 6;

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] const Range& operator[](std::size_t i) const { return ranges_[i]; }

  // add() of this range would be remembered.
  [[nodiscard]] bool fits(Range range) const;
  void add(Range range);
  // Forgets all that is before `edge`.
  void drop_before(Seq edge);
  void clear() { size_ = 0; }

  // The range that holds `at`, if any.
  [[nodiscard]] std::optional<Range> holding(Seq at) const;
  // The nearest left edge after `at`, if any.
  [[nodiscard]] std::optional<Seq> next_after(Seq at) const;
  // The highest right edge. Only where not empty().
  [[nodiscard]] Seq highest() const;
  [[nodiscard]] std::uint32_t total() const;

 private:
  void remove(std::size_t i);

  std::array<Range, kMax> ranges_{};
  std::uint8_t size_ = 0;
};

}  // namespace sf::tcp
