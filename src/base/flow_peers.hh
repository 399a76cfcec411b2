// Whom one socket of the guest's exchanges datagrams with, for a FlowWatch: a mapping leads anywhere, but
// what people want to see is who talks with whom.
//
// Bounded: kMost at once. Whom the guest sends to then takes the place of somebody who was not asked, or,
// once in kAgain, of the one that was silent for longest, which ends as evicted. All the others are counted
// together, and told of once, at the end: neither the guest nor anybody outside has a record written for
// every datagram. Nothing is looked up where a datagram has the same other end as the last one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/flow_events.hh"

namespace sf::base {

class FlowPeers {
 public:
  static constexpr std::size_t kMost = 16;
  static constexpr Duration kAgain = 1s;
  static constexpr Duration kRefusedAgain = 10s;

  // `watch` outlives it.
  FlowPeers(FlowWatch& watch, FlowProtocol protocol, const Endpoint& guest)
      : watch_(watch), protocol_(protocol), guest_(guest) {}
  // The flow of one client of a published port: `client` is the remote end, whatever the others say.
  void pin(const Endpoint& client, Time now);

  // What the guest has sent to `remote` has left: a new one is told of. `audited`: a policy would have
  // refused it. `server`: what the guest calls it, where that is known; else null.
  void from_guest(const Endpoint& remote, std::uint64_t packets, std::uint64_t bytes, Time now,
                  bool audited = false, const std::string* server = nullptr);
  // It has not left. That is told of unless others to there have; for the same end once in kRefusedAgain, and
  // of kMost ends at most within that.
  void refused(const Endpoint& remote, FlowCause cause, Time now);
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

  struct Refused {
    Endpoint remote;
    Time at{};
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
  std::vector<Refused> refused_;
  Peer others_;                   // all that have no place; its remote end is none
  bool forgets_ = false;          // some that the guest has sent to are not among peers_
  Time evicts_at_ = Time::min();  // not before
};

}  // namespace sf::base
