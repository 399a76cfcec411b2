// Time as the core sees it: a point on a monotonic clock that only host/event_loop (or a simulation) reads,
// handed down as an argument.
#pragma once

#include <chrono>

namespace sf::base {

using Duration = std::chrono::nanoseconds;

// A clock without now(): its readings come from outside.
struct MonotonicClock {
  using rep = Duration::rep;
  using period = Duration::period;
  using duration = Duration;
  using time_point = std::chrono::time_point<MonotonicClock, Duration>;
  static constexpr bool is_steady = true;
};

using Time = MonotonicClock::time_point;
inline constexpr Time kNever = Time::max();

using namespace std::chrono_literals;

}  // namespace sf::base

// The vocabulary types are used by every folder, unqualified.
namespace sf {
using namespace base;
}
