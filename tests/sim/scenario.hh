// Draws a whole run from a seed, or from a fuzzer's choices as far as they go.
#pragma once

#include "base/bytes.hh"
#include "sim/plan.hh"

namespace sf::sim {

[[nodiscard]] Plan make_plan(std::uint64_t seed, Bytes choices = {});
// A run without faults or noise: one connection that carries `bytes` each way over plain Ethernet.
[[nodiscard]] Plan make_quiet_plan(std::uint64_t seed, std::uint64_t bytes);

}  // namespace sf::sim
