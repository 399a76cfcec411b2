// The only source of chance in a simulation: the same seed makes the same run.
#pragma once

#include <cstdint>
#include <initializer_list>

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
  explicit Random(std::uint64_t seed) : state_(mix(seed + 0x5f0e'77a1U)) {}

  std::uint64_t next() { return mix(state_ += 0x9e3779b97f4a7c15U); }
  // In [0, bound); 0 for a bound of 0. The bias of a modulus is of no matter here.
  std::uint64_t below(std::uint64_t bound) { return bound == 0 ? 0 : next() % bound; }
  // In [low, high].
  std::uint64_t between(std::uint64_t low, std::uint64_t high) { return low + below(high - low + 1); }
  bool chance(double probability) {
    // Nothing is drawn for what never happens, so that switching a fault off leaves the other choices alone.
    return probability > 0 && static_cast<double>(next() >> 11) * 0x1p-53 < probability;
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
  std::uint64_t state_;
};

}  // namespace sf::sim
