// Rules for each turn of the event loop: deadlines lie ahead, and nobody is woken for nothing again and again.
#pragma once

#include "sim/world.hh"

namespace sf::sim {

class TurnChecks {
 public:
  explicit TurnChecks(World& world) : world_(world) {}

  struct Turn {
    bool events = false;  // something had happened
    bool active = false;  // the stack touched its link or a socket
    Time deadline = kNever;
  };
  void on_turn(const Turn& turn);

 private:
  World& world_;
  unsigned idle_ = 0;
  unsigned vain_ = 0;
  std::uint64_t without_pause_ = 0;
};

}  // namespace sf::sim
