// This process as the control socket sees it: published ports, flows and sums of its shard.
#pragma once

#include <functional>
#include <string>

#include "base/result.hh"
#include "cli/config.hh"
#include "control/instance.hh"
#include "engine/shard.hh"

namespace sf::cli {

class ShardInstance final : public control::Instance {
 public:
  // `shard` and `config` outlive the instance; `clock` is the loop's.
  ShardInstance(engine::Shard& shard, const Config& config, std::string name, std::function<Time()> clock)
      : shard_(shard),
        config_(config),
        name_(std::move(name)),
        clock_(std::move(clock)),
        started_(clock_()) {}

  [[nodiscard]] Result<engine::PublishedPort> publish(const engine::PublishRule& rule) override;
  [[nodiscard]] bool unpublish(engine::PublishId id) override { return shard_.published().remove(id); }
  [[nodiscard]] std::vector<engine::PublishedPort> published() const override {
    return shard_.published().list();
  }
  [[nodiscard]] std::vector<engine::FlowInfo> flows() const override { return shard_.flows(); }
  [[nodiscard]] std::optional<Duration> remote_rtt(const engine::FlowInfo& flow) const override {
    return shard_.remote_rtt(flow);
  }
  [[nodiscard]] engine::Totals totals() const override { return shard_.totals(); }
  [[nodiscard]] control::InstanceInfo info() const override;

 private:
  engine::Shard& shard_;
  const Config& config_;
  std::string name_;
  std::function<Time()> clock_;
  Time started_;
};

}  // namespace sf::cli
