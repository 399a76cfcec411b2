// What a shard has counted, for those who watch it from outside. Making it takes the same time however many
// flows there are.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/duration_histogram.hh"
#include "services/dns_forwarder.hh"
#include "tcp/connection.hh"
#include "wire/ip.hh"

namespace sf::engine {

struct Metrics {
  struct Both {
    std::uint64_t from_guest = 0;
    std::uint64_t to_guest = 0;

    void add(const Both& other);
  };
  // Flows that the guest has begun, and those through published ports.
  struct Opened {
    std::uint64_t by_guest = 0;
    std::uint64_t by_host = 0;

    void add(const Opened& other);
  };

  Both packets{};       // on the link, as a wire would have them: super-frames are many
  Both packet_bytes{};  // of their frames
  std::array<std::uint64_t, wire::kDropReasons> drops{};  // from the guest
  std::uint64_t not_taken = 0;                            // by the guest's device

  Both tcp_bytes{};  // payload
  Both udp_bytes{};
  Both udp_datagrams{};
  Both pings{};  // requests, and replies
  Opened tcp_opened{};
  Opened udp_opened{};
  Opened icmp_opened{};
  std::array<std::size_t, tcp::kStates> tcp_flows{};  // now, by state
  std::size_t udp_flows = 0;
  std::size_t icmp_flows = 0;

  std::uint64_t tcp_refused = 0;  // the host could not connect
  std::uint64_t tcp_given_up = 0;
  Both tcp_resets{};
  // Each connection's at its end, where ShardConfig asks for it.
  DurationHistogram remote_rtt{};
  DurationHistogram guest_rtt{};

  services::DnsCounters dns{};
  std::size_t dns_pending = 0;

  std::size_t pieces_in_use = 0;
  std::size_t pieces_kept = 0;  // free, and not given back to the system
  std::size_t pieces_limit = 0;
  std::size_t tcp_table_bytes = 0;
  std::size_t udp_table_bytes = 0;
  std::size_t icmp_table_bytes = 0;

  void add(const Metrics& other);
};

}  // namespace sf::engine
