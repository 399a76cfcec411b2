#include "cli/replies.hh"

#include <algorithm>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "cli/printable.hh"
#include "control/bounded_json.hh"

namespace sf::cli {
namespace {

using Json = nlohmann::json;

// One line, for an error message.
constexpr std::size_t kMaxReason = 1000;

// Takes members of an object; remembers whether one was missing or of another kind.
class Members {
 public:
  explicit Members(const Json& object) : object_(object), good_(object.is_object()) {}

  [[nodiscard]] bool good() const { return good_; }

  template <typename Number>
  void take(const char* name, Number& into) {
    static_assert(std::is_unsigned_v<Number>);
    const Json* found = find(name);
    good_ = good_ && found != nullptr && found->is_number_unsigned() &&
            found->get<std::uint64_t>() <= std::numeric_limits<Number>::max();
    if (good_) into = static_cast<Number>(found->get<std::uint64_t>());
  }
  void take(const char* name, std::string& into) {
    const Json* found = find(name);
    good_ = good_ && found != nullptr && found->is_string();
    if (good_) into = found->get<std::string>();
  }
  void take(const char* name, bool& into) {
    const Json* found = find(name);
    good_ = good_ && found != nullptr && found->is_boolean();
    if (good_) into = found->get<bool>();
  }
  // Null is absent.
  template <typename Value>
  void take(const char* name, std::optional<Value>& into) {
    const Json* found = find(name);
    if (good_ && found != nullptr && found->is_null()) return;
    Value value{};
    take(name, value);
    if (good_) into = std::move(value);
  }
  // Added later than the rest: another version may not have it.
  template <typename Value>
  void take_where_given(const char* name, Value& into) {
    const Json* found = find(name);
    if (found != nullptr && !found->is_null()) take(name, into);
  }
  template <typename Value, typename Read>
  void take_list(const char* name, std::vector<Value>& into, Read read) {
    const Json* found = find(name);
    good_ = good_ && found != nullptr && found->is_array();
    if (!good_) return;
    for (const Json& element : *found) {
      Value value;
      good_ = good_ && read(element, value);
      into.push_back(std::move(value));
    }
  }
  [[nodiscard]] Json object(const char* name) const {
    const Json* found = find(name);
    return found == nullptr ? Json() : *found;
  }

 private:
  [[nodiscard]] const Json* find(const char* name) const {
    if (!object_.is_object()) return nullptr;
    const auto found = object_.find(name);
    return found == object_.end() ? nullptr : &*found;
  }

