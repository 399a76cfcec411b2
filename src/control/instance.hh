// What the control socket can ask of a running forwarder, and change in it. cli/instance implements it over
// the shards.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/address.hh"
#include "base/result.hh"
#include "control/capture.hh"
#include "control/metrics.hh"
#include "control/policy_report.hh"
#include "engine/published.hh"

namespace sf::control {

struct InstanceInfo {
  std::string name;    // in the list of instances: the pid
  std::string target;  // what is served: a command line, a pid, a path
  std::string version;
  std::chrono::microseconds uptime{};
  Address guest4;
  Prefix prefix4;
  std::optional<Address> guest6;
  std::uint32_t mtu = 0;
};

struct Refusals {
  std::uint64_t total = 0;
  std::vector<std::pair<std::string, std::uint64_t>> targets;  // the most frequent first
};

struct FlowLogReport {
  std::uint64_t written = 0;  // records
  std::uint64_t dropped = 0;
};

class Instance {
 public:
  Instance() = default;
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;
  virtual ~Instance() = default;

  // The Error is one line that names the port, the address and the remedy.
  [[nodiscard]] virtual Result<engine::PublishedPort> publish(const engine::PublishRule& rule) = 0;
  // False: there is no such port. Connections through it live on.
  [[nodiscard]] virtual bool unpublish(engine::PublishId id) = 0;
  [[nodiscard]] virtual std::vector<engine::PublishedPort> published() const = 0;
  // Those with the most bytes first, at most `limit`, and how many there are.
  [[nodiscard]] virtual engine::FlowList flows(std::size_t limit) const = 0;
  [[nodiscard]] virtual engine::Totals totals() const = 0;
  [[nodiscard]] virtual InstanceInfo info() const = 0;
  [[nodiscard]] virtual MetricsReport metrics() const = 0;
  // What the egress policy has refused, `most` targets of it.
  [[nodiscard]] virtual Refusals refusals(std::size_t most) const = 0;
  // Absent: none is written.
  [[nodiscard]] virtual std::optional<FlowLogReport> flow_log() const { return std::nullopt; }
  // The egress policy. What changes it returns an Error of one line where it could not, and then nothing has
  // changed.
  [[nodiscard]] virtual PolicyReport policy() const = 0;
  // `text` is that of a policy file, `name` its name for messages.
  [[nodiscard]] virtual Result<void> set_policy(const std::string& name, const std::string& text) = 0;
  // Before all other rules.
  [[nodiscard]] virtual Result<void> insert_policy_rule(policy::Action action, const std::string& rule) = 0;
  // As it was at the start, with the policy file as it is now.
  [[nodiscard]] virtual Result<void> reset_policy() = 0;
  // All frames from now on, as pcapng.
  [[nodiscard]] virtual Result<std::unique_ptr<Stream>> capture(CaptureRequest request) = 0;
};

}  // namespace sf::control
