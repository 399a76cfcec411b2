// Published ports: the sockets on the host behind them, and the clients that come through them.
//
// Theory of operation.
//   TCP: a client that is accepted becomes a flow like any other (tcp_flows.hh), which begins with a SYN to
//   the
//     guest. While the guest leaves many SYNs unanswered, further clients wait in the listener's backlog.
//   UDP: a client is one address and port that has sent something. What the guest sends to it from the
//   published
//     port leaves by the port's socket, so that the client hears from whom it has asked; all else of the
//     guest's goes the usual way (udp/translator.hh).
//   With several shards, each listens for TCP, and the kernel spreads the clients; one whose flow is another
//   shard's goes
//     there as a descriptor. A UDP port is that shard's which has the guest's port (place.hh).
//   The guest sees the client's own address and port, but for clients on the host's loopback or with
//   addresses
//     that only mean something there: those are the gateway to it, with another port where two would be
//     alike.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "base/log.hh"
#include "base/refusal_records.hh"
#include "engine/flow_table.hh"
#include "engine/neighbours.hh"
#include "engine/place.hh"
#include "engine/published.hh"
#include "engine/tcp_flows.hh"
#include "engine/timer_heap.hh"
#include "host/host.hh"
#include "link/network.hh"
#include "link/to_guest.hh"
#include "udp/translator.hh"

namespace sf::engine {

// How the guest is reached by what begins outside.
struct GuestEnd {
  MacAddress mac;                   // of its TAP, until it is heard of
  std::optional<Address> address6;  // absent: the one that it was seen with last, or that its MAC makes
};

class PublishedPorts {
 public:
  struct Limits {
    std::size_t dialling = 1024;     // SYNs that the guest has not answered; then clients wait
    std::size_t udp_clients = 8192;  // beyond that, one that has not gone on after an answer makes room
  };
  static constexpr Duration kClientIdle = 300s;  // RFC 4787 REQ-5
  static constexpr Duration kStarvedRetry = 100ms;

  PublishedPorts(host::Host& host, link::ToGuest& to_guest, const link::Network& network,
                 const GuestEnd& guest, const Neighbours& neighbours, TcpFlows& tcp, udp::Translator& udp,
                 TimerHeap& timers, SipKey key, const Limits& limits, const Place& place, const Log& log,
                 RefusalRecords& refusals, FlowWatch* watch)
      : host_(host),
        to_guest_(to_guest),
        network_(network),
        guest_(guest),
        neighbours_(neighbours),
        tcp_(tcp),
        udp_(udp),
        timers_(timers),
        clients_(key),
        limits_(limits),
        place_(place),
        log_(log),
        refusals_(refusals),
        watch_(watch) {}

  // Asked where no descriptor is left for a client; true: there is one now.
  void set_make_room(tcp::Translator::MakeRoom make_room) { make_room_ = std::move(make_room); }

  // Where there are several shards, a TCP port is every shard's, with `sharing`, and a UDP port that of its
  // owner.
  [[nodiscard]] tl::expected<PublishedPort, PublishError> add(
      const PublishRule& rule, host::PortSharing sharing = host::PortSharing::none);
  // False: there is none. TCP connections through it go on; UDP clients are forgotten.
  bool remove(PublishId id);
  [[nodiscard]] std::vector<PublishedPort> list() const;
  template <typename Visitor>
  void for_each_client(Visitor&& visit) {
    clients_.for_each([&](Handle, Client& client) { visit(client.flow, client.key.remote); });
  }
  [[nodiscard]] std::size_t client_count() const { return clients_.size(); }
  // UDP clients since the beginning.
  [[nodiscard]] std::uint64_t clients_seen() const { return clients_seen_; }
  [[nodiscard]] std::size_t table_bytes() const { return clients_.memory(); }
  void close_all();

  void on_socket_event(Handle socket, host::Readiness readiness, Time now);
  void on_client_timer(Handle client, Time now);
  // Goes on with what a turn's budget, or a limit, left over. True: more is left for the next turn.
  [[nodiscard]] bool end_turn(Time now);
  // When a listener that found no descriptor is tried again.
  [[nodiscard]] Time deadline() const { return retry_at_; }

