// Ports of the host's that lead to the guest's own 127.0.0.1 and ::1: sockets on both sides, and the kernel's
// loopbacks between. Nothing of it goes through the TAP, the engine or the guest's routes.
//
//     client ── listener ── accept ── socket from the guest's namespace ── connect ── SplicedPair
//                                      (guest_sockets.hh)                               (splice.hh)
//
// Theory of operation.
//   A client is accepted first, and connected then: where the guest refuses, the client is reset. An IPv4
//   client leads to 127.0.0.1, an IPv6 one to ::1; where nobody listens there, the other one is tried (TCP).
//   A port may lead to another address inside: then there is no other one to try, and clients of the other IP
//   version are reset.
//   Clients beyond a limit, or without a descriptor left for them, wait in the listener's backlog.
//   It is a second reactor of the event loop's: EventLoop::set_side().
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/flow_events.hh"
#include "base/log.hh"
#include "base/slab.hh"
#include "base/unique_fd.hh"
#include "host/datagram_relay.hh"
#include "host/event_loop.hh"
#include "host/guest_sockets.hh"
#include "host/host.hh"
#include "host/loopback.hh"
#include "host/splice.hh"

namespace sf::host {

class LoopbackPorts final : public Loopback, public Reactor {
 public:
  struct Limits {
    std::size_t connections = 16384;
    std::size_t waiting = 1024;  // for a socket of the guest's
  };
  static constexpr Duration kStarvedRetry = 100ms;

  // `loop` and `log` outlive it; becomes the loop's side reactor. GuestSockets explains `ask` and `spares`.
  LoopbackPorts(EventLoop& loop, GuestSockets::Ask ask, unsigned spares, const Limits& limits,
                const Log& log);
  ~LoopbackPorts() override;
  // Who is told what becomes of connections and clients; null: nobody. It outlives this.
  void set_watch(FlowWatch* watch) {
    watch_ = watch;
    datagrams_.set_watch(watch);
  }

  [[nodiscard]] tl::expected<LoopbackPort, ListenError> add(const LoopbackRule& rule) override;
  bool remove(LoopbackId id) override;
  [[nodiscard]] std::vector<LoopbackPort> list() const override;
  [[nodiscard]] std::vector<LoopbackFlow> flows() override;
  [[nodiscard]] LoopbackTotals totals() override;

  // The process inside has answered.
  void on_sockets(GuestSocketKind kind, std::vector<UniqueFd> sockets) {
    sockets_.on_sockets(kind, std::move(sockets));
  }
  // It is gone: what was asked for will not come.
  void on_no_more_sockets() {
    for (const bool stream : {true, false}) {
      for (const bool v4 : {true, false}) sockets_.on_sockets({stream, v4}, {});
    }
  }

  void on_link_readable(Time) override {}
  void on_socket_event(Token token, Readiness readiness, Time now) override;
  [[nodiscard]] Time end_turn(Time now) override;
  [[nodiscard]] bool alive() const override { return true; }

 private:
  static constexpr int kAcceptsPerTurn = 64;
  static constexpr int kChosenPortTries = 16;
  static constexpr std::uint64_t kTurnBudget = std::uint64_t{8} << 20;  // bytes; then others have their turn

  struct Port {
    LoopbackPort info;
    std::array<UniqueFd, 2> sockets;  // by IP version: IPv4, IPv6
    bool busy = false;                // in busy_
  };
  struct Connection {
    UniqueFd client;  // both until there is a pair
    UniqueFd guest;
    std::optional<SplicedPair> pair;
    Endpoint peer;
    Endpoint to;
    bool may_try_other = false;
    bool in_turn = false;
    std::unique_ptr<FlowNotes> notes;  // where somebody watches
  };

  [[nodiscard]] tl::expected<void, ListenError> open_sockets(Port& port) const;
  void mark_busy(Port& port);
  // True: more clients may wait.
  [[nodiscard]] bool accept_clients(Port& port, int listener, Time now);
  void connect(Handle handle);
  void on_guest_socket(Handle handle, UniqueFd socket);
  void on_connected(Handle handle, Connection& connection, Readiness readiness);
  void on_refused(Handle handle, Connection& connection);
  void run_turn();
  void destroy(Handle handle, FlowCause cause);
  void tell(const Connection& connection, FlowEvent::Kind kind, FlowCause cause) const;
  [[nodiscard]] bool full() const;

  EventLoop& loop_;
  GuestSockets sockets_;
  SplicePool pool_;
  Limits limits_;
  const Log& log_;
  FlowWatch* watch_ = nullptr;
  Once starved_;
  Once no_socket_;
  std::map<LoopbackId, Port> ports_;
  LoopbackId next_id_ = 1;
  Slab<Connection> connections_;
  DatagramRelay datagrams_;
  std::vector<LoopbackId> busy_;
  std::vector<Handle> turn_;
  std::vector<Handle> next_turn_;
  std::vector<Handle> again_;
  bool held_back_ = false;  // a limit was reached: clients wait
  Time retry_at_ = kNever;
  LoopbackTotals past_;  // of what has ended
};

}  // namespace sf::host
