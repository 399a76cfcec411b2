#include "control/metrics.hh"

#include <array>
#include <utility>

#include "base/piece_pool.hh"
#include "control/exposition.hh"

namespace sf::control {
namespace {

using engine::Metrics;
using Type = Exposition::Type;

constexpr std::array<std::string_view, tcp::kStates> kStateNames{
    "connecting", "syn-received", "syn-sent",   "established", "close-wait", "last-ack",
    "closing",    "fin-wait-1",   "fin-wait-2", "time-wait",   "closed"};

void both(Exposition& out, std::string_view protocol, const Metrics::Both& numbers) {
  out.sample({{"protocol", protocol}, {"direction", "from_guest"}}, numbers.from_guest);
  out.sample({{"protocol", protocol}, {"direction", "to_guest"}}, numbers.to_guest);
}

void both(Exposition& out, const Metrics::Both& numbers) {
  out.sample({{"direction", "from_guest"}}, numbers.from_guest);
  out.sample({{"direction", "to_guest"}}, numbers.to_guest);
}

void add_traffic(Exposition& out, const Metrics& engine) {
  out.family("slirp_forwarder_payload_bytes_total", Type::counter,
             "Payload of TCP and UDP that has passed between the guest and sockets of the host.");
  both(out, "tcp", engine.tcp_bytes);
  both(out, "udp", engine.udp_bytes);
  out.family("slirp_forwarder_datagrams_total", Type::counter,
             "UDP datagrams, and pings (requests from the guest, replies to it), that have passed.");
  both(out, "udp", engine.udp_datagrams);
  both(out, "icmp", engine.pings);
  out.family("slirp_forwarder_packets_total", Type::counter,
             "Packets on the guest's link; a super-frame counts as the segments that it has.");
  both(out, engine.packets);
  out.family("slirp_forwarder_frame_bytes_total", Type::counter,
             "Bytes of all frames on the guest's link, with headers.");
  both(out, engine.packet_bytes);
  out.family("slirp_forwarder_drops_total", Type::counter, "Frames from the guest that were dropped.");
  for (std::size_t i = 0; i < engine.drops.size(); ++i) {
    out.sample({{"reason", wire::to_string(static_cast<wire::DropReason>(i))}}, engine.drops[i]);
  }
  out.family("slirp_forwarder_frames_not_taken_total", Type::counter,
             "Frames to the guest that its device did not take.");
  out.sample({}, engine.not_taken);
}

void opened(Exposition& out, std::string_view protocol, const Metrics::Opened& numbers) {
  out.sample({{"protocol", protocol}, {"origin", "guest"}}, numbers.by_guest);
  out.sample({{"protocol", protocol}, {"origin", "host"}}, numbers.by_host);
}

void add_flows(Exposition& out, const Metrics& engine) {
  out.family("slirp_forwarder_flows", Type::gauge,
             "Flows that exist now: of TCP by state, of UDP and ping the ports and identifiers in use.");
  for (std::size_t i = 0; i < engine.tcp_flows.size(); ++i) {
    out.sample({{"protocol", "tcp"}, {"state", kStateNames[i]}}, engine.tcp_flows[i]);
  }
  out.sample({{"protocol", "udp"}, {"state", "open"}}, engine.udp_flows);
  out.sample({{"protocol", "icmp"}, {"state", "open"}}, engine.icmp_flows);
  out.family("slirp_forwarder_flows_opened_total", Type::counter,
             "Flows that the guest has begun (origin guest), or clients of published ports (origin host).");
  opened(out, "tcp", engine.tcp_opened);
  opened(out, "udp", engine.udp_opened);
  out.sample({{"protocol", "icmp"}, {"origin", "guest"}}, engine.icmp_opened.by_guest);
  out.family("slirp_forwarder_tcp_connect_failures_total", Type::counter,
             "Connections of the guest's for which the host could not connect.");
  out.sample({}, engine.tcp_refused);
  out.family("slirp_forwarder_tcp_given_up_total", Type::counter,
             "TCP connections ended because the guest did not answer any more.");
  out.sample({}, engine.tcp_given_up);
  out.family("slirp_forwarder_tcp_resets_total", Type::counter, "TCP resets on the guest's link.");
  both(out, engine.tcp_resets);
  out.family("slirp_forwarder_tcp_round_trip_seconds", Type::histogram,
             "Smoothed round-trip time of each TCP connection as it was at its end: to the remote end as the "
             "host's kernel has it, and to the guest.");
  out.histogram({{"end", "remote"}}, engine.remote_rtt);
  out.histogram({{"end", "guest"}}, engine.guest_rtt);
}

void add_loopback(Exposition& out, const host::LoopbackTotals& loopback) {
  const std::array<std::pair<std::string_view, host::LoopbackTotals>, 2> kinds{{
      {"tcp",
       {.opened = loopback.opened,
        .bytes_from_guest = loopback.bytes_from_guest - loopback.datagram_bytes_from_guest,
        .bytes_to_guest = loopback.bytes_to_guest - loopback.datagram_bytes_to_guest,
        .flows = loopback.flows - loopback.datagram_flows}},
      {"udp",
       {.opened = loopback.datagram_opened,
        .bytes_from_guest = loopback.datagram_bytes_from_guest,
        .bytes_to_guest = loopback.datagram_bytes_to_guest,
        .flows = loopback.datagram_flows}},
  }};
  out.family("slirp_forwarder_loopback_payload_bytes_total", Type::counter,
             "Payload that has passed through ports to the guest's own loopback.");
  for (const auto& [protocol, sum] : kinds) both(out, protocol, {sum.bytes_from_guest, sum.bytes_to_guest});
  out.family("slirp_forwarder_loopback_flows", Type::gauge,
             "Connections, and clients of UDP, through such ports now.");
  for (const auto& [protocol, sum] : kinds) out.sample({{"protocol", protocol}}, sum.flows);
  out.family("slirp_forwarder_loopback_flows_opened_total", Type::counter,
             "Connections, and clients of UDP, through such ports.");
  for (const auto& [protocol, sum] : kinds) out.sample({{"protocol", protocol}}, sum.opened);
}

void add_dns(Exposition& out, const Metrics& engine) {
  const services::DnsCounters& dns = engine.dns;
  out.family("slirp_forwarder_dns_queries_total", Type::counter,
             "Queries over UDP that the guest has sent to the DNS forwarder.");
  out.sample({}, dns.queries);
  out.family(
      "slirp_forwarder_dns_outcomes_total", Type::counter,
      "What has become of them: answered by a name server, failed (SERVFAIL, as none could be asked or "
      "served), timed-out (SERVFAIL, as one did not answer), refused by the egress policy, malformed, "
      "duplicate of a pending one, overflow (SERVFAIL, as too many were pending).");
  const std::array<std::pair<std::string_view, std::uint64_t>, 7> outcomes{{
      {"answered", dns.answers},
      {"failed", dns.failures - dns.timeouts},
      {"timed-out", dns.timeouts},
      {"refused", dns.refused},
      {"malformed", dns.malformed},
      {"duplicate", dns.duplicates},
      {"overflow", dns.overflows},
  }};
  for (const auto& [outcome, count] : outcomes) out.sample({{"outcome", outcome}}, count);
  out.family("slirp_forwarder_dns_pending", Type::gauge, "Queries that wait for an answer now.");
  out.sample({}, engine.dns_pending);
  out.family("slirp_forwarder_dns_answers_rejected_total", Type::counter,
             "Datagrams to the DNS forwarder's sockets that were no answer which a query waited for.");
  out.sample({}, dns.rejected);
}

void add_memory(Exposition& out, const Metrics& engine, const ProcessReport& process) {
  out.family("slirp_forwarder_payload_memory_bytes", Type::gauge,
             "Payload memory: used by flows, and kept for the next ones.");
  out.sample({{"state", "used"}}, engine.pieces_in_use * kPieceSize);
  out.sample({{"state", "kept"}}, engine.pieces_kept * kPieceSize);
  out.family("slirp_forwarder_payload_memory_limit_bytes", Type::gauge, "As much may be used.");
  out.sample({}, engine.pieces_limit * kPieceSize);
  out.family("slirp_forwarder_flow_table_bytes", Type::gauge,
             "Memory of the flow tables, which never shrink.");
  out.sample({{"protocol", "tcp"}}, engine.tcp_table_bytes);
  out.sample({{"protocol", "udp"}}, engine.udp_table_bytes);
  out.sample({{"protocol", "icmp"}}, engine.icmp_table_bytes);
  if (process.resident_bytes) {
    out.family("process_resident_memory_bytes", Type::gauge, "Resident memory of the process.");
    out.sample({}, *process.resident_bytes);
  }
}

}  // namespace

std::string metrics_text(const MetricsReport& report, const ProcessReport& process) {
  Exposition out;
  out.family("slirp_forwarder_build_info", Type::gauge, "The program's version; the value is always 1.");
  out.sample({{"version", report.version}}, 1);
  out.family("process_start_time_seconds", Type::gauge, "When the process began, since 1970 in UTC.");
  out.seconds({}, std::chrono::duration<double>(process.started).count());
  out.family("slirp_forwarder_threads", Type::gauge, "Threads that move packets.");
  out.sample({}, report.threads);
  add_traffic(out, report.engine);
  add_flows(out, report.engine);
  out.family("slirp_forwarder_policy_refusals_total", Type::counter,
             "Flows, DNS questions and servers that the egress policy has refused, or would have but for "
             "--audit.");
  out.sample({}, report.policy_refusals);
  add_loopback(out, report.loopback);
  add_dns(out, report.engine);
  add_memory(out, report.engine, process);
  return out.take();
}

}  // namespace sf::control
