// The only source of chance in a simulation: the same seed makes the same run. A fuzzer makes the first
// choices itself; the seed those after them.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "base/bytes.hh"
#include "base/time.hh"

namespace sf::sim {

// Steele, Lea, Flood: "Fast splittable pseudorandom number generators" (SplitMix64): its mixing step.
[[nodiscard]] constexpr std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

class Random {
 public:
  // `choices` outlive this.
  explicit Random(std::uint64_t seed, Bytes choices = {})
      : state_(mix(seed + 0x5f0e'77a1U)), choices_(choices) {}

  std::uint64_t next() { return choices_.empty() ? drawn() : chosen(8); }
  // In [0, bound); 0 for a bound of 0. The bias of a modulus is of no matter here.
  std::uint64_t below(std::uint64_t bound) {
    if (bound <= 1) return choices_.empty() && bound != 0 ? drawn() % bound : 0;
    if (choices_.empty()) return drawn() % bound;
    return chosen(bound <= 0x100 ? 1 : bound <= 0x10000 ? 2 : 8) % bound;
  }
  // In [low, high].
  std::uint64_t between(std::uint64_t low, std::uint64_t high) { return low + below(high - low + 1); }
  bool chance(double probability) {
    // Nothing is drawn for what never happens, so that switching a fault off leaves the other choices alone.
    if (probability <= 0) return false;
    if (!choices_.empty()) return static_cast<double>(chosen(2)) * 0x1p-16 < probability;
    return static_cast<double>(drawn() >> 11) * 0x1p-53 < probability;
  }
  Duration duration(Duration low, Duration high) {
    return Duration{static_cast<Duration::rep>(
        between(static_cast<std::uint64_t>(low.count()), static_cast<std::uint64_t>(high.count())))};
  }
  template <typename T>
  T pick(std::initializer_list<T> choices) {
    return choices.begin()[below(choices.size())];
  }

 private:
  std::uint64_t drawn() { return mix(state_ += 0x9e3779b97f4a7c15U); }
  // The next `count` bytes, or as many as there are.
  std::uint64_t chosen(std::size_t count) {
    std::uint64_t value = 0;
    for (const std::uint8_t byte : take(choices_, count)) value = (value << 8) | byte;
    choices_ = drop(choices_, count);
    return value;
  }

  std::uint64_t state_;
  Bytes choices_;
};

}  // namespace sf::sim
