// Whom one socket of the guest's exchanges datagrams with, for a FlowWatch: a mapping leads anywhere, but
// what people want to see is who talks with whom.
//
// Bounded: kMost at once. Whom the guest sends to then takes the place of somebody who was not asked, or,
// once in kAgain, of the one that was silent for longest, which ends as evicted. All the others are counted
// together, and told of once, at the end: neither the guest nor anybody outside has a record written for
// every datagram. Nothing is looked up where a datagram has the same other end as the last one.
#pragma once

#include <cstdint>
#include <vector>

#include "base/flow_events.hh"

namespace sf::base {

class FlowPeers {
 public:
  static constexpr std::size_t kMost = 16;
  static constexpr Duration kAgain = 1s;

  // `watch` outlives it.
  FlowPeers(FlowWatch& watch, FlowProtocol protocol, const Endpoint& guest)
      : watch_(watch), protocol_(protocol), guest_(guest) {}
  // The flow of one client of a published port: `client` is the remote end, whatever the others say.
  void pin(const Endpoint& client, Time now);

  // The guest sends to `remote`: a new one is told of. Then what has left is counted. `audited`: a policy
  // would have refused it.
  void begin(const Endpoint& remote, Time now, bool audited = false);
  void from_guest(const Endpoint& remote, std::uint64_t packets, std::uint64_t bytes, Time now);
  // What the guest sends to `remote` has named a server.
  void name_server(const Endpoint& remote, std::string_view name, Time now) {
    find(remote, false, now).notes.server_name = name;
  }
  // Datagrams went to the guest.
  void to_guest(const Endpoint& remote, std::uint64_t packets, std::uint64_t bytes, Time now);
  // The socket is closed: all end.
  void end(FlowCause cause, Time now);

 private:
  struct Peer {
    Endpoint remote;
    bool inbound = false;
    FlowNotes notes;
    FlowCounts counts;
    Time last{};
    Time asked = kNever;  // icmp: the request that waits for its reply
  };

  [[nodiscard]] Peer& find(const Endpoint& remote, bool inbound, Time now, bool audited = false);
  // The one that gives its place to somebody else; null: nobody.
  [[nodiscard]] Peer* replaceable(bool inbound, Time now);
  [[nodiscard]] Peer& add(const Endpoint& remote, bool inbound, Time now, bool audited = false);
  void tell(const Peer& peer, FlowEvent::Kind kind, FlowCause cause, Time now) const;

  FlowWatch& watch_;
  FlowProtocol protocol_;
  bool pinned_ = false;
  Endpoint guest_;
  std::size_t last_ = 0;
  std::vector<Peer> peers_;
  Peer others_;                   // all that have no place; its remote end is none
  bool forgets_ = false;          // some that the guest has sent to are not among peers_
  Time evicts_at_ = Time::min();  // not before
};

}  // namespace sf::base
