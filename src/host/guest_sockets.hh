// Sockets in the guest's network namespace, for the side that uses them. They are made by a process inside
// (setup/), which takes a moment: whoever needs one waits in a queue here, or finds a spare one.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "base/unique_fd.hh"

namespace sf::host {

struct GuestSocketKind {
  bool stream = true;
  bool v4 = true;
  bool operator==(const GuestSocketKind&) const = default;
};

class GuestSockets {
 public:
  static constexpr unsigned kMostAtOnce = 32;

  // Asks for `count` sockets; on_sockets() is called once they are there, or once it is known that they will
  // not be. Never asked again for one kind before that.
  using Ask = std::function<void(GuestSocketKind kind, unsigned count)>;
  // Gets a socket, or none where none could be made.
  using Taker = std::function<void(UniqueFd)>;

  // `spares`: how many of each kind are kept ready once one was needed, at most kMostAtOnce. A socket holds
  // its namespace, so that there can be spares only where the namespace is not to end before the program.
  GuestSockets(Ask ask, unsigned spares) : ask_(std::move(ask)), spares_(spares) {}

  // Calls `taker` at once or later.
  void take(GuestSocketKind kind, Taker taker);
  // Fewer than were asked for where the process inside could not make more. `lost` have been made and did not
  // get here, for want of descriptors: whoever waits goes on waiting, until ask_again() or give_up().
  void on_sockets(GuestSocketKind kind, std::vector<UniqueFd> sockets, unsigned lost = 0);
  [[nodiscard]] bool starved() const;
  void ask_again();
  // Those who wait for want of descriptors get none.
  void give_up();
  [[nodiscard]] std::size_t waiting() const;

 private:
  struct Queue {
    std::deque<Taker> takers;
    std::deque<UniqueFd> spare;
    bool asked = false;
    bool starved = false;
  };
  static std::size_t index_of(GuestSocketKind kind) { return (kind.stream ? 0U : 2U) + (kind.v4 ? 0U : 1U); }
  void refill(GuestSocketKind kind, Queue& queue);

  Ask ask_;
  unsigned spares_;
  std::array<Queue, 4> queues_;
};

}  // namespace sf::host
