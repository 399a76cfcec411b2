// How the program gets into a network namespace, on one page.
//
// (run, attach, PATH: between the two is the keeper, which ends what a killed one leaves: keeper.hh.)
//
//     program (host's namespaces)                     child (the guest's namespaces)
//     ---------------------------                     ------------------------------
//     take_signals()
//     start_guest / start_attached / start_path  ---> makes or joins the namespaces, creates the TAP,
//       inside.tap() has the TAP's queues        <--- sets addresses and routes
//     starts the event loop with inside.event_fd()
//       and a SignalSource
//     inside.release()                           ---> waits for IPv6
//       event "ready"                            <--- run: executes CMD.  attach, PATH: leaves the namespace
//     inside.ask_for_sockets()                   ---> makes sockets in the guest's namespace
//     (guest_helper.hh)
//       event "sockets"                          <---
//     run: inside.forward(signal)                ---> run: to CMD
//       event "ended", with an exit status       <--- CMD has ended, and all that it left behind
//
// The program itself never leaves the host's namespaces, and holds no namespace: attach ends when the TAP
// says that its namespace is gone (tap.hh), or, where the TAP was there already and holds it, with the target
// (target_end.hh). Whichever side is killed, the other one sees the channel between
// them close, and ends what is its own; the keeper does the rest.
//
// The start functions fork, and so have to be called while the process has a single thread. Every Error is
// the whole line for the user, and nothing is left behind.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/log.hh"
#include "base/result.hh"
#include "setup/channel.hh"
#include "setup/configure.hh"
#include "setup/guest_helper.hh"
#include "setup/keeper.hh"
#include "setup/listeners.hh"
#include "setup/namespaces.hh"
#include "setup/signals.hh"
#include "setup/tap.hh"
#include "setup/target_end.hh"

namespace sf::setup {

struct InsideEvent {
  enum class Kind : std::uint8_t {
    none,       // to be ignored
    ready,      // the network works: --ready-fd
    ended,      // the child has ended. For run the program's end, with `status`; else its work is done
    sockets,    // those of `request` that could be made
    listeners,  // who listens inside now: all of `listeners`
    failed,     // what was asked for cannot be had: `text` says why
  };
  Kind kind = Kind::none;
  int status = 0;
  SocketRequest request{};
  std::vector<UniqueFd> sockets{};
  unsigned lost = 0;  // sockets that were sent, and found no descriptor left in this process
  std::vector<Listener> listeners{};
  std::string text{};
};

// The child inside, and the keeper where there is one, owned by the program: the destructor ends both, with
// all that they have started. There is none where there is nothing to set up.
class Inside {
 public:
  // `child` is what to wait for: the keeper, where there is one.
  Inside(pid_t child, Channel channel) : child_(child), channel_(std::move(channel)) {}
  explicit Inside(TapDevice tap) : tap_(std::move(tap)) {}
  Inside(Inside&& other) noexcept
      : child_(std::exchange(other.child_, -1)),
        channel_(std::move(other.channel_)),
        keeper_(std::exchange(other.keeper_, std::nullopt)),
        tap_(std::move(other.tap_)),
        target_end_(std::move(other.target_end_)) {}
  Inside& operator=(Inside&&) = delete;
  ~Inside();

  // To be taken over by the program (queues are moved out of it).
  [[nodiscard]] TapDevice& tap() { return tap_; }

  [[nodiscard]] bool has_child() const { return channel_.fd() >= 0; }
  [[nodiscard]] Keeper* keeper() { return keeper_ ? &*keeper_ : nullptr; }
  // What to watch for the target's end, where the TAP does not tell.
  [[nodiscard]] TargetEnd* target_end() { return target_end_ ? &*target_end_ : nullptr; }

  // All of the following are for an Inside with a child.
  // A file to be removed at the end, by whichever of keeper and child is there to do it. Before release().
  void keep(const KeptFile& file) const {
    if (keeper_) keeper_->keep(file);
    if (keeper_) file.send(channel_);
  }
  // The engine runs: the child goes on.
  void release() { static_cast<void>(channel_.send(MessageKind::release)); }
  // Readable where on_event() has something to say. To be taken out of the event loop after "ended".
  [[nodiscard]] int event_fd() const { return channel_.fd(); }
  // One event. Blocks where event_fd() is not readable.
  [[nodiscard]] InsideEvent on_event();
  // To be called when keeper()->fd() is readable. Its end is an "ended" event, in place of on_event()'s.
  [[nodiscard]] InsideEvent on_keeper();
  // run: hands a signal to CMD.
  void forward(int signal_number) {
    static_cast<void>(channel_.send(MessageKind::signal, std::to_string(signal_number)));
  }

  // Ask the child for sockets in the guest's network namespace, and to tell who listens there from now on.
  // The answers are events. False: the child is gone, and there will be none.
  [[nodiscard]] bool ask_for_sockets(const SocketRequest& request) const {
    return channel_.send(MessageKind::sockets, request.describe());
  }
  void watch_listeners() { static_cast<void>(channel_.send(MessageKind::listeners)); }

  // Waits for the child's TAP; for the start functions.
  [[nodiscard]] Result<void> receive_tap();
  void set_keeper(Keeper keeper) { keeper_ = std::move(keeper); }
  void set_target_end(TargetEnd end) { target_end_ = std::move(end); }

 private:
  // Ends the child, where it still lives, and waits for its end. Its exit status.
  int collect();
  int wait();

  pid_t child_ = -1;
  Channel channel_;
  std::optional<Keeper> keeper_;
  std::optional<int> status_;
  TapDevice tap_;
  std::optional<TargetEnd> target_end_;
};

// How the processes beside the program are to be.
struct HelperSettings {
  // With filters of their own, and without the descriptors that the program was started with.
  bool confined = true;
  std::vector<int> callers{};  // those that the program uses: not closed in the program itself
};

struct GuestSettings {
  NetworkSettings network;
  HelperSettings helpers;
  std::vector<std::string> command;  // the program first; looked for in PATH
  bool pid_namespace = false;        // with an init and a fresh /proc
  bool ipc_namespace = false;
  bool uts_namespace = false;
  bool cgroup_namespace = false;
  std::vector<Address> name_servers;  // for /etc/resolv.conf inside; empty: the host's file is kept
};

// A command in new namespaces. It is executed after release(), and its end is the "ended" event: its own exit
// status, 128 + N after signal N, 127 where it is not found, 126 where it cannot be executed (said on
// standard error).
[[nodiscard]] Result<Inside> start_guest(const GuestSettings& settings, const SignalState& signals,
                                         const Log& log);

// Joins the namespace of a process or a file (namespaces.hh: open_target), and makes a TAP there, or takes
// the one of that name. The child can be asked for sockets and listeners. Without `helpers` it ends once the
// network works, and there is no keeper.
[[nodiscard]] Result<Inside> start_attached(const NetworkSettings& settings, const std::string& target,
                                            const std::string& userns_path,
                                            const std::optional<HelperSettings>& helpers, const Log& log);

// A TAP's descriptor that the program was started with; no namespace is entered.
[[nodiscard]] Result<Inside> start_adopted(int fd, bool offload);

// A new namespace, bind-mounted on the existing file `path` until the Inside ends.
[[nodiscard]] Result<Inside> start_path(const NetworkSettings& settings, const std::string& path,
                                        const HelperSettings& helpers, const Log& log);

}  // namespace sf::setup
