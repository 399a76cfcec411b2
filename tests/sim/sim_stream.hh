// One stream socket of the simulated host, together with the server at its other end. Its readiness is that
// of an edge-triggered epoll on Linux: an edge when data or the end of them comes, when a full send buffer
// has drained to two thirds, when a connection stands or fails; what an event reports is the state at the
// time when it is collected.
#pragma once

#include <functional>

#include "host/host.hh"
#include "sim/ledger.hh"
#include "sim/world.hh"

namespace sf::sim {

class SimStream {
 public:
  // `ledger` is null for a connection that nothing is known about: its server takes whatever comes, sends
  // nothing and closes when the other side does. `on_edge` makes the host report the socket's state.
  SimStream(World& world, const PeerPlan& plan, Ledger* ledger, std::function<void()> on_edge);
  SimStream(const SimStream&) = delete;
  SimStream& operator=(const SimStream&) = delete;

  void start();
  // It was accepted: connected from the beginning.
  void start_accepted();

  // --- the socket's side
  // -----------------------------------------------------------------------------------------
  [[nodiscard]] host::HostError finish_connect();
  [[nodiscard]] host::IoResult send(std::span<const Bytes> pieces);
  [[nodiscard]] host::IoResult receive(std::span<const MutBytes> into);
  void shutdown_send();
  void close();
  void abort();
  // Whether the peer is there is asked, and found out.
  void keep_alive();
  // An edge comes with the next room in the send buffer, as after a send() that was cut short.
  void want_space() { want_space_ = true; }
  [[nodiscard]] host::Readiness readiness() const;

  // Nothing of it will ever happen again: closed, and the server has read what the kernel still held.
  [[nodiscard]] bool finished() const { return closed_ && !reading_ && !sending_; }

 private:
  enum class State : std::uint8_t { connecting, open, failed, reset };

  void connected();
  void fail(State state, host::HostError error);
  void check_accepted(std::span<const Bytes> pieces, std::size_t count);
  void wake_reader();
  void read_some();
  void wake_sender();
  void send_some();
  void maybe_reset();
  void maybe_vanish();
  void fail_after(Duration delay);
  void end_graceful(const char* how);
  [[nodiscard]] std::uint64_t buffered() const { return accepted_ - consumed_; }
  [[nodiscard]] std::uint64_t available() const { return arrived_ - handed_; }
  [[nodiscard]] bool may_send_fin() const {
    return plan_.close != PeerClose::never && plan_.close != PeerClose::reset &&
           arrived_ == plan_.send_bytes && (plan_.close != PeerClose::after_guest_fin || saw_fin_);
  }

  World& world_;
  PeerPlan plan_;
  Ledger* ledger_;
  std::function<void()> on_edge_;

  State state_ = State::connecting;
  host::HostError error_ = host::HostError::none;  // pending, as SO_ERROR
  bool closed_ = false;
  bool shut_down_ = false;   // the stack has ended its direction
  bool want_space_ = false;  // a send was cut short: SOCK_NOSPACE
  std::uint64_t accepted_ = 0;
  std::uint64_t consumed_ = 0;
  bool saw_fin_ = false;
  bool reading_ = false;       // the server's next read is on its way
  std::uint64_t arrived_ = 0;  // from the server, in the receive buffer or already handed over
  std::uint64_t handed_ = 0;
  bool fin_arrived_ = false;
  bool sending_ = false;
  bool vanished_ = false;  // the peer, by its plan
  bool kept_alive_ = false;
};

}  // namespace sf::sim
