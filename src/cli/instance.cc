#include "cli/instance.hh"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/addresses.hh"

namespace sf::cli {
namespace {

const char* name_of(engine::Transport transport) {
  return transport == engine::Transport::tcp ? "TCP" : "UDP";
}

std::string remedy(const engine::PublishError& error) {
  switch (error.error) {
    case host::HostError::in_use:
      return "end the program that listens there, or choose another port";
    case host::HostError::no_such_address:
      return "give an address of this host, or none for all of them";
    case host::HostError::denied:
      return fmt::format(
          "choose a port from 1024 on, or have an administrator set sysctl "
          "net.ipv4.ip_unprivileged_port_start={}",
          error.at.port);
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
  if (rule.host_address && rule.host_address->is_v6() && !config_.ipv6) {
    return fail(
        "cannot publish {} port {} on {}: IPv6 is off inside; leave --no-ipv6 out, or give an IPv4 address",
        name_of(rule.transport), rule.host_port, rule.host_address->to_string());
  }
  auto port = shard_.published().add(rule);
  if (port) return *port;
  const engine::PublishError& error = port.error();
  return fail("cannot publish {} port {} on {}: {}; {}", name_of(rule.transport), error.at.port,
              error.at.address.to_string(), host::to_string(error.error), remedy(error));
}

control::InstanceInfo ShardInstance::info() const {
  const link::Network network = make_network(config_);
  control::InstanceInfo info;
  info.name = name_;
  info.target = config_.command == Command::run ? fmt::format("{}", fmt::join(config_.guest_command, " "))
                                                : config_.target;
  info.version = SF_VERSION;
  info.uptime = std::chrono::duration_cast<std::chrono::seconds>(clock_() - started_);
  info.guest4 = network.guest4;
  info.prefix4 = network.prefix4;
  info.guest6 = configured_guest6(config_);
  info.mtu = config_.mtu;
  return info;
}

}  // namespace sf::cli
