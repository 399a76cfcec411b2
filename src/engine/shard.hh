// One shard: all that a packet touches. It owns the flow tables, the buffers, the timers and the counters; it
// has a link to one side and a host to the other, and shares nothing with any other shard.
//
//   link ──> receive_frames ──> demux ──┬─> tcp flows ──┐      published ports
//     ^                                 ├─> udp flows ──┼──> host sockets
//     │                                 ├─> icmp flows ─┘
//     │                                 └─> services: arp ndp dhcp dhcpv6 dns
//     └───────────── to_guest <── translators, services
//
// With others (place.hh) it has a mailbox, and a part of the guest's flows.
//
// Files by role: shard.cc the turn, demux.cc from a frame to its protocol, local_services.cc what is answered
// here, tcp_flows.cc and datagram_flows.hh the tables.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/log.hh"
#include "base/piece_pool.hh"
#include "base/siphash.hh"
#include "engine/mailbox.hh"
#include "engine/metrics.hh"
#include "engine/neighbours.hh"
#include "engine/place.hh"
#include "engine/published_ports.hh"
#include "engine/quic_flows.hh"
#include "engine/reassembly.hh"
#include "engine/room.hh"
#include "engine/tcp_flows.hh"
#include "engine/timer_heap.hh"
#include "engine/udp_room.hh"
#include "host/host.hh"
#include "icmp/translator.hh"
#include "link/link.hh"
#include "link/network.hh"
#include "link/to_guest.hh"
#include "policy/gate.hh"
#include "services/dhcp.hh"
#include "services/dns_forwarder.hh"
#include "tcp/translator.hh"
#include "udp/translator.hh"
#include "wire/ethernet.hh"
#include "wire/ip.hh"

namespace sf::engine {

// Every limit of a shard; ARCHITECTURE.md lists them.
struct Limits {
  std::size_t tcp_flows = 65536;
  std::size_t half_open = 4096;  // of those: not yet answered by the host, or by the guest
  std::size_t udp_flows = 8192;
  std::size_t ping_flows = 1024;
  std::size_t pieces = 4096;               // of 64 KiB: payload memory
  unsigned frames_per_turn = 32;           // received before events of sockets have their turn again
  std::uint32_t errors_per_second = 1000;  // ICMP errors that we originate
  std::uint32_t error_burst = 200;
  std::uint32_t resets_per_second = 5000;  // to segments of no flow
  std::uint32_t reset_burst = 5000;
  PublishedPorts::Limits published{};
};

struct ShardConfig {
  link::Network network;
  SipKey key;
  Limits limits{};
  GuestEnd guest{};
  Place place{};
  policy::Gate* gate = nullptr;  // the egress policy, which all shards share; null: there is none
  bool round_trips = false;      // are measured at each TCP connection's end
  FlowWatch* watch = nullptr;    // this shard's own; null: nobody keeps a record of its flows
  DnsWatch* names = nullptr;     // for lists of flows, where there is no `watch`, which has them too
};

// What each of `count` shards may have, so that all together have what one would.
[[nodiscard]] Limits divided(const Limits& limits, unsigned count);

struct ShardStats {
  std::uint64_t frames_from_guest = 0;
  std::uint64_t packets_from_guest = 0;  // in those frames
  std::uint64_t bytes_from_guest = 0;
  std::array<std::uint64_t, wire::kDropReasons> drops{};  // frames from the guest, by reason
  std::size_t pieces_in_use = 0;
  std::size_t timers = 0;             // that run
  std::size_t reassembly_memory = 0;  // in bytes
};

class Shard final : public host::Reactor, private services::DnsReplySink {
 public:
  // `link`, `host` and `log` outlive the shard.
  Shard(const ShardConfig& config, link::Link& link, host::Host& host, const Log& log);
  ~Shard() override;

  void on_link_readable(Time now) override;
  void on_socket_event(host::Token token, host::Readiness readiness, Time now) override;
  [[nodiscard]] Time end_turn(Time now) override;
  [[nodiscard]] bool alive() const override { return alive_; }
  // There is mail for this shard: taken in the next end_turn().
  void on_mail() { mail_waits_ = true; }

  // Published ports; add() and remove() at any time between two turns.
  [[nodiscard]] PublishedPorts& published() { return published_; }
  [[nodiscard]] const PublishedPorts& published() const { return published_; }

  // Sees all frames from then on, until it is null; between two turns.
  void set_onlooker(link::Onlooker* onlooker) { link_.set_onlooker(onlooker); }

  // Flows of all protocols.
  [[nodiscard]] std::size_t flow_count() const;
  // Those with the most bytes, at most `limit`, and how many there are. Takes a system call for each TCP flow
  // listed.
  [[nodiscard]] FlowList flows(std::size_t limit);
  [[nodiscard]] Totals totals() const;
  [[nodiscard]] ShardStats stats() const;
  [[nodiscard]] Metrics metrics() const;

 private:
  // What is known of a frame while it is being handled.
  struct Ingress {
    MacAddress from;
    wire::Offload offload;
    Bytes frame;  // as it came; empty: put together from fragments
  };

