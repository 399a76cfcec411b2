// What a server of the control folder waits for, in one epoll instance that its caller watches with its own:
// a listener, a timer that ticks while there are clients, and the clients by number.
#pragma once

#include <cstdint>
#include <functional>

#include "base/time.hh"
#include "base/unique_fd.hh"

namespace sf::control {

class ServerEvents {
 public:
  // Never used again for another client.
  using ClientId = std::uint64_t;

  // A listener of this family, yet to be bound. False: errno says why.
  [[nodiscard]] bool open(int family);
  // Once it is bound. False: errno says why.
  [[nodiscard]] bool listen(Duration tick);

  // Readable whenever dispatch() has something to do (level-triggered).
  [[nodiscard]] int fd() const { return epoll_.get(); }
  [[nodiscard]] int listener() const { return listener_.get(); }

  // Does what is to be done now: one call for each that is ready.
  struct Calls {
    std::function<void()> accept;
    std::function<void()> tick;
    std::function<void(ClientId)> client;
  };
  void dispatch(const Calls& calls);

  // A client that waits, and its number from watch() on. None where nobody waits, or where descriptors or
  // memory are used up: then it is tried again with the next tick.
  struct Accepted {
    UniqueFd fd;
    ClientId id = 0;
  };
  [[nodiscard]] Accepted accept();
  // Of a client: EPOLL_CTL_ADD (as accept() has done) or EPOLL_CTL_MOD.
  void watch(int operation, int fd, std::uint32_t events, ClientId id) const;
  // After anything that may have changed it: whether there is room for another client, and whether one is
  // there.
  void update(bool has_room, bool has_clients);

  // `first` from now, and every `period` then; zero is never.
  static void arm(int timer, Duration first, Duration period);

 private:
  UniqueFd listener_;
  UniqueFd timer_;
  Duration tick_{};
  ClientId next_id_ = 0;
  bool listening_ = false;
  bool ticking_ = false;
  bool starved_ = false;
  UniqueFd epoll_;
};

}  // namespace sf::control
