// An Instance without an engine: keeps what is published, refuses one port, and shows what a test gives it.
#pragma once

#include <fmt/format.h>

#include <algorithm>

#include "control/instance.hh"

namespace sf::control {

class FakeInstance : public Instance {
 public:
  static constexpr std::uint16_t kTakenPort = 999;
  static constexpr std::uint16_t kChosenPort = 40000;

  Result<engine::PublishedPort> publish(const engine::PublishRule& rule) override {
    if (rule.host_port == kTakenPort) return fail("port {} is taken; choose another one", rule.host_port);
    engine::PublishedPort port{next_id_++, rule, 0};
    if (port.rule.host_port == 0) port.rule.host_port = kChosenPort;
    ports.push_back(port);
    return port;
  }
  bool unpublish(engine::PublishId id) override {
    return std::erase_if(ports, [id](const auto& port) { return port.id == id; }) > 0;
  }
  std::vector<engine::PublishedPort> published() const override { return ports; }
  engine::FlowList flows(std::size_t limit) const override {
    ++flows_asked;
    engine::FlowList list{live.size(), live};
    list.cut(limit);
    return list;
  }
  engine::Totals totals() const override { return sums; }
  InstanceInfo info() const override { return about; }
  std::optional<FlowLogReport> flow_log() const override { return log; }
  MetricsReport metrics() const override { return {.version = about.version}; }
  Refusals refusals(std::size_t most) const override {
    Refusals refusals{rules.refusals, rules.refused};
    if (refusals.targets.size() > most) refusals.targets.resize(most);
    return refusals;
  }
  PolicyReport policy() const override { return rules; }
  Result<void> set_policy(const std::string& name, const std::string& text) override {
    if (text == "wrong") return fail("{}:1:1: expected better", name);
    rules.rules = {text};
    return {};
  }
  Result<void> insert_policy_rule(policy::Action action, const std::string& rule) override {
    rules.rules.insert(rules.rules.begin(), (action == policy::Action::allow ? "allow " : "deny ") + rule);
    return {};
  }
  Result<void> reset_policy() override {
    rules.rules.clear();
    return {};
  }

  Result<std::unique_ptr<Stream>> capture(CaptureRequest request) override {
    auto stream = captures.add(std::move(request));
    if (!stream) return fail("there are captures enough; end one");
    return stream;
  }

  std::vector<engine::PublishedPort> ports;
  std::vector<engine::FlowInfo> live;
  bool looked_at = false;
  int wakes = 0;
  Captures captures{"tap0",
                    {.unix_time = [] { return std::chrono::nanoseconds(1'700'000'000'000'000'000); },
                     .wake = [this] { ++wakes; },
                     .use = [this](bool used) { looked_at = used; }}};
  PolicyReport rules{true, {}, {"allow a.test", "deny all"}, 3, {{"tcp 192.0.2.1:80", 3}}};
  mutable int flows_asked = 0;
  std::optional<FlowLogReport> log;
  engine::Totals sums{3, 1000, 2000, 40, 5, 2};
  InstanceInfo about{"4711",
                     "curl http://example.test/",
                     "1.2.3",
                     std::chrono::seconds(3723),
                     Address::v4(10, 0, 2, 100),
                     {Address::v4(10, 0, 2, 0), 24},
                     Address::parse("fd00::100"),
                     1500};

 private:
  engine::PublishId next_id_ = 1;
};

}  // namespace sf::control
