#include "cli/documents.hh"

#include <charconv>
#include <nlohmann/json.hpp>

namespace sf::cli {
namespace {

using Json = nlohmann::ordered_json;  // as written here, for people who look at it

// ASCII alone: no character that a terminal acts upon gets through.
std::string text_of(const Json& json) {
  return json.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
}

template <typename Value>
Json or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json();
}

// A pid is a number; what is none, such as a path, stays text.
Json pid_of(const std::string& text) {
  std::uint32_t pid = 0;
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, pid);
  return error == std::errc{} && end == last ? Json(pid) : Json(text);
}

Json describe(const PortReply& port) {
  return {{"id", port.id},
          {"port", port.port},
          {"proto", port.proto},
          {"host_addr", port.host_addr},
          {"host_port", port.host_port},
          {"guest_addr", port.guest_addr},
          {"guest_port", port.guest_port},
          {"loopback", port.loopback},
          {"accepted", port.accepted}};
}

Json describe(const std::vector<PortReply>& ports) {
  Json list = Json::array();
  for (const PortReply& port : ports) list.push_back(describe(port));
  return list;
}

Json describe(const ListedInstance& instance) {
  const InfoReply& info = instance.info;
  return {{"pid", pid_of(instance.pid)},
          {"socket", instance.socket},
          {"target", info.target},
          {"version", info.version},
          {"uptime_s", info.uptime_s},
          {"guest4", info.guest4},
          {"prefix4", info.prefix4},
          {"guest6", or_null(info.guest6)},
          {"mtu", info.mtu},
          {"flows", info.flows},
          {"bytes_from_guest", info.bytes_from_guest},
          {"bytes_to_guest", info.bytes_to_guest},
          {"ports", describe(info.ports)}};
}

Json describe(const FlowRow& row) {
  const FlowReply& flow = row.flow;
  return {{"protocol", flow.protocol},
          {"inbound", flow.inbound},
          {"guest_addr", flow.guest_addr},
          {"guest_port", flow.guest_port},
          {"remote_addr", flow.remote_addr},
          {"remote_port", flow.remote_port},
          {"state", flow.state},
          {"rtt_us", or_null(flow.rtt_us)},
          {"remote_rtt_us", or_null(flow.remote_rtt_us)},
          {"rate_from_guest", or_null(row.rate_from_guest)},
          {"rate_to_guest", or_null(row.rate_to_guest)},
          {"bytes_from_guest", flow.bytes_from_guest},
          {"bytes_to_guest", flow.bytes_to_guest}};
}

}  // namespace

std::string instances_document(const std::vector<ListedInstance>& instances,
                               const std::vector<UnansweredInstance>& unanswered) {
  Json document{{"instances", Json::array()}, {"unanswered", Json::array()}};
  for (const ListedInstance& instance : instances) document["instances"].push_back(describe(instance));
  for (const auto& [pid, socket, error] : unanswered) {
    document["unanswered"].push_back({{"pid", pid_of(pid)}, {"socket", socket}, {"error", error}});
  }
  return text_of(document);
}

std::string ports_document(const std::vector<PortReply>& ports) {
  return text_of({{"ports", describe(ports)}});
}

std::string flows_document(const FlowRows& flows) {
  Json list = Json::array();
  for (const FlowRow& row : flows.rows) list.push_back(describe(row));
  return text_of({{"interval_us", flows.interval_us}, {"total", flows.total}, {"flows", std::move(list)}});
}

std::string policy_document(const PolicyReply& policy) {
  Json refused = Json::array();
  for (const auto& [target, count] : policy.refused)
    refused.push_back({{"target", target}, {"count", count}});
  return text_of({{"active", policy.active},
                  {"rules", policy.rules},
                  {"audit", policy.audit},
                  {"check_sni", policy.check_sni},
                  {"dns_refusal", policy.dns_refusal},
                  {"ttl_floor", policy.ttl_floor},
                  {"refusals", policy.refusals},
                  {"refused", std::move(refused)}});
}

}  // namespace sf::cli
