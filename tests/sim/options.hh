// The simulator's own options.
#pragma once

#include <cstdint>
#include <optional>

namespace sf::sim {

struct Options {
  std::uint64_t first = 1;            // --first=N, SIM_FIRST
  std::uint64_t seeds = 2000;         // --seeds=N, SIM_SEEDS
  std::optional<std::uint64_t> seed;  // --seed=N: this one alone, with a trace on standard error
  bool quiet = false;                 // --quiet: with --seed, no trace on standard error
};

// As given to this process; set by main() before any test runs.
Options& options();

}  // namespace sf::sim
