// A deadline that can be moved any number of times at the price of one event in the world.
#pragma once

#include <utility>

#include "sim/world.hh"

namespace sf::sim {

// Outlives the world's run: events refer to it.
class Timer {
 public:
  Timer(World& world, World::Action action) : world_(world), action_(std::move(action)) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void set(Duration delay) {
    deadline_ = world_.now() + delay;
    if (deadline_ < scheduled_) schedule();
  }
  void cancel() { deadline_ = kNever; }
  [[nodiscard]] bool armed() const { return deadline_ != kNever; }

 private:
  void schedule() {
    scheduled_ = deadline_;
    world_.at(deadline_, [this, when = deadline_] { fire(when); });
  }
  void fire(Time when) {
    if (when != scheduled_) return;  // an earlier one took its place
    scheduled_ = kNever;
    if (deadline_ == kNever) return;
    if (deadline_ > world_.now()) return schedule();
    deadline_ = kNever;
    action_();
  }

  World& world_;
  World::Action action_;
  Time deadline_ = kNever;
  Time scheduled_ = kNever;
};

}  // namespace sf::sim
