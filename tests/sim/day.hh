// A day of one shard in a few seconds: every hour brings traffic of all kinds for its first forty minutes and
// then goes quiet. Once per hour the shard is weighed: what it has must be what the connections that still
// stand explain, and what an idle hour costs in wake-ups is bounded.
//
// Protocols' own rules are the other runs' (tcp_watch); here connections come to the end that their kind asks
// for.
#pragma once

#include <memory>
#include <vector>

#include "engine/shard.hh"
#include "sim/guest_server.hh"
#include "sim/noise.hh"
#include "sim/sim_host.hh"
#include "sim/turn_checks.hh"

namespace sf::sim {

struct DaySetup {
  std::uint64_t seed = 1;
  Time start = World::kStart;
  bool ipv6 = true;
  unsigned part = 1;       // of the traffic, one in so many is carried
  Trace* trace = nullptr;  // for whoever looks for the reason of a failure
};

// How a connection is to end.
enum class DayKind : std::uint8_t {
  whole,    // every byte both ways, and in good order
  failed,   // the guest is told that it could not be opened, or hears nothing
  reset,    // the guest hears that it has ended
  dropped,  // nobody is there any more to be told
  aborted,  // the guest has reset it; where that was lost, the shard finds out when it asks
};

// A connection, and when the shard has to have it.
struct DayFlow {
  std::unique_ptr<Ledger> ledger;
  DayKind kind = DayKind::whole;
  Time stands_until{};  // the shard must not have ended it before
  Time gone_by{};       // and has forgotten it by then
};

struct DayResult {
  std::vector<Violation> violations;
  std::uint64_t connections = 0;
  std::uint64_t whole = 0;
  std::uint64_t frames = 0;
  std::uint64_t turns = 0;
  std::uint64_t answers = 0;
  std::uint64_t bytes = 0;
  std::uint64_t most_idle_wake_ups = 0;  // of the hours in which nothing begins
  std::size_t memory_first = 0;          // of the shard, at the first mark and at the end
  std::size_t memory_last = 0;

  [[nodiscard]] std::string report() const;
};

class Day {
 public:
  static constexpr unsigned kHours = 24;
  // Those in which nothing begins.
  [[nodiscard]] static bool is_idle(unsigned hour) { return hour == 6 || hour == 17 || hour >= 21; }
  [[nodiscard]] static bool loses_power(unsigned hour) { return hour == 3 || hour == 9 || hour == 14; }

  explicit Day(const DaySetup& setup);
  Day(const Day&) = delete;
  Day& operator=(const Day&) = delete;
  [[nodiscard]] DayResult run();

 private:
  // day.cc
  void run_until(Time end);
  void take_turn();
  void mark(unsigned hour);
  void check_flow(const DayFlow& flow);
  [[nodiscard]] unsigned published_sockets() const;

  // day_traffic.cc: what begins in an hour
  void begin_hour(unsigned hour);
  void short_connections(unsigned hour);
  void transfers();
  void half_open();
  void silent_ends(unsigned hour);
  void long_lived(unsigned hour);
  void datagrams();
  void fragments();
  void dhcp();
  void published(unsigned hour);
  void publish(const engine::PublishRule& rule, Duration at, Duration until);
  void clients(std::uint16_t guest_port, std::uint16_t host_port, unsigned count, DayKind kind,
               Duration gone);
  void power_cut(unsigned tries);
  [[nodiscard]] FlowPlan flow_plan(Duration start);
  void add(const FlowPlan& plan, DayKind kind, Duration stands, Duration gone);
  [[nodiscard]] unsigned count(unsigned whole) const { return (whole + setup_.part - 1) / setup_.part; }
  [[nodiscard]] bool draw_v4() { return !setup_.ipv6 || world_.random().chance(0.6); }
  [[nodiscard]] Endpoint guest_end(bool v4, std::uint16_t port) const;

  DaySetup setup_;
  World world_;
  Plan plan_;
  // What the host and the world's events refer to outlives them.
  std::vector<DayFlow> flows_;
  std::vector<DayFlow> over_;
  std::vector<std::unique_ptr<Plan>> hours_;  // the world's events refer to them
  std::unique_ptr<FrameWatch> watch_;
  SimLink link_;
  SimHost host_;
  Guest guest_;
  GuestServer server_;
  TurnChecks checks_;
  std::unique_ptr<link::Link> shard_link_;  // as the shard has them
  std::unique_ptr<host::Host> shard_host_;
  Log log_;
  std::unique_ptr<engine::Shard> shard_;
  std::vector<std::unique_ptr<Noise>> noise_;
  Time hour_{};               // when this hour has begun
  std::uint16_t next_ = 0;    // short-lived connection of this hour
  std::uint16_t long_ = 0;    // long-lived one of the day
  std::uint32_t client_ = 0;  // of published ports
  std::uint32_t dhcp_ = 0;
  Time deadline_{};
  Time busy_until_{};
  std::uint64_t wake_ups_ = 0;       // of this hour, by a deadline alone
  std::uint64_t late_wake_ups_ = 0;  // those of its last ten minutes
  std::size_t flows_before_ = 0;     // at the last mark
  DayResult result_;
};

}  // namespace sf::sim
