// One thread's epoll loop: waits, reads the clock once, hands out events, lets the reactor end its turn.
//
// The only file of the program that reads a clock. Time stands still within a turn: everything that happens
// in one turn happens at the same `now`. With nothing to do and no deadline, the loop sleeps until an event
// comes.
//
//     wait ──> now = clock ──> link and socket events to the reactor, watched descriptors to their callbacks
//      ^                                                   │
//      └── timeout = deadline - now <── reactor.end_turn(now), then the turn-end hooks
//
// Epoll's 64 bits of user data tell events apart. A Token goes in as it is, so a reactor must leave its two
// highest bits clear: those with kLoopToken are the loop's own (the link, and watched descriptors), those
// with kSideToken belong to a second reactor that has no link (loopback_ports.hh).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/result.hh"
#include "base/time.hh"
#include "base/unique_fd.hh"
#include "host/host.hh"

struct epoll_event;

namespace sf::host {

class EventLoop {
 public:
  static constexpr Token kLoopToken = Token{1} << 63;
  static constexpr Token kSideToken = Token{1} << 62;

  using Callback = std::function<void()>;

  // How run() ended.
  struct Ended {
    bool link_gone = false;  // else stop() was called, with
    int exit_code = 0;
  };

  [[nodiscard]] static Result<std::unique_ptr<EventLoop>> create();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Drives `reactor` until stop() is called or it is not alive() any more. The turn in which that happens is
  // completed. `link_fd` is not owned, non-blocking, and watched edge-triggered; -1 for none.
  [[nodiscard]] Result<Ended> run(Reactor& reactor, int link_fd);
  // Makes run() return after this turn; before run(), after a first turn without events. The first call
  // counts; false: this was none.
  bool stop(int exit_code);

  // Serves `side` in the same turns: events with kSideToken are its own, and its end_turn() comes after the
  // reactor's. Null ends that.
  void set_side(Reactor* side) { side_ = side; }

  // Calls `callback` in every turn in which `fd` is readable or hung up (level-triggered), until unwatch().
  // The descriptor is not owned and must not be closed while it is watched. Both may be called from a
  // callback.
  [[nodiscard]] Result<void> watch(int fd, Callback callback);
  void unwatch(int fd);
  // Calls `hook` at the end of every turn, after the reactor's end_turn().
  void at_turn_end(Callback hook) { turn_end_hooks_.push_back(std::move(hook)); }

  // Watches a socket edge-triggered for everything, with one system call in its life: closing ends it.
  // Returns 0 or errno.
  [[nodiscard]] int add_socket(int fd, Token token);

  // The present turn's time.
  [[nodiscard]] Time now() const { return now_; }

 private:
  struct Watched {
    int fd;
    std::shared_ptr<Callback> callback;  // shared: a callback may unwatch itself while it runs
  };

  explicit EventLoop(UniqueFd epoll);

  [[nodiscard]] int wait(Time deadline, struct epoll_event* events, int capacity);
  void dispatch(Reactor& reactor, const struct epoll_event& event);

  UniqueFd epoll_;
  Time now_;
  Reactor* side_ = nullptr;
  bool stopped_ = false;
  int exit_code_ = 0;
  bool has_pwait2_ = true;
  Token next_watch_;
  std::unordered_map<Token, Watched> watched_;
  std::vector<Callback> turn_end_hooks_;
};

// Time since 1970 (CLOCK_REALTIME), for time stamps that people read.
[[nodiscard]] std::chrono::nanoseconds unix_time();
// The loops' clock.
[[nodiscard]] Time monotonic_time();

}  // namespace sf::host
