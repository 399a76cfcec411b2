// Rules for each turn of the event loop: deadlines lie ahead, and nobody is woken for nothing again and
// again.
#pragma once

#include "sim/plan.hh"
#include "sim/world.hh"

namespace sf::sim {

class TurnChecks {
 public:
  TurnChecks(World& world, const StackPlan& plan) : world_(world), scarce_memory_(plan.scarce_memory()) {}

  struct Turn {
    bool events = false;  // something had happened
    bool active = false;  // the stack touched its link or a socket
    bool unread = false;  // frames were left in the link's queue
    Time deadline = kNever;
  };
  void on_turn(const Turn& turn);

 private:
  World& world_;
  bool scarce_memory_;
  unsigned idle_ = 0;
  unsigned vain_ = 0;
  std::uint64_t without_pause_ = 0;
};

}  // namespace sf::sim
