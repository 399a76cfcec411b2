// The guest's datagram sockets and pings, and what they may hear back: an answer exactly as it was asked,
// from where it was asked; or an error about what was really sent.
#pragma once

#include <functional>
#include <set>
#include <vector>

#include "sim/frames.hh"
#include "sim/plan.hh"
#include "sim/world.hh"
#include "wire/icmp.hh"

namespace sf::sim {

class GuestDatagrams {
 public:
  // Sends an upper-layer packet from the guest.
  using Send =
      std::function<void(const Address& from, const Address& to, std::uint8_t protocol, Bytes packet)>;

  GuestDatagrams(World& world, const Plan& plan, Send send);
  GuestDatagrams(const GuestDatagrams&) = delete;
  GuestDatagrams& operator=(const GuestDatagrams&) = delete;

  void on_udp(const Endpoint& from, const Endpoint& to, Bytes payload);
  void on_echo_reply(const Address& from, const Address& to, const wire::IcmpMessage& reply);
  // `quoted` is the start of the packet that the error is about.
  void on_error(Bytes quoted);

  [[nodiscard]] bool idle() const { return left_ == 0; }
  [[nodiscard]] std::uint64_t answers() const { return answers_; }
  [[nodiscard]] std::uint64_t errors() const { return errors_; }
  // With nothing lost on the way.
  [[nodiscard]] std::uint64_t expected_answers() const { return expected_; }
  [[nodiscard]] bool expects_errors() const { return expects_errors_; }

 private:
  void send_next(std::size_t index, std::uint32_t count);
  void ping(std::size_t index, std::uint32_t count);
  void query(std::uint32_t index);

  World& world_;
  const Plan& plan_;
  Send send_;
  std::set<std::uint64_t> sent_;  // ids of datagrams
  std::set<std::uint16_t> queries_;
  std::size_t left_ = 0;
  std::uint64_t answers_ = 0;
  std::uint64_t errors_ = 0;
  std::uint64_t expected_ = 0;
  bool expects_errors_ = false;
};

}  // namespace sf::sim
