// slirp4netns's requests: add_hostfwd, remove_hostfwd, list_hostfwd.
#include <limits>
#include <optional>

#include "control/request_json.hh"
#include "control/requests.hh"

namespace sf::control {
namespace {

using engine::PublishedPort;
using engine::PublishRule;
using engine::Transport;

std::optional<std::uint16_t> port_number(const Json& json) {
  const auto number = whole_number(json);
  if (!number || *number == 0 || *number > 0xffff) return std::nullopt;
  return static_cast<std::uint16_t>(*number);
}

// Absent, null and empty are all "not given"; anything else has to be an address.
bool read_address(const Json& json, std::optional<Address>& into) {
  if (json.is_null()) return true;
  if (!json.is_string()) return false;
  const auto& text = json.get_ref<const std::string&>();
  if (text.empty()) return true;
  into = Address::parse(text);
  return into && !into->is_multicast() && !into->is_broadcast();
}

std::optional<engine::PublishId> publish_id(std::uint64_t number) {
  if (number > std::numeric_limits<engine::PublishId>::max()) return std::nullopt;
  return static_cast<engine::PublishId>(number);
}

}  // namespace

std::string add_hostfwd(const Json& arguments, Instance& instance) {
  PublishRule rule;
  const Json& proto = member(arguments, "proto");
  if (proto != "tcp" && proto != "udp") return error_reply("add_hostfwd: bad arguments.proto");
  if (proto == "udp") rule.transport = Transport::udp;
  rule.host_address = Address::v4(0);
  if (!read_address(member(arguments, "host_addr"), rule.host_address)) {
    return error_reply("add_hostfwd: bad arguments.host_addr");
  }
  const auto host_port = port_number(member(arguments, "host_port"));
  if (!host_port) return error_reply("add_hostfwd: bad arguments.host_port");
  rule.host_port = *host_port;
  const bool readable = read_address(member(arguments, "guest_addr"), rule.guest_address);
  if (rule.guest_address && rule.guest_address->is_unspecified()) rule.guest_address.reset();
  // Nothing here translates from one IP version to the other.
  if (!readable || (rule.guest_address && rule.guest_address->is_v4() != rule.host_address->is_v4())) {
    return error_reply("add_hostfwd: bad arguments.guest_addr");
  }
  const auto guest_port = port_number(member(arguments, "guest_port"));
  if (!guest_port) return error_reply("add_hostfwd: bad arguments.guest_port");
  rule.guest_port = *guest_port;

  const auto published = instance.publish(rule);
  if (!published) {
    return error_with_reason("add_hostfwd: slirp_add_hostfwd failed", published.error().message);
  }
  return returned({{"id", published->id}});
}

std::string remove_hostfwd(const Json& arguments, Instance& instance) {
  const auto number = whole_number(member(arguments, "id"));
  if (!number) return error_reply("remove_hostfwd: bad arguments.id");
  const auto id = publish_id(*number);
  if (!id || !instance.unpublish(*id)) return error_reply("remove_hostfwd: slirp_remove_hostfwd failed");
  return returned(Json::object());
}

std::string list_hostfwd(const Json&, Instance& instance) {
  const InstanceInfo info = instance.info();
  Json entries = Json::array();
  for (const PublishedPort& port : instance.published()) {
    const PublishRule& rule = port.rule;
    if (rule.loopback) continue;  // slirp4netns has no such ports
    const Address host = rule.host_address.value_or(Address::v4(0));
    const Address own = host.is_v6() && info.guest6 ? *info.guest6 : info.guest4;
    entries.push_back({{"id", port.id},
                       {"proto", transport_name(rule.transport)},
                       {"host_addr", host.to_string()},
                       {"host_port", rule.host_port},
                       {"guest_addr", rule.guest_address.value_or(own).to_string()},
                       {"guest_port", rule.guest_port}});
  }
  Json reply;
  reply["entries"] = entries;                       // where slirp4netns has it
  reply["return"]["entries"] = std::move(entries);  // where its manual has it
  return to_text(reply);
}

}  // namespace sf::control
