// How many durations lie up to each of a row of bounds; counting one is a walk over the bounds below it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/time.hh"

namespace sf::base {

class DurationHistogram {
 public:
  // Of round trips, from within one machine to around the world by satellite.
  static constexpr std::array<Duration, 16> kBounds{50us, 100us, 250us, 500us, 1ms,   2500us, 5ms,    10ms,
                                                    25ms, 50ms,  100ms, 250ms, 500ms, 1s,     2500ms, 5s};

  void observe(Duration duration) {
    std::size_t bucket = 0;
    while (bucket < kBounds.size() && duration > kBounds[bucket]) ++bucket;
    ++counts_[bucket];
    sum_ += duration;
  }
  void add(const DurationHistogram& other) {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    sum_ += other.sum_;
  }

  // Of those up to kBounds[bucket] and above the bound before; the last bucket has the rest.
  [[nodiscard]] std::uint64_t count(std::size_t bucket) const { return counts_[bucket]; }
  [[nodiscard]] Duration sum() const { return sum_; }

 private:
  std::array<std::uint64_t, kBounds.size() + 1> counts_{};
  Duration sum_{};
};

}  // namespace sf::base
