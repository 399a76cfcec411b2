#include "cli/instance.hh"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/addresses.hh"

namespace sf::cli {
namespace {

const char* name_of(engine::Transport transport) {
  return transport == engine::Transport::tcp ? "TCP" : "UDP";
}

engine::PublishedPort from_loopback(const host::LoopbackPort& port) {
  engine::PublishedPort published;
  published.id = port.id;
  published.rule.transport = port.rule.stream ? engine::Transport::tcp : engine::Transport::udp;
  published.rule.host_address = port.rule.host_address;
  published.rule.host_port = port.rule.host_port;
  published.rule.guest_address = port.rule.guest_address;
  published.rule.guest_port = port.rule.guest_port;
  published.rule.loopback = true;
  published.accepted = port.accepted;
  return published;
}

std::string remedy(host::HostError error, std::uint16_t port) {
  switch (error) {
    case host::HostError::in_use:
      return "end the program that listens there, or choose another port";
    case host::HostError::no_such_address:
      return "give an address of this host, or none for all of them";
    case host::HostError::denied:
      return fmt::format(
          "choose a port from 1024 on, or have an administrator set sysctl "
          "net.ipv4.ip_unprivileged_port_start={}",
          port);
    case host::HostError::no_descriptors:
      return "raise the limit of open files (ulimit -n)";
    case host::HostError::net_unreachable:
      return "the host has no such IP version; give an address of the other one";
    default:
      return "see the host's system log";
  }
}

}  // namespace

Result<engine::PublishedPort> ShardInstance::publish(const engine::PublishRule& rule) {
  const bool v6 = rule.host_address && rule.host_address->is_v6();
  if (v6 && !config_.ipv6 && !rule.loopback) {
    return fail(
        "cannot publish {} port {} on {}: IPv6 is off inside; leave --no-ipv6 out, or give an IPv4 address",
        name_of(rule.transport), rule.host_port, rule.host_address->to_string());
  }
  if (rule.loopback && config_.slirp4netns) {
    return fail(
        "cannot publish {} port {} to the guest's loopback: as slirp4netns this program keeps no process "
        "inside; use "
        "slirp-forwarder attach",
        name_of(rule.transport), rule.host_port);
  }
  const auto refused = [&rule](host::HostError error, const Endpoint& at) {
    return fail("cannot publish {} port {} on {}: {}; {}", name_of(rule.transport), at.port,
                at.address.to_string(), host::to_string(error), remedy(error, at.port));
  };
  engine::PublishedPort published;
  std::vector<std::uint32_t> ids;
  if (rule.loopback) {
    const auto port = loopback_.add({.stream = rule.transport == engine::Transport::tcp,
                                     .host_address = rule.host_address,
                                     .host_port = rule.host_port,
                                     .guest_address = rule.guest_address,
                                     .guest_port = rule.guest_port});
    if (!port) return refused(port.error().error, port.error().at);
    published = from_loopback(*port);
    ids = {port->id};
  } else {
    const auto port = open(rule, ids);
    if (!port) return refused(port.error().error, port.error().at);
    published = *port;
  }
  ports_[next_id_] = {rule.loopback, std::move(ids)};
  published.id = next_id_++;
  return published;
}

// At every shard, or at the one that has the guest's port; all or none.
tl::expected<engine::PublishedPort, engine::PublishError> ShardInstance::open(
    const engine::PublishRule& rule, std::vector<std::uint32_t>& ids) {
  const bool tcp = rule.transport == engine::Transport::tcp;
  const unsigned count = shards_.count();
  const unsigned first = tcp ? 0 : shards_.udp_owner(rule.guest_port);
  ids.assign(count, 0);
  const auto open_at = [&](unsigned index, const engine::PublishRule& what, host::PortSharing sharing) {
    tl::expected<engine::PublishedPort, engine::PublishError> port = tl::unexpected(engine::PublishError{});
    shards_.visit(index, [&](engine::Shard& shard) { port = shard.published().add(what, sharing); });
    if (port) ids[index] = port->id;
    return port;
  };
  const auto opened =
      open_at(first, rule, tcp && count > 1 ? host::PortSharing::first : host::PortSharing::none);
  if (!opened || !tcp) return opened;
  engine::PublishRule chosen = rule;
  chosen.host_port = opened->rule.host_port;
  for (unsigned other = 1; other < count; ++other) {
    if (const auto joined = open_at(other, chosen, host::PortSharing::joins); !joined) {
      close(ids);
      return joined;
    }
  }
  return opened;
}

void ShardInstance::close(const std::vector<std::uint32_t>& ids) {
  shards_.visit_all([&](unsigned index, engine::Shard& shard) {
    if (ids[index] != 0) shard.published().remove(ids[index]);
  });
}

bool ShardInstance::unpublish(engine::PublishId id) {
  const auto found = ports_.find(id);
  if (found == ports_.end()) return false;
  const Port port = found->second;
  ports_.erase(found);
  if (port.loopback) return loopback_.remove(port.ids.front());
  close(port.ids);
  return true;
}

std::vector<engine::PublishedPort> ShardInstance::published() const {
  std::vector<std::map<std::uint32_t, engine::PublishedPort>> direct(shards_.count());
  shards_.visit_all([&](unsigned index, engine::Shard& shard) {
    for (const engine::PublishedPort& port : shard.published().list()) direct[index][port.id] = port;
  });
  std::map<std::uint32_t, engine::PublishedPort> loopback;
  for (const host::LoopbackPort& port : loopback_.list()) loopback[port.id] = from_loopback(port);
  std::vector<engine::PublishedPort> all;
  all.reserve(ports_.size());
  for (const auto& [id, port] : ports_) {
    engine::PublishedPort sum;
    if (port.loopback) sum = loopback[port.ids.front()];
    for (std::size_t index = 0; !port.loopback && index < direct.size(); ++index) {
      if (port.ids[index] == 0) continue;
      const engine::PublishedPort& part = direct[index][port.ids[index]];
      sum.rule = part.rule;
      sum.accepted += part.accepted;
    }
    sum.id = id;
    all.push_back(sum);
  }
  return all;
}

engine::FlowList ShardInstance::flows(std::size_t limit) const {
  std::vector<engine::FlowList> parts(shards_.count());
  shards_.visit_all([&](unsigned index, engine::Shard& shard) { parts[index] = shard.flows(limit); });
  engine::FlowList all;
  for (engine::FlowList& part : parts) all.add(std::move(part));
  for (const host::LoopbackFlow& flow : loopback_.flows()) {
    engine::FlowInfo info;
    info.protocol = flow.stream ? engine::FlowInfo::Protocol::tcp : engine::FlowInfo::Protocol::udp;
    info.inbound = true;
    info.guest = flow.guest;
    info.remote = flow.client;
    info.state = flow.state;
    info.bytes_from_guest = flow.bytes_from_guest;
    info.bytes_to_guest = flow.bytes_to_guest;
    all.flows.push_back(info);
    ++all.total;
  }
  all.cut(limit);
  return all;
}

engine::Totals ShardInstance::totals() const {
  std::vector<engine::Totals> parts(shards_.count());
  shards_.visit_all([&](unsigned index, engine::Shard& shard) { parts[index] = shard.totals(); });
  engine::Totals totals;
  for (const engine::Totals& part : parts) totals.add(part);
  const host::LoopbackTotals loopback = loopback_.totals();
  totals.tcp_opened += loopback.opened;
  totals.bytes_from_guest += loopback.bytes_from_guest;
  totals.bytes_to_guest += loopback.bytes_to_guest;
  totals.flows += loopback.flows;
  return totals;
}

control::MetricsReport ShardInstance::metrics() const {
  std::vector<engine::Metrics> parts(shards_.count());
  shards_.visit_all([&](unsigned index, engine::Shard& shard) { parts[index] = shard.metrics(); });
  control::MetricsReport report;
  for (const engine::Metrics& part : parts) report.engine.add(part);
  report.loopback = loopback_.totals();
  report.policy_refusals = policy_.gate().refusals();
  report.threads = shards_.count();
  report.version = SF_VERSION;
  return report;
}

control::Refusals ShardInstance::refusals(std::size_t most) const {
  return {policy_.gate().refusals(), policy_.gate().refused(most)};
}

Result<std::unique_ptr<control::Stream>> ShardInstance::capture(control::CaptureRequest request) {
  auto stream = captures_ != nullptr ? captures_->add(std::move(request)) : nullptr;
  if (!stream) {
    return fail(
        "cannot capture: {} captures of this instance are running, which is as many as there may be; end one",
        control::Captures::kMaxCaptures);
  }
  return stream;
}

control::InstanceInfo ShardInstance::info() const {
  const link::Network network = make_network(config_);
  control::InstanceInfo info;
  info.name = name_;
  info.target = config_.command == Command::run ? fmt::format("{}", fmt::join(config_.guest_command, " "))
                                                : config_.target;
  info.version = SF_VERSION;
  info.uptime = std::chrono::duration_cast<std::chrono::microseconds>(clock_() - started_);
  info.guest4 = network.guest4;
  info.prefix4 = network.prefix4;
  info.guest6 = configured_guest6(config_);
  info.mtu = config_.mtu;
  return info;
}

}  // namespace sf::cli
