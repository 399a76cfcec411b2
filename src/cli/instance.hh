// This process as the control socket sees it: published ports, flows and sums of its shard.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "base/result.hh"
#include "cli/config.hh"
#include "cli/policy_control.hh"
#include "control/instance.hh"
#include "engine/shard.hh"
#include "host/loopback.hh"

namespace sf::cli {

class ShardInstance final : public control::Instance {
 public:
  // `shard`, `loopback` and `config` outlive the instance; `clock` is the loop's.
  ShardInstance(engine::Shard& shard, host::Loopback& loopback, PolicyControl& policy, const Config& config,
                std::string name, std::function<Time()> clock)
      : shard_(shard),
        loopback_(loopback),
        policy_(policy),
        config_(config),
        name_(std::move(name)),
        clock_(std::move(clock)),
        started_(clock_()) {}

  [[nodiscard]] Result<engine::PublishedPort> publish(const engine::PublishRule& rule) override;
  [[nodiscard]] bool unpublish(engine::PublishId id) override;
  [[nodiscard]] std::vector<engine::PublishedPort> published() const override;
  [[nodiscard]] std::vector<engine::FlowInfo> flows() const override;
  [[nodiscard]] std::optional<Duration> remote_rtt(const engine::FlowInfo& flow) const override {
    return shard_.remote_rtt(flow);
  }
  [[nodiscard]] engine::Totals totals() const override;
  [[nodiscard]] control::InstanceInfo info() const override;
  [[nodiscard]] control::PolicyReport policy() const override { return policy_.report(); }
  [[nodiscard]] Result<void> set_policy(const std::string& name, const std::string& text) override {
    return policy_.set(name, text);
  }
  [[nodiscard]] Result<void> insert_policy_rule(policy::Action action, const std::string& rule) override {
    return policy_.insert(action, rule);
  }
  [[nodiscard]] Result<void> reset_policy() override { return policy_.reload(); }

 private:
  // Ports of both kinds share one row of numbers.
  struct Port {
    bool loopback = false;
    std::uint32_t id = 0;  // among its kind
  };

  engine::Shard& shard_;
  host::Loopback& loopback_;
  PolicyControl& policy_;
  const Config& config_;
  std::string name_;
  std::function<Time()> clock_;
  Time started_;
  std::map<engine::PublishId, Port> ports_;
  engine::PublishId next_id_ = 1;
};

}  // namespace sf::cli