  const Json& object_;
  bool good_;
};

bool read(const Json& json, PortReply& port) {
  Members members(json);
  members.take("id", port.id);
  members.take("port", port.port);
  members.take("proto", port.proto);
  members.take("host_addr", port.host_addr);
  members.take("host_port", port.host_port);
  members.take("guest_addr", port.guest_addr);
  members.take("guest_port", port.guest_port);
  members.take("accepted", port.accepted);
  members.take_where_given("loopback", port.loopback);
  return members.good();
}

bool read(const Json& json, FlowReply& flow) {
  Members members(json);
  members.take("protocol", flow.protocol);
  members.take("inbound", flow.inbound);
  members.take("guest_addr", flow.guest_addr);
  members.take("guest_port", flow.guest_port);
  members.take("remote_addr", flow.remote_addr);
  members.take("remote_port", flow.remote_port);
  members.take("state", flow.state);
  members.take("bytes_from_guest", flow.bytes_from_guest);
  members.take("bytes_to_guest", flow.bytes_to_guest);
  members.take("rtt_us", flow.rtt_us);
  members.take("remote_rtt_us", flow.remote_rtt_us);
  members.take_where_given("name", flow.name);
  return members.good();
}

tl::unexpected<Error> unreadable(std::string_view who) {
  return fail(
      "cannot read the reply of {}: it is not that of an instance of this version; is it another program, or "
      "has slirp-forwarder been updated since it was started?",
      who);
}

// What is in "return".
Result<Json> returned(std::string_view who, std::string_view reply) {
  Json json = control::parse_bounded(reply);
  if (!json.is_object()) return unreadable(who);
  auto& members = json.get_ref<Json::object_t&>();
  if (const auto value = members.find("return"); value != members.end()) return std::move(value->second);
  const auto error = json.find("error");
  if (error == json.end() || !error->is_object()) return unreadable(who);
  if (const auto reason = error->find("reason"); reason != error->end() && reason->is_string()) {
    return fail("{}", cut(printable(reason->get_ref<const std::string&>()), kMaxReason));
  }
  if (const auto desc = error->find("desc"); desc != error->end() && desc->is_string()) {
    return fail("{} refuses: {}; is its version another one?", who,
                cut(printable(desc->get_ref<const std::string&>()), kMaxReason));
  }
  return unreadable(who);
}

}  // namespace

Result<InfoReply> read_info(std::string_view who, std::string_view reply) {
  const auto json = returned(who, reply);
  if (!json) return tl::unexpected(json.error());
  InfoReply info;
  Members members(*json);
  members.take("target", info.target);
  members.take("version", info.version);
  members.take("uptime_s", info.uptime_s);
  members.take("guest4", info.guest4);
  members.take("prefix4", info.prefix4);
  members.take("guest6", info.guest6);
  members.take("mtu", info.mtu);
  members.take_list("ports", info.ports, [](const Json& one, PortReply& port) { return read(one, port); });
  const Json statistics = members.object("statistics");
  Members sums(statistics);
  sums.take("flows", info.flows);
  sums.take("bytes_from_guest", info.bytes_from_guest);
  sums.take("bytes_to_guest", info.bytes_to_guest);
  if (!members.good() || !sums.good()) return unreadable(who);
  return info;
}

Result<std::vector<PortReply>> read_ports(std::string_view who, std::string_view reply) {
  const auto json = returned(who, reply);
  if (!json) return tl::unexpected(json.error());
  std::vector<PortReply> ports;
  Members members(*json);
  members.take_list("ports", ports, [](const Json& one, PortReply& port) { return read(one, port); });
  if (!members.good()) return unreadable(who);
  return ports;
}

Result<FlowsReply> read_flows(std::string_view who, std::string_view reply) {
  const auto json = returned(who, reply);
  if (!json) return tl::unexpected(json.error());
  FlowsReply flows;
  Members members(*json);
  members.take("uptime_us", flows.uptime_us);
  members.take("total", flows.total);
  members.take_list("flows", flows.flows, [](const Json& one, FlowReply& flow) { return read(one, flow); });
  if (!members.good()) return unreadable(who);
  return flows;
}

Result<StatisticsReply> read_statistics(std::string_view who, std::string_view reply) {
  const auto json = returned(who, reply);
  if (!json) return tl::unexpected(json.error());
  StatisticsReply statistics;
  Members members(*json);
  members.take("flows", statistics.flows);
  members.take("tcp_opened", statistics.tcp_opened);
  members.take("bytes_from_guest", statistics.bytes_from_guest);
  members.take("bytes_to_guest", statistics.bytes_to_guest);
  members.take("frames_dropped", statistics.frames_dropped);
  members.take("refusals", statistics.refusals);
  members.take_list("refused", statistics.refused, [](const Json& one, Counted& refused) {
    Members entry(one);
    entry.take("target", refused.what);
    entry.take("count", refused.count);
    return entry.good();
  });
  const Json drops = members.object("drops");
  if (!members.good() || !drops.is_object()) return unreadable(who);
  for (const auto& [reason, count] : drops.get_ref<const Json::object_t&>()) {
    if (!count.is_number_unsigned()) return unreadable(who);
    if (count != 0) statistics.drops.push_back({reason, count.get<std::uint64_t>()});
  }
  std::ranges::stable_sort(statistics.drops, std::ranges::greater{}, &Counted::count);
  return statistics;
}

Result<PolicyReply> read_policy(std::string_view who, std::string_view reply) {
  const auto json = returned(who, reply);
  if (!json) return tl::unexpected(json.error());
  PolicyReply policy;
  Members members(*json);
  members.take("active", policy.active);
  members.take_list("rules", policy.rules, [](const Json& one, std::string& rule) {
    if (one.is_string()) rule = one.get<std::string>();
    return one.is_string();
  });
  members.take("audit", policy.audit);
  members.take("check_sni", policy.check_sni);
  members.take("dns_refusal", policy.dns_refusal);
  members.take("ttl_floor", policy.ttl_floor);
  members.take("refusals", policy.refusals);
  members.take_list("refused", policy.refused, [](const Json& one, PolicyReply::Refused& refused) {
    Members entry(one);
    entry.take("target", refused.target);
    entry.take("count", refused.count);
    return entry.good();
  });
  if (!members.good()) return unreadable(who);
  return policy;
}

Error read_refusal(std::string_view who, std::string_view reply) {
  const auto json = returned(who, reply);
  return json ? unreadable(who).value() : json.error();
}

}  // namespace sf::cli
