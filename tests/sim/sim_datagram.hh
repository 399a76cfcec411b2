// One datagram or ping socket of the simulated host, and the servers that it can reach.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "host/host.hh"
#include "sim/frames.hh"
#include "sim/plan.hh"
#include "sim/world.hh"

namespace sf::sim {

class SimDatagram {
 public:
  SimDatagram(World& world, const Plan& plan, host::DatagramKind kind, bool v4, std::uint16_t port,
              std::function<void()> on_edge)
      : world_(world), plan_(plan), kind_(kind), v4_(v4), port_(port), on_edge_(std::move(on_edge)) {}
  SimDatagram(const SimDatagram&) = delete;
  SimDatagram& operator=(const SimDatagram&) = delete;

  [[nodiscard]] host::HostError send(const Endpoint& to, Bytes payload, const host::DatagramOptions& options);
  [[nodiscard]] std::span<const host::ReceivedDatagram> receive();
  [[nodiscard]] bool receive_error(host::DatagramError& error);
  [[nodiscard]] host::Readiness readiness() const;
  void close() { closed_ = true; }
  // A datagram comes from outside.
  void arrive(const Endpoint& from, FrameBytes payload) { answer(from, std::move(payload)); }
  // The number of the guest's socket that speaks through this one, once it has spoken.
  [[nodiscard]] std::optional<std::uint32_t> owner() const { return owner_; }

 private:
  struct Held {
    Endpoint from;
    FrameBytes payload;
    std::uint16_t segment_size = 0;
  };
  struct HeldError {
    Endpoint destination;
    Address offender;
    FrameBytes payload;
  };
  void reach(const Endpoint& to, Bytes payload);
  void answer(const Endpoint& from, FrameBytes payload);
  void answer_ping(const Endpoint& to, Bytes message);

  World& world_;
  const Plan& plan_;
  host::DatagramKind kind_;
  bool v4_;
  std::uint16_t port_;
  std::function<void()> on_edge_;
  std::optional<std::uint32_t> owner_;
  bool closed_ = false;
  bool want_space_ = false;
  std::deque<Held> queue_;
  std::deque<HeldError> errors_;
  // What the last receive() lent.
  std::vector<Held> lent_;
  std::vector<host::ReceivedDatagram> views_;
  HeldError lent_error_;
};

}  // namespace sf::sim
