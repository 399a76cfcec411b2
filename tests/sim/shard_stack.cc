#include <fmt/core.h>

#include "engine/shard.hh"
#include "sim/simulation.hh"

namespace sf::sim {
namespace {

// The shard keeps a reference to its log.
class LoggedShard final : public host::Reactor {
 public:
  LoggedShard(link::Link& link, host::Host& host, const Plan& plan)
      : log_(LogLevel::error, [](LogLevel, std::string_view line) { fmt::print(stderr, "{}\n", line); }),
        shard_(config_of(plan), link, host, log_) {}

  void on_link_readable(Time now) override { shard_.on_link_readable(now); }
  void on_socket_event(host::Token token, host::Readiness readiness, Time now) override {
    shard_.on_socket_event(token, readiness, now);
  }
  [[nodiscard]] Time end_turn(Time now) override { return shard_.end_turn(now); }
  [[nodiscard]] bool alive() const override { return shard_.alive(); }
  [[nodiscard]] const engine::Shard& shard() const { return shard_; }

 private:
  [[nodiscard]] static engine::ShardConfig config_of(const Plan& plan) {
    engine::ShardConfig config;
    config.network = plan.network;
    config.key = {mix(plan.seed), mix(plan.seed + 1)};
    config.limits.half_open = plan.stack.half_open;
    config.limits.pieces = plan.stack.pieces;
    return config;
  }

  Log log_;
  engine::Shard shard_;
};

}  // namespace

Stack make_shard(link::Link& link, host::Host& host, const Plan& plan) {
  auto reactor = std::make_unique<LoggedShard>(link, host, plan);
  const engine::Shard& shard = reactor->shard();
  return {.reactor = std::move(reactor),
          .flows = [&shard] { return shard.flow_count(); },
          .memory_in_use = [&shard] { return shard.stats().pieces_in_use; }};
}

}  // namespace sf::sim
