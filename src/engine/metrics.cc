#include "engine/metrics.hh"

#include "base/sums.hh"

namespace sf::engine {

void Metrics::Both::add(const Both& other) {
  add_members(*this, other, &Both::from_guest, &Both::to_guest);
}

void Metrics::Opened::add(const Opened& other) {
  add_members(*this, other, &Opened::by_guest, &Opened::by_host);
}

void Metrics::add(const Metrics& other) {
  using M = Metrics;
  add_members(*this, other, &M::packets, &M::packet_bytes, &M::drops, &M::not_taken);
  add_members(*this, other, &M::tcp_bytes, &M::udp_bytes, &M::udp_datagrams, &M::pings);
  add_members(*this, other, &M::tcp_opened, &M::udp_opened, &M::icmp_opened);
  add_members(*this, other, &M::tcp_flows, &M::udp_flows, &M::icmp_flows);
  add_members(*this, other, &M::tcp_refused, &M::tcp_given_up, &M::tcp_resets, &M::remote_rtt, &M::guest_rtt);
  add_members(*this, other, &M::dns, &M::dns_pending);
  add_members(*this, other, &M::pieces_in_use, &M::pieces_kept, &M::pieces_limit);
  add_members(*this, other, &M::tcp_table_bytes, &M::udp_table_bytes, &M::icmp_table_bytes);
}

}  // namespace sf::engine
