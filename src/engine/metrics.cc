#include "engine/metrics.hh"

namespace sf::engine {
namespace {

template <typename Numbers>
void add_each(Numbers& to, const Numbers& from) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
}

}  // namespace

void Metrics::Both::add(const Both& other) {
  from_guest += other.from_guest;
  to_guest += other.to_guest;
}

void Metrics::Opened::add(const Opened& other) {
  by_guest += other.by_guest;
  by_host += other.by_host;
}

void Metrics::add(const Metrics& other) {
  packets.add(other.packets);
  packet_bytes.add(other.packet_bytes);
  add_each(drops, other.drops);
  not_taken += other.not_taken;
  tcp_bytes.add(other.tcp_bytes);
  udp_bytes.add(other.udp_bytes);
  udp_datagrams.add(other.udp_datagrams);
  pings.add(other.pings);
  tcp_opened.add(other.tcp_opened);
  udp_opened.add(other.udp_opened);
  icmp_opened.add(other.icmp_opened);
  add_each(tcp_flows, other.tcp_flows);
  udp_flows += other.udp_flows;
  icmp_flows += other.icmp_flows;
  tcp_refused += other.tcp_refused;
  tcp_given_up += other.tcp_given_up;
  tcp_resets.add(other.tcp_resets);
  remote_rtt.add(other.remote_rtt);
  guest_rtt.add(other.guest_rtt);
  dns.add(other.dns);
  dns_pending += other.dns_pending;
  pieces_in_use += other.pieces_in_use;
  pieces_kept += other.pieces_kept;
  pieces_limit += other.pieces_limit;
  tcp_table_bytes += other.tcp_table_bytes;
  udp_table_bytes += other.udp_table_bytes;
  icmp_table_bytes += other.icmp_table_bytes;
}

}  // namespace sf::engine