  // shard.cc
  void receive_frames(Time now);
  void take_mail(Time now);
  void gather_flows(std::vector<FlowInfo>& all);
  void run_deadlines(Time now);
  void on_timer(host::Token token, Time now);
  void drop(wire::DropReason reason) { ++stats_.drops[static_cast<std::size_t>(reason)]; }

  // demux.cc
  void on_frame(const link::Frame& frame, Time now);
  void on_ip(const Ingress& in, const wire::IpPacket& packet, Time now);
  // True: it belongs to shard `owner`, which has it now.
  [[nodiscard]] bool handed_over(unsigned owner, const Ingress& in, const wire::IpPacket& packet);
  void learn(const Address& address, const MacAddress& mac, Time now);
  void on_fragment(const Ingress& in, const wire::IpPacket& packet, Time now);
  void on_transport(const Ingress& in, const wire::IpPacket& packet, Time now);
  [[nodiscard]] bool checksum_holds(const Ingress& in, const wire::IpPacket& packet) const;
  void on_tcp(const Ingress& in, const wire::IpPacket& packet, Time now);
  void on_udp(const Ingress& in, const wire::IpPacket& packet, Time now);
  // A datagram, or a super-frame of `segment`-byte ones, for the world outside.
  void forward_udp(const Ingress& in, const wire::IpPacket& packet, const wire::UdpDatagram& datagram,
                   const Address& address, std::uint16_t segment, Time now);
  // What was held between two ends until a server was named.
  void release_held(const FlowKey& key, const Address& address, Time now);
  void on_icmp(const Ingress& in, const wire::IpPacket& packet, Time now);
  [[nodiscard]] bool may_forward(const Ingress& in, const wire::IpPacket& packet, Time now);
  void send_error(const Ingress& in, const wire::IpPacket& packet, wire::IcmpError error, Time now);
  // A reset in answer to a segment of no flow.
  void refuse_segment(const Ingress& in, const FlowKey& ends, const wire::TcpSegment& segment, Time now);
  // The egress policy lets a datagram of `flow` (null: of a new one) pass; `audited`: thanks to an audit.
  template <typename Flow>
  [[nodiscard]] bool admits(policy::Protocol protocol, Flow* flow, std::uint32_t generation,
                            const FlowKey& ends, const Address& address, bool& audited, Time now);
  [[nodiscard]] bool gate_admits(policy::Protocol protocol, const FlowKey& ends, const Address& address,
                                 bool& audited, Time now);
  // The egress policy, where there is one now.
  [[nodiscard]] policy::Gate* gate() const {
    return config_.gate != nullptr && config_.gate->active() ? config_.gate : nullptr;
  }
  [[nodiscard]] DnsWatch* names() const { return config_.watch != nullptr ? config_.watch : config_.names; }
  template <typename Flow>
  static void remember(Flow& flow, std::uint32_t generation, const Endpoint& seen) {
    flow.admitted = seen;
    flow.admitted_by = generation;
  }
  [[nodiscard]] std::unique_ptr<tcp::Inspector> inspector_for(const FlowKey& ends, const link::Route& route);

  // local_services.cc
  void on_arp(Bytes body, Time now);
  void on_ndp(const Ingress& in, const wire::IpPacket& packet, Time now);
  void on_dhcp(const wire::UdpDatagram& datagram, Time now);
  void on_dhcpv6(const Ingress& in, const wire::IpPacket& packet, const wire::UdpDatagram& datagram,
                 Time now);
  void advertise(Time now);
  void dns_reply(const Endpoint& guest, const MacAddress& guest_mac, const Endpoint& dns_address,
                 Bytes answer, Time now) override;

  static constexpr std::uint32_t kNewsPerSecond = 100;
  static constexpr std::uint32_t kNewsAtOnce = 64;

  ShardConfig config_;
  link::Link& link_;
  host::Host& host_;
  const Log& log_;
  // Room for one frame behind 64 KiB of those in which datagrams wait.
  using FrameMemory = std::array<std::uint8_t, link::kMaxFrame + 65536>;
  std::unique_ptr<FrameMemory> frames_;
  link::ToGuest to_guest_;
  PiecePool pool_;
  RateLimit errors_;
  RateLimit news_{kNewsPerSecond, kNewsAtOnce};  // for the other shards, of who is where inside
  RateLimit resets_;
  TimerHeap timers_;
  Reassembly reassembly_;
  tcp::Translator tcp_translator_;
  udp::Translator udp_translator_;
  icmp::Translator icmp_translator_;
  TcpFlows tcp_;
  Neighbours neighbours_;
  Room::UdpFlows udp_;
  Room::PingFlows icmp_;
  Room room_;
  UdpRoom udp_room_;
  QuicFlows quic_;
  RefusalRecords refusals_;
  PublishedPorts published_;
  services::QuestionRecords questions_;
  services::DhcpServer dhcp_;
  services::DnsForwarder dns_;
  std::uint64_t dns_random_ = 0;
  Time next_advertisement_ = kNever;
  Time trim_at_ = kNever;
  ShardStats stats_;
  Mail mail_;
  bool mail_waits_ = false;
  Time now_{};              // of the last turn
  bool link_ready_ = true;  // frames may have come before the loop began to watch
  bool alive_ = true;
};

}  // namespace sf::engine
