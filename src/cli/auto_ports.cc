#include "cli/auto_ports.hh"

namespace sf::cli {
namespace {

Address loopback(bool v4) {
  return v4 ? Address::v4(127, 0, 0, 1) : Address().plus(1);
}

}  // namespace

AutoPorts::Wanted AutoPorts::wanted(const std::vector<setup::Listener>& listeners) {
  Wanted all;
  const auto want = [&all](const setup::Listener& listener, bool v4, std::optional<Address> guest) {
    const auto [entry, added] = all.emplace(Key{listener.tcp, v4, listener.at.port}, guest);
    if (!added && !guest) entry->second = guest;  // the loopback before any other address
  };
  for (const setup::Listener& listener : listeners) {
    const Address& address = listener.at.address;
    // Link-local addresses need an interface as well, and nobody connects to a group.
    if (address.is_multicast() || address.is_link_local()) continue;
    const bool v4 = address.is_v4();
    if (address.is_unspecified() || address == loopback(v4)) {
      want(listener, v4, std::nullopt);
      if (listener.both_versions) want(listener, true, std::nullopt);
    } else {
      want(listener, v4, address);
    }
  }
  return all;
}

void AutoPorts::on_listeners(const std::vector<setup::Listener>& listeners) {
  const Wanted now = wanted(listeners);
  std::erase_if(published_, [&](const auto& entry) {
    const auto found = now.find(entry.first);
    if (found != now.end() && found->second == entry.second.guest) return false;
    static_cast<void>(instance_.unpublish(entry.second.id));
    return true;
  });
  const std::vector<engine::PublishedPort> others = instance_.published();
  for (const auto& [key, guest] : now) {
    if (!published_.contains(key)) publish(key, guest, others);
  }
}

void AutoPorts::publish(const Key& key, const std::optional<Address>& guest,
                        const std::vector<engine::PublishedPort>& others) {
  engine::PublishRule rule;
  rule.transport = key.tcp ? engine::Transport::tcp : engine::Transport::udp;
  rule.host_address = loopback(key.v4);
  rule.host_port = rule.guest_port = key.port;
  rule.guest_address = guest;
  rule.loopback = true;
  // One that was asked for by itself leads inside already.
  for (const engine::PublishedPort& port : others) {
    const bool same = port.rule.transport == rule.transport && port.rule.host_port == rule.host_port;
    if (same && (!port.rule.host_address || *port.rule.host_address == rule.host_address)) return;
  }
  const auto port = instance_.publish(rule);
  if (port) {
    published_[key] = {guest, port->id};
    return;
  }
  if (refused_.insert(key).second) log_.warning("{}", port.error().message);
}

}  // namespace sf::cli
