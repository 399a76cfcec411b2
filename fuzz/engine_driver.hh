// A whole shard, driven by an input: frames of the guest's (raw ones, and well-formed ones so that more than
// the parsers is reached), events of host sockets, published ports, faults, time.
#pragma once

#include <memory>

#include "engine/shard.hh"
#include "fuzz_host.hh"
#include "fuzz_link.hh"
#include "input.hh"

namespace sf::fuzz {

class EngineDriver {
 public:
  explicit EngineDriver(Input& in);

  // One operation of the input's.
  void step();
  // Lets all come to an end, and looks that nothing is left.
  void finish();

 private:
  // The guest.
  void raw_frame();
  void tcp_segment();
  void datagram();
  void echo();
  void fragment();
  void neighbour();
  void dns_query();
  void dhcp();
  void send(std::vector<sim::Frame> frames, std::uint8_t offload);
  [[nodiscard]] sim::Addressing addressing(std::uint8_t selector) const;
  [[nodiscard]] std::vector<std::uint8_t> payload();
  // The host.
  void stream_event();
  void datagram_event();
  void error_event();
  void stale_event();
  void client();
  void publish();
  void unpublish();
  void fault();
  void fire(FuzzHost::Socket& socket);
  [[nodiscard]] FuzzHost::Socket* pick(FuzzHost::Kind kind, std::uint8_t selector);
  // The loop.
  void pass_time(Duration time, unsigned most_wakes);
  void turn();
  void check_counters();

  Input& in_;
  engine::ShardConfig config_;
  Log log_{LogLevel::error, [](LogLevel, std::string_view) {}};
  FuzzHost host_;
  std::unique_ptr<FuzzLink> link_;
  std::unique_ptr<engine::Shard> shard_;
  std::uint32_t guest_sequence_ = 0;
  std::vector<engine::PublishId> ports_;
  Time now_{1000s};
  Time deadline_ = kNever;
};

}  // namespace sf::fuzz