  // A client that another shard has accepted for the guest's `guest`.
  void adopt(UniqueFd client, const Endpoint& peer, const Endpoint& guest, Time now);

  // The guest sends to a client of a published UDP port.
  [[nodiscard]] bool is_client(const FlowKey& key) const {
    return clients_.size() > 0 && clients_.find(key) != kNoHandle;
  }
  // A datagram to such a client, with a TTL above 1.
  void from_guest(const FlowKey& key, const MacAddress& from, const wire::IpPacket& packet,
                  const wire::UdpDatagram& datagram, std::uint16_t segment_size, Time now);

 private:
  static constexpr int kAcceptsPerTurn = 64;
  static constexpr int kBatchesPerTurn = 8;

  struct Port {
    PublishedPort info;
    // By IP version: IPv4, IPv6.
    std::array<host::SocketId, 2> sockets{host::kNoSocket, host::kNoSocket};
    bool busy = false;  // in busy_
  };
  struct Client {
    explicit Client(const FlowKey& ends) : key(ends) {}
    [[nodiscard]] const FlowKey& flow_key() const { return key; }

    FlowKey key;
    udp::Flow flow;                // with the port's socket
    Endpoint real;                 // as the host sees it
    std::optional<Address> local;  // of the host's, to which it last sent: answers come from there
    PublishId port = 0;
    bool answered = false;   // the guest has sent something to it
    bool confirmed = false;  // and it has sent something after that
    Timer timer;
  };

  [[nodiscard]] tl::expected<host::SocketId, PublishError> open(const PublishRule& rule, const Endpoint& at,
                                                                host::Token token, host::PortSharing sharing);
  // Those of its rule; fills in the port that the host chooses. None is left open after an error.
  [[nodiscard]] tl::expected<void, PublishError> open_sockets(Port& port, host::PortSharing sharing);
  // True: more clients wait.
  [[nodiscard]] bool accept_clients(Port& port, host::SocketId listener, Time now);
  // A client that does not get to the guest; `guest`: as the port would have had it.
  void tell_refused(FlowProtocol protocol, FlowCause cause, const Endpoint& guest, const Endpoint& client,
                    Time now);
  // False: it was reset.
  bool dial(const host::Accepted& client, const Endpoint& guest, Time now);
  // True: more datagrams wait.
  [[nodiscard]] bool receive(Port& port, host::SocketId socket, Time now);
  void deliver(Port& port, host::SocketId socket, udp::Translator::Received run, Time now);
  [[nodiscard]] Client* client_of(Port& port, host::SocketId socket, const Endpoint& from, Time now);
  [[nodiscard]] std::optional<Endpoint> guest_end(const PublishRule& rule, bool v4) const;
  [[nodiscard]] MacAddress mac_of(const Address& guest) const;
  // The address of a client that the guest sees.
  [[nodiscard]] Address shown_address(const Address& client) const;
  // How the guest sees a client; nothing where no port is left for that.
  template <typename Taken>
  [[nodiscard]] std::optional<Endpoint> seen(const Endpoint& client, const Endpoint& guest,
                                             const Taken& taken) const;
  // Of clients that are not confirmed, the one that has come first. False: there is none.
  [[nodiscard]] bool forget_unconfirmed(Time now);
  void note_unconfirmed(Handle client);
  void forget(Client& client, FlowCause cause, Time now);
  void mark_busy(Port& port);

  host::Host& host_;
  link::ToGuest& to_guest_;
  const link::Network& network_;
  GuestEnd guest_;
  const Neighbours& neighbours_;
  TcpFlows& tcp_;
  udp::Translator& udp_;
  TimerHeap& timers_;
  FlowTable<Client> clients_;
  std::deque<Handle> unconfirmed_;  // oldest first; who is confirmed or has gone is passed over
  Limits limits_;
  Place place_;
  const Log& log_;
  RefusalRecords& refusals_;
  FlowWatch* watch_;
  tcp::Translator::MakeRoom make_room_;
  Once said_;
  std::map<PublishId, Port> ports_;
  std::vector<PublishId> busy_;
  std::vector<PublishId> working_;
  PublishId next_id_ = 1;
  std::uint64_t clients_seen_ = 0;
  Time retry_at_ = kNever;
  Time now_{};  // of the last turn
};

}  // namespace sf::engine
