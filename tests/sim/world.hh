// A simulation's clock, chance, and book of what went wrong. Everything in a run refers to its one World.
#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/time.hh"
#include "sim/random.hh"

namespace sf::sim {

class Trace;

// A rule that the stack under test broke.
struct Violation {
  std::string rule;
  std::string message;
  Time at;
};

class World {
 public:
  using Action = std::function<void()>;

  // The clock starts away from zero, as a machine's does that has been up for a while.
  static constexpr Time kStart{Duration{std::chrono::hours{50}}};

  // `trace` may be null; it is not owned. `choices`: see Random.
  World(std::uint64_t seed, Bytes choices, Trace* trace, Time start = kStart)
      : now_(start), random_(seed, choices), trace_(trace) {}
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  [[nodiscard]] Time now() const { return now_; }
  [[nodiscard]] Random& random() { return random_; }
  [[nodiscard]] Trace* trace() { return trace_; }

  void at(Time when, Action action) {
    queue_.push_back(Event{std::max(when, now_), next_++, std::move(action)});
    std::push_heap(queue_.begin(), queue_.end(), Later{});
  }
  void after(Duration delay, Action action) { at(now_ + delay, std::move(action)); }

  // kNever where nothing is to come.
  [[nodiscard]] Time next_event() const { return queue_.empty() ? kNever : queue_.front().when; }
  // Moves the clock, which never goes back, and runs all that is due by then.
  void advance(Time to);

  template <typename... Args>
  void violation(const char* rule, fmt::format_string<Args...> format, Args&&... args) {
    note_violation(rule, fmt::format(format, std::forward<Args>(args)...));
  }
  // A line for whoever reads the run of one seed; nothing without a trace.
  template <typename... Args>
  void note(fmt::format_string<Args...> format, Args&&... args) {
    if (trace_ != nullptr) note_line(fmt::format(format, std::forward<Args>(args)...));
  }
  [[nodiscard]] const std::vector<Violation>& violations() const { return violations_; }

 private:
  struct Event {
    Time when;
    std::uint64_t order;  // ties run in the order in which they were made
    Action action;
  };
  struct Later {
    bool operator()(const Event& a, const Event& b) const {
      return a.when != b.when ? a.when > b.when : a.order > b.order;
    }
  };
  void note_violation(const char* rule, std::string message);
  void note_line(const std::string& line);

  Time now_;
  Random random_;
  Trace* trace_;
  std::vector<Event> queue_;  // a heap, the next one first
  std::uint64_t next_ = 0;
  std::vector<Violation> violations_;
};

}  // namespace sf::sim
