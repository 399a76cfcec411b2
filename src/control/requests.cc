#include "control/requests.hh"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <exception>
#include <iterator>

#include "control/bounded_json.hh"
#include "control/publish_syntax.hh"
#include "control/request_json.hh"

namespace sf::control {
namespace {

using engine::FlowInfo;
using engine::PublishedPort;
using engine::PublishRule;

std::string text_of(const std::optional<Address>& address) {
  return address ? address->to_string() : std::string();
}

Json describe(const PublishedPort& port) {
  return {{"id", port.id},
          {"port", format_publish(port.rule)},
          {"proto", transport_name(port.rule.transport)},
          {"host_addr", text_of(port.rule.host_address)},
          {"host_port", port.rule.host_port},
          {"guest_addr", text_of(port.rule.guest_address)},
          {"guest_port", port.rule.guest_port},
          {"loopback", port.rule.loopback},
          {"accepted", port.accepted}};
}

Json describe_all(const std::vector<PublishedPort>& ports) {
  Json list = Json::array();
  for (const PublishedPort& port : ports) list.push_back(describe(port));
  return list;
}

std::string ports_reply(const std::vector<PublishedPort>& ports) {
  return returned({{"ports", describe_all(ports)}});
}

// All of a range or nothing.
std::string publish(const Json& arguments, Instance& instance) {
  const Json& text = member(arguments, "port");
  if (!text.is_string()) return error_reply("publish: bad arguments.port");
  const auto rules = parse_publish(text.get_ref<const std::string&>());
  if (!rules) return error_with_reason("publish: bad arguments.port", rules.error().message);
  const Json& loopback = member(arguments, "loopback");
  if (!loopback.is_null() && !loopback.is_boolean()) return error_reply("publish: bad arguments.loopback");
  std::vector<PublishedPort> done;
  for (PublishRule rule : *rules) {
    rule.loopback = loopback == true;
    auto published = instance.publish(rule);
    if (!published) {
      for (const PublishedPort& port : done) static_cast<void>(instance.unpublish(port.id));
      return error_with_reason("publish: failed", published.error().message);
    }
    done.push_back(*std::move(published));
  }
  return ports_reply(done);
}

// The published ports that `arguments` name; all that the text says or none.
Result<std::vector<PublishedPort>> named_ports(const Json& arguments, const Instance& instance) {
  const std::vector<PublishedPort> published = instance.published();
  std::vector<PublishedPort> named;
  if (const auto number = whole_number(member(arguments, "id"))) {
    std::ranges::copy_if(published, std::back_inserter(named),
                         [&](const PublishedPort& port) { return port.id == *number; });
    if (named.empty()) return fail("no published port has the id {}", *number);
    return named;
  }
  const auto rules = parse_publish(member(arguments, "port").get_ref<const std::string&>());
  if (!rules) return tl::unexpected(rules.error());
  for (PublishRule rule : *rules) {
    const auto found = std::ranges::find_if(published, [&](const PublishedPort& port) {
      rule.guest_address = port.rule.guest_address;  // the text has neither to compare
      rule.loopback = port.rule.loopback;
      return port.rule == rule;
    });
    if (found == published.end()) {
      rule.guest_address.reset();
      return fail("{} is not published", format_publish(rule));
    }
    named.push_back(*found);
  }
  return named;
}

std::string unpublish(const Json& arguments, Instance& instance) {
  const Json& id = member(arguments, "id");
  if (!id.is_null() && !whole_number(id)) return error_reply("unpublish: bad arguments.id");
  if (id.is_null() && !member(arguments, "port").is_string()) {
    return error_reply("unpublish: neither arguments.id nor arguments.port");
  }
  const auto ports = named_ports(arguments, instance);
  if (!ports) return error_with_reason("unpublish: failed", ports.error().message);
  for (const PublishedPort& port : *ports) static_cast<void>(instance.unpublish(port.id));
  return ports_reply(*ports);
}

std::string list_published(const Json&, Instance& instance) {
  return ports_reply(instance.published());
}

const char* name_of(FlowInfo::Protocol protocol) {
  switch (protocol) {
    case FlowInfo::Protocol::tcp:
      return "tcp";
    case FlowInfo::Protocol::udp:
      return "udp";
    case FlowInfo::Protocol::icmp:
      return "icmp";
  }
  return "";
}

std::string microseconds_or_null(const std::optional<Duration>& duration) {
  if (!duration) return "null";
  return std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(*duration).count());
}

// By hand: nothing in it but a name needs quoting, and it is several times faster than building a Json of
// each flow.
void append_flow(std::string& out, const FlowInfo& flow) {
  const bool anywhere = flow.remote == Endpoint{};
  fmt::format_to(
      std::back_inserter(out),
      R"({{"protocol":"{}","inbound":{},"guest_addr":"{}","guest_port":{},"remote_addr":"{}","remote_port":{},)"
      R"("state":"{}","bytes_from_guest":{},"bytes_to_guest":{},"rtt_us":{},"remote_rtt_us":{})",
      name_of(flow.protocol), flow.inbound, flow.guest.address.to_string(), flow.guest.port,
      anywhere ? std::string() : flow.remote.address.to_string(), flow.remote.port, flow.state,
      flow.bytes_from_guest, flow.bytes_to_guest, microseconds_or_null(flow.rtt),
      microseconds_or_null(flow.remote_rtt));
  if (!flow.name.empty()) out += R"(,"name":)" + to_text(Json(flow.name));
  out += '}';
}

std::string list_flows(const Json& arguments, Instance& instance) {
  std::size_t limit = kFlowsListed;
  if (const Json& given = member(arguments, "limit"); !given.is_null()) {
    const auto number = whole_number(given);
    if (!number) return error_reply("list_flows: bad arguments.limit");
    limit = static_cast<std::size_t>(std::min<std::uint64_t>(*number, kMaxFlowsListed));
  }
  const engine::FlowList list = instance.flows(limit);
  std::string out = fmt::format(R"({{"return":{{"uptime_us":{},"total":{},"flows":[)",
                                instance.info().uptime.count(), list.total);
  out.reserve(out.size() + list.flows.size() * 256);
  for (const FlowInfo& flow : list.flows) {
    if (out.back() != '[') out += ',';
    append_flow(out, flow);
  }
  out += "]}}";
  return out;
}

Json describe(const engine::Totals& totals) {
  return {{"tcp_opened", totals.tcp_opened},         {"bytes_from_guest", totals.bytes_from_guest},
          {"bytes_to_guest", totals.bytes_to_guest}, {"frames_from_guest", totals.frames_from_guest},
          {"frames_dropped", totals.frames_dropped}, {"flows", totals.flows}};
}

Json describe(const std::vector<std::pair<std::string, std::uint64_t>>& refused) {
  Json list = Json::array();
  for (const auto& [target, count] : refused) list.push_back({{"target", target}, {"count", count}});
  return list;
}

std::string statistics(const Json&, Instance& instance) {
  const engine::Totals totals = instance.totals();
  const Refusals refusals = instance.refusals(kRefusalsInStatistics);
  Json json = describe(totals);
  for (std::size_t i = 0; i < totals.drops.size(); ++i) {
    json["drops"][wire::to_string(static_cast<wire::DropReason>(i))] = totals.drops[i];
  }
  json["refusals"] = refusals.total;
  json["refused"] = describe(refusals.targets);
  if (const auto flow_log = instance.flow_log()) {
    json["flow_log"] = {{"written", flow_log->written}, {"dropped", flow_log->dropped}};
  }
  return returned(std::move(json));
}

std::string info(const Json&, Instance& instance) {
  const InstanceInfo info = instance.info();
  Json json{{"name", info.name},
            {"target", info.target},
            {"version", info.version},
            {"uptime_s", std::chrono::floor<std::chrono::seconds>(info.uptime).count()},
            {"guest4", info.guest4.to_string()},
            {"prefix4", info.prefix4.to_string()},
            {"guest6", nullptr},
            {"mtu", info.mtu},
            {"ports", describe_all(instance.published())},
            {"statistics", describe(instance.totals())}};
  if (info.guest6) json["guest6"] = info.guest6->to_string();
  return returned(std::move(json));
}

std::string policy_reply(const Instance& instance) {
  const PolicyReport report = instance.policy();
  return returned({{"active", report.active},
                   {"rules", report.rules},
                   {"audit", report.settings.audit},
                   {"check_sni", report.settings.check_sni},
                   {"dns_refusal", report.settings.refuse_with_refused ? "refused" : "nxdomain"},
                   {"ttl_floor", report.settings.ttl_floor},
                   {"refusals", report.refusals},
                   {"refused", describe(report.refused)}});
}

std::string policy_changed(const char* request, const Result<void>& changed, const Instance& instance) {
  if (!changed) return error_with_reason(fmt::format("{}: failed", request), changed.error().message);
  return policy_reply(instance);
}

std::string show_policy(const Json&, Instance& instance) {
  return policy_reply(instance);
}

std::string set_policy(const Json& arguments, Instance& instance) {
  const Json& name = member(arguments, "name");
  const Json& text = member(arguments, "text");
  if (!name.is_string()) return error_reply("set_policy: bad arguments.name");
  if (!text.is_string()) return error_reply("set_policy: bad arguments.text");
  return policy_changed("set_policy", instance.set_policy(name.get<std::string>(), text.get<std::string>()),
                        instance);
}

std::string insert_rule(const Json& arguments, Instance& instance) {
  const Json& action = member(arguments, "action");
  const Json& rule = member(arguments, "rule");
  if (action != "allow" && action != "deny") return error_reply("insert_rule: bad arguments.action");
  if (!rule.is_string()) return error_reply("insert_rule: bad arguments.rule");
  const auto kind = action == "allow" ? policy::Action::allow : policy::Action::deny;
  return policy_changed("insert_rule", instance.insert_policy_rule(kind, rule.get<std::string>()), instance);
}

std::string reset_policy(const Json&, Instance& instance) {
  return policy_changed("reset_policy", instance.reset_policy(), instance);
}

// The filter is what `tcpdump -ddd` prints.
std::string capture(const Json& arguments, Instance& instance, std::unique_ptr<Stream>& stream) {
  CaptureRequest request;
  if (const Json& text = member(arguments, "filter"); !text.is_null()) {
    if (!text.is_string()) return error_reply("capture: bad arguments.filter");
    auto filter = wire::PacketFilter::parse(text.get_ref<const std::string&>());
    if (!filter) return error_with_reason("capture: bad arguments.filter", filter.error().message);
    request.filter = *std::move(filter);
  }
  if (const Json& length = member(arguments, "snap_length"); !length.is_null()) {
    const auto number = whole_number(length);
    if (!number || *number == 0 || *number > wire::pcapng::kMaxSnapLength) {
      return error_reply("capture: bad arguments.snap_length");
    }
    request.snap_length = static_cast<std::uint32_t>(*number);
  }
  auto begun = instance.capture(std::move(request));
  if (!begun) return error_with_reason("capture: failed", begun.error().message);
  stream = *std::move(begun);
  return {};
}

std::string version(const Json&, Instance& instance) {
  return returned({{"version", instance.info().version}});
}

using Handler = std::string (*)(const Json& arguments, Instance& instance);
constexpr std::array<std::pair<std::string_view, Handler>, 14> kHandlers{{
    {"add_hostfwd", add_hostfwd},
    {"remove_hostfwd", remove_hostfwd},
    {"list_hostfwd", list_hostfwd},
    {"publish", publish},
    {"unpublish", unpublish},
    {"list_published", list_published},
    {"list_flows", list_flows},
    {"statistics", statistics},
    {"info", info},
    {"policy", show_policy},
    {"set_policy", set_policy},
    {"insert_rule", insert_rule},
    {"reset_policy", reset_policy},
    {"version", version},
}};

std::string dispatch(std::string_view request, Instance& instance, std::unique_ptr<Stream>* stream) {
  if (request.size() > kMaxRequest) return error_reply("too large message");
  const Json json = parse_bounded(request);
  if (json.is_discarded()) return error_reply("cannot parse JSON");
  if (!json.is_object()) return error_reply("json_object() failed");
  const Json& execute = member(json, "execute");
  if (!execute.is_string()) return error_reply("no execute found");
  if (execute == "capture" && stream != nullptr) return capture(member(json, "arguments"), instance, *stream);
  const auto handler = std::ranges::find(kHandlers, execute.get_ref<const std::string&>(),
                                         &std::pair<std::string_view, Handler>::first);
  if (handler == kHandlers.end()) return error_reply("unknown execute");
  return handler->second(member(json, "arguments"), instance);
}

}  // namespace

std::string error_reply(std::string_view description) {
  Json reply;
  reply["error"]["desc"] = fmt::format("bad request: {}", description);
  return to_text(reply);
}

std::string answer(std::string_view request, Instance& instance, std::unique_ptr<Stream>* stream) {
  // The library throws where it is used wrongly; packets do not wait for the one place that was overlooked.
  try {
    return dispatch(request, instance, stream);
  } catch (const std::exception&) {
    return R"({"error":{"desc":"internal error"}})";
  }
}

}  // namespace sf::control
