// This process as the control socket sees it: published ports, flows and sums of its shards.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.hh"
#include "cli/config.hh"
#include "cli/policy_control.hh"
#include "cli/shards.hh"
#include "control/capture.hh"
#include "control/instance.hh"
#include "flowlog/flow_log.hh"
#include "host/loopback.hh"

namespace sf::cli {

class ShardInstance final : public control::Instance {
 public:
  // `shards`, `loopback`, `policy` and `config` outlive the instance; `clock` is the loop's.
  ShardInstance(Shards& shards, host::Loopback& loopback, PolicyControl& policy, const Config& config,
                std::string name, std::function<Time()> clock)
      : shards_(shards),
        loopback_(loopback),
        policy_(policy),
        config_(config),
        name_(std::move(name)),
        clock_(std::move(clock)),
        started_(clock_()) {}

  [[nodiscard]] Result<engine::PublishedPort> publish(const engine::PublishRule& rule) override;
  [[nodiscard]] bool unpublish(engine::PublishId id) override;
  [[nodiscard]] std::vector<engine::PublishedPort> published() const override;
  [[nodiscard]] engine::FlowList flows(std::size_t limit) const override;
  [[nodiscard]] engine::Totals totals() const override;
  [[nodiscard]] control::InstanceInfo info() const override;
  [[nodiscard]] control::MetricsReport metrics() const override;
  [[nodiscard]] control::Refusals refusals(std::size_t most) const override;
  [[nodiscard]] std::optional<control::FlowLogReport> flow_log() const override {
    if (flow_log_ == nullptr) return std::nullopt;
    const flowlog::Statistics statistics = flow_log_->statistics();
    return control::FlowLogReport{statistics.written, statistics.dropped};
  }
  // Null: there is none. Else it outlives this.
  void set_flow_log(const flowlog::FlowLog* flow_log) { flow_log_ = flow_log; }
  [[nodiscard]] control::PolicyReport policy() const override { return policy_.report(); }
  [[nodiscard]] Result<void> set_policy(const std::string& name, const std::string& text) override {
    return policy_.set(name, text);
  }
  [[nodiscard]] Result<void> insert_policy_rule(policy::Action action, const std::string& rule) override {
    return policy_.insert(action, rule);
  }
  [[nodiscard]] Result<void> reset_policy() override { return policy_.reload(); }
  [[nodiscard]] Result<std::unique_ptr<control::Stream>> capture(control::CaptureRequest request) override;
  // Null: nobody can look on. It outlives what capture() returns.
  void set_captures(control::Captures* captures) { captures_ = captures; }

 private:
  // Ports of both kinds share one row of numbers.
  struct Port {
    bool loopback = false;
    std::vector<std::uint32_t> ids{};  // among its kind; by shard where it is not loopback, 0 for none
  };

  [[nodiscard]] tl::expected<engine::PublishedPort, engine::PublishError> open(
      const engine::PublishRule& rule, std::vector<std::uint32_t>& ids);
  void close(const std::vector<std::uint32_t>& ids);

  Shards& shards_;
  host::Loopback& loopback_;
  PolicyControl& policy_;
  control::Captures* captures_ = nullptr;
  const Config& config_;
  const flowlog::FlowLog* flow_log_ = nullptr;
  std::string name_;
  std::function<Time()> clock_;
  Time started_;
  std::map<engine::PublishId, Port> ports_;
  engine::PublishId next_id_ = 1;
};

}  // namespace sf::cli
