#include "sim/day.hh"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "sim/allocations.hh"

namespace sf::sim {
namespace {

// So that a clock of 32 bits in milliseconds wraps in the middle of the day's traffic.
constexpr Duration kUntilWrap = 12h + 20min;

void run_day(DaySetup setup) {
  // Without an allocator of our own there are the sanitizers, and each event takes a multiple of the time.
  if (!stack_memory_is_known()) setup.part = 8;
  Day day(setup);
  const DayResult result = day.run();
  EXPECT_TRUE(result.violations.empty()) << result.report();
  fmt::print(
      "{} connections, {} of them whole, {} MB, {} frames, {} answers, {} turns; at most {} wake-ups in an "
      "idle hour; "
      "{} bytes after the first hour, {} at the end\n",
      result.connections, result.whole, result.bytes / 1'000'000, result.frames, result.answers, result.turns,
      result.most_idle_wake_ups, result.memory_first, result.memory_last);
  // A day in which nothing happens would find nothing.
  EXPECT_GT(result.whole, 15'000 / setup.part);
  EXPECT_GT(result.answers, 3000 / setup.part);
}

TEST(Day, EndsWhereItBegan) {
  run_day({.seed = 1});
}

// RFC 7323 section 5.4: a timestamp clock that ticks every millisecond wraps its sign bit every 24.8 days.
TEST(Day, ClockOf31BitsWraps) {
  run_day({.seed = 2, .start = Time{std::chrono::milliseconds{1ULL << 31}} - kUntilWrap, .ipv6 = false});
}

TEST(Day, ClockOf32BitsWraps) {
  run_day({.seed = 3, .start = Time{std::chrono::milliseconds{1ULL << 32}} - kUntilWrap});
}

}  // namespace
}  // namespace sf::sim
