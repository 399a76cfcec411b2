// UDP: datagrams of the guest's to and from ordinary sockets.
//
// Theory of operation. A flow is one address and port of the guest's, and owns one unconnected socket of the
// host's: whatever the guest sends from there leaves from one port, to whomever it goes (endpoint-independent
// mapping, RFC 4787 REQ-1), and whoever answers reaches it (endpoint-independent filtering, REQ-8), except
// from where the guest could not send to itself: the host's loopback where that is closed, link-local
// addresses, and addresses of the network inside.
//
//   guest 10.0.2.100:5000 ── Flow ── host socket *:41234 ─┬─ 192.0.2.1:53
//                                                         └─ 198.51.100.7:3478
//
// What the guest sends within a turn of the loop is gathered, and leaves at its end: equal neighbours of a
// flow in one call of the host's. The order within a flow stays; what one of them meets concerns that one
// alone.
//
// Path MTU, ICMP errors and TTL: link/forwarding.hh.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/flow_peers.hh"
#include "host/host.hh"
#include "link/forwarding.hh"
#include "link/network.hh"
#include "link/to_guest.hh"
#include "wire/ip.hh"
#include "wire/udp.hh"

namespace sf::udp {

// A server that has been named to a remote end.
struct NamedServer {
  Endpoint remote;  // as the guest addresses it
  std::string name;
};

struct Flow {
  static constexpr std::size_t kMaxServers = 16;  // that are remembered

  // What a server was called at `remote`; null: it was not looked for, or has no name.
  [[nodiscard]] const std::string* server_name(const Endpoint& remote) const;
  void remember_server(const Endpoint& remote, std::string name);

  Endpoint guest;
  MacAddress guest_mac;
  host::SocketId socket = host::kNoSocket;  // owned: open() and close()
  Time last_active{};                       // of a datagram in either direction (RFC 4787 REQ-6)
  bool seen_reply = false;
  // Where the guest's datagrams went last, as prints of the ends; filled in by the engine.
  std::array<std::uint16_t, 4> went_to{};
  std::uint64_t bytes_from_guest = 0;  // payload
  std::uint64_t bytes_to_guest = 0;
  bool queries_only = true;  // all that the guest has sent went to port 53
  // The last destination that the egress policy has let pass, and which policy that was.
  Endpoint admitted{};
  std::uint32_t admitted_by = 0;
  bool audited = false;              // what the guest sends just now would be refused, but for an audit
  std::vector<NamedServer> servers;  // by QUIC, where names are checked; the latest one last
  std::unique_ptr<FlowPeers> peers;  // where somebody watches; filled in by the engine
};

struct Counters {
  std::uint64_t opened = 0;         // flows
  std::uint64_t from_guest = 0;     // datagrams handed to the host (segments counted singly)
  std::uint64_t to_guest = 0;       // datagrams handed to the link (segments counted singly)
  std::uint64_t not_sent = 0;       // the host did not take it
  std::uint64_t not_delivered = 0;  // cut short on the way, or the link did not take it
  std::uint64_t filtered = 0;       // from an address that the guest cannot reach itself
  std::uint64_t bytes_from_guest = 0;
  std::uint64_t bytes_to_guest = 0;
};

class Translator {
 public:
  // The first datagram for a flow has come from `remote`, as the guest sees it.
  using Answered = std::function<void(const Endpoint& guest, const Endpoint& remote, Time now)>;
  // `admit_error` is asked before each ICMP error to the guest; false: it is left out (RFC 4443 section 2.4
  // (f)).
  Translator(host::Host& host, link::ToGuest& to_guest, const link::Network& network,
             link::Forwarding::AdmitError admit_error, Answered answered = {})
      : host_(host),
        to_guest_(to_guest),
        forwarding_(host, to_guest, network, std::move(admit_error)),
        answered_(std::move(answered)) {}

  // Opens the flow's socket, for which flow.guest must be set. `none`, or why it failed; then nothing is
  // open.
  [[nodiscard]] host::HostError open(Flow& flow, host::Token token, Time now);
  // Sends one datagram, or a super-frame of `gso_size`-byte ones (0: it is none), to `host_destination` and
  // the datagram's port, with the TTL one less: the caller has seen to it that it is above 1. Where the host
  // knows at once that it cannot be delivered, the guest gets an ICMP error. `source`: as DatagramOptions has
  // it.
  void from_guest(Flow& flow, const wire::IpPacket& packet, const wire::UdpDatagram& datagram,
                  const Address& host_destination, std::uint16_t gso_size, Time now,
                  const std::optional<Address>& source = std::nullopt);
  // Datagrams whose payload lies in `memory` may wait for flush(): it stays as it is until then. All others
  // are sent at once, behind those that wait.
  void may_wait_in(Bytes memory) { waiting_memory_ = memory; }
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
  // Sends what waits. Their flows must not be closed before.
  void flush(Time now);
  // Notes that datagrams went to the guest by another way than on_readable().
  void count_to_guest(Flow& flow, const Endpoint& from, std::size_t datagrams, std::size_t bytes, Time now) {
    flow.bytes_to_guest += bytes;
    counters_.bytes_to_guest += bytes;
    counters_.to_guest += datagrams;
    if (flow.peers != nullptr) flow.peers->to_guest(from, datagrams, bytes, now);
  }
  // Passes on what has arrived. True where more may be left, and it is to be called again without an event.
  [[nodiscard]] bool on_readable(Flow& flow, Time now);
  using Received = std::span<const host::ReceivedDatagram>;
  // How many datagrams those are: each may be a super-frame of the kernel's.
  [[nodiscard]] static std::size_t datagrams_in(Received received);
  // How many datagrams from the front can go to the guest as one super-frame; at least 1.
  [[nodiscard]] std::size_t run_length(Received received) const;
  // Such a run as one payload, valid until the next call.
  struct Payload {
    Bytes bytes;
    std::uint16_t segment_size = 0;
  };
  [[nodiscard]] Payload gather(Received run);
  // Passes on what the socket's error queue has.
  void on_error(Flow& flow, Time now);
  // When the flow has been idle for long enough to be closed.
  [[nodiscard]] static Time deadline(const Flow& flow);
  void close(Flow& flow);

  [[nodiscard]] const Counters& counters() const { return counters_; }
  // ICMP errors that went to the guest.
  [[nodiscard]] std::uint64_t errors_sent() const { return forwarding_.errors_sent(); }

 private:
  // A datagram of the guest's on its way to the host.
  struct Outgoing {
    Flow* flow;
    wire::IpPacket packet;
    host::OutgoingDatagram datagram;
    bool audited;
  };

  [[nodiscard]] bool may_wait(const Outgoing& outgoing) const;
  void sent(const Outgoing& outgoing, Time now);
  void not_sent(const Outgoing& outgoing, host::HostError error, Time now);
  void flush_socket(host::SocketId socket, std::size_t from, Time now);

  [[nodiscard]] link::Status deliver(Flow& flow, Received run, Time now);

  host::Host& host_;
  link::ToGuest& to_guest_;
  link::Forwarding forwarding_;
  Answered answered_;
  std::vector<std::uint8_t> gathered_;  // a run's payloads; empty until there is a first run
  // waiting_ is empty between turns; the other two are flush()'s own, and kept for their memory.
  Bytes waiting_memory_;
  std::vector<Outgoing> waiting_;
  std::vector<std::size_t> run_;
  std::vector<host::OutgoingDatagram> run_datagrams_;
  Counters counters_;
};

}  // namespace sf::udp
