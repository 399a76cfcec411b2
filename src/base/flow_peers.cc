#include "base/flow_peers.hh"

#include <algorithm>
#include <utility>

namespace sf::base {

FlowPeers::Peer& FlowPeers::find(const Endpoint& remote, bool inbound, Time now, bool audited) {
  if (last_ < peers_.size() && (pinned_ || peers_[last_].remote == remote)) return peers_[last_];
  const auto known = std::ranges::find(peers_, remote, &Peer::remote);
  if (known == peers_.end()) return add(remote, inbound, now, audited);
  last_ = static_cast<std::size_t>(known - peers_.begin());
  return *known;
}

FlowPeers::Peer* FlowPeers::replaceable(bool inbound, Time now) {
  if (inbound) return nullptr;
  const auto silent_for_longest = [this](bool unasked) {
    Peer* oldest = nullptr;
    for (Peer& peer : peers_) {
      if ((peer.inbound || !unasked) && (oldest == nullptr || peer.last < oldest->last)) oldest = &peer;
    }
    return oldest;
  };
  // Those do not come back: whoever is not known is counted with the others from now on.
  if (Peer* unasked = silent_for_longest(true); unasked != nullptr) return unasked;
  if (now < evicts_at_) return nullptr;
  evicts_at_ = now + kAgain;
  return silent_for_longest(false);
}

FlowPeers::Peer& FlowPeers::add(const Endpoint& remote, bool inbound, Time now, bool audited) {
  // It may be the answer of one that has lost its place.
  if (inbound && forgets_) return others_;
  if (peers_.size() < kMost) {
    last_ = peers_.size();
    peers_.emplace_back();
  } else {
    Peer* oldest = replaceable(inbound, now);
    forgets_ = forgets_ || !inbound;
    if (oldest == nullptr) return others_;
    last_ = static_cast<std::size_t>(oldest - peers_.data());
    tell(*oldest, FlowEvent::Kind::ended, FlowCause::evicted, now);
    *oldest = Peer{};
  }
  Peer& peer = peers_[last_];
  peer.remote = remote;
  // An echo reply answers a request, whatever has become of the record of that.
  peer.inbound = inbound && protocol_ != FlowProtocol::icmp;
  peer.notes = watch_.begin(remote.address, now);
  peer.notes.audited = audited;
  peer.last = now;
  tell(peer, FlowEvent::Kind::opened, FlowCause::none, now);
  return peer;
}

void FlowPeers::pin(const Endpoint& client, Time now) {
  static_cast<void>(add(client, true, now));
  pinned_ = true;
}

void FlowPeers::from_guest(const Endpoint& remote, std::uint64_t packets, std::uint64_t bytes, Time now,
                           bool audited, const std::string* server) {
  Peer& peer = find(remote, false, now, audited);
  if (audited) peer.notes.audited = true;
  if (server != nullptr && peer.notes.server_name != *server) peer.notes.server_name = *server;
  if (!pinned_) peer.inbound = false;
  peer.counts.packets_from_guest += packets;
  peer.counts.bytes_from_guest += bytes;
  peer.last = now;
  if (protocol_ == FlowProtocol::icmp) peer.asked = now;
}

void FlowPeers::refused(const Endpoint& remote, FlowCause cause, Time now) {
  if (pinned_ || std::ranges::find(peers_, remote, &Peer::remote) != peers_.end()) return;
  std::erase_if(refused_, [now](const Refused& one) { return now >= one.at + kRefusedAgain; });
  if (refused_.size() >= kMost || std::ranges::find(refused_, remote, &Refused::remote) != refused_.end())
    return;
  refused_.push_back({remote, now});
  Peer peer;
  peer.remote = remote;
  peer.notes = watch_.begin(remote.address, now);
  peer.last = now;
  tell(peer, FlowEvent::Kind::refused, cause, now);
}

void FlowPeers::to_guest(const Endpoint& remote, std::uint64_t packets, std::uint64_t bytes, Time now) {
  Peer& peer = find(remote, true, now);
  peer.counts.packets_to_guest += packets;
  peer.counts.bytes_to_guest += bytes;
  peer.last = now;
  if (peer.asked == kNever) return;
  const Duration took = now - std::exchange(peer.asked, kNever);
  peer.notes.remote_rtt = std::min(peer.notes.remote_rtt.value_or(took), took);
}

void FlowPeers::end(FlowCause cause, Time now) {
  for (const Peer& peer : peers_) tell(peer, FlowEvent::Kind::ended, cause, now);
  peers_.clear();
  const FlowCounts& counts = others_.counts;
  if (counts.packets_from_guest + counts.packets_to_guest > 0)
    tell(others_, FlowEvent::Kind::ended, cause, now);
  others_ = Peer{};
}

void FlowPeers::tell(const Peer& peer, FlowEvent::Kind kind, FlowCause cause, Time now) const {
  FlowEvent event;
  event.kind = kind;
  event.protocol = protocol_;
  event.cause = cause;
  event.inbound = peer.inbound;
  event.others = &peer == &others_;
  event.guest = guest_;
  event.at = now;
  event.counts = peer.counts;
  if (!event.others) {
    event.audited = peer.notes.audited;
    event.remote = peer.remote;
    event.id = peer.notes.id;
    event.name = peer.notes.name;
    event.server_name = peer.notes.server_name;
    event.duration = peer.last - peer.notes.opened;
    event.remote_rtt = peer.notes.remote_rtt;
  }
  watch_.on_flow(event);
}

}  // namespace sf::base
