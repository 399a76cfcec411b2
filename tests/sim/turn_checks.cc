#include "sim/turn_checks.hh"

namespace sf::sim {
namespace {

// Left-over work is work: a turn for it has to show some.
constexpr unsigned kMostIdleTurns = 3;
// A timer wheel may wake to move timers from one level to the next, but not for ever.
constexpr unsigned kMostVainWakeUps = 200;
constexpr std::uint64_t kMostTurnsWithoutPause = 100'000;

}  // namespace

void TurnChecks::on_turn(const Turn& turn) {
  const Time now = world_.now();
  const bool at_once = turn.deadline <= now;
  if (turn.deadline < now) {
    world_.violation("deadline-past", "the next deadline lies {} us back",
                     std::chrono::duration_cast<std::chrono::microseconds>(now - turn.deadline).count());
  }
  if (turn.unread && !at_once) {
    world_.violation("unread", "frames were left in the queue, and the stack does not ask for another turn");
  }
  idle_ = at_once && !turn.events && !turn.active ? idle_ + 1 : 0;
  if (idle_ > kMostIdleTurns)
    world_.violation("busy-loop", "{} turns at once in which nothing was done", idle_);
  without_pause_ = at_once ? without_pause_ + 1 : 0;
  if (without_pause_ > kMostTurnsWithoutPause) {
    world_.violation("busy-loop", "{} turns that each asked for the next at once", without_pause_);
  }
  // Who waits for memory has to look again from time to time.
  vain_ = turn.events || turn.active || scarce_memory_ ? 0 : vain_ + 1;
  if (vain_ > kMostVainWakeUps)
    world_.violation("wake-ups", "{} wake-ups in a row in which nothing was done", vain_);
}

}  // namespace sf::sim
