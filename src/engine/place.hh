// Which shard a flow belongs to, and how a shard reaches the others.
//
// Theory of operation.
//   The guest's kernel chooses the queue of the TAP, and so the shard at which a frame arrives: at first by a
//   hash of its own, later by where we last wrote a frame of the same flow. Which shard has the flow is
//   decided here, by a pure function of what stands in the frame. So every shard knows it of every frame, and
//   none has to ask:
//
//     TCP                     both ends of the connection
//     UDP                     the guest's port: all that a socket inside sends leaves by one port outside,
//     and
//                             a published port is where its answers are, whichever address the guest has
//     ping                    the identifier
//     fragments, DHCP         shard 0, which has the state; what it has put together goes on to its owner
//     ARP, ND, DHCPv6, DNS,   wherever they arrive: answering them takes nothing that another shard has
//     pings to the gateway
//
//   A frame at the wrong shard is copied into the owner's mailbox. That is the slow path: the owner's first
//   answer makes the kernel deliver what follows to the owner's own queue.
#pragma once

#include <cstdint>
#include <vector>

#include "base/siphash.hh"
#include "engine/flow_table.hh"
#include "engine/mailbox.hh"

namespace sf::engine {

class Owners {
 public:
  // Of what is in one place only, because it has state.
  static constexpr unsigned kServices = 0;

  Owners() = default;
  // `count` from 1 to 2^16; the key is the same for all shards, and none of their flow tables'.
  Owners(unsigned count, SipKey key) : count_(count), key_(key) {}

  [[nodiscard]] unsigned count() const { return count_; }
  [[nodiscard]] unsigned of_tcp(const FlowKey& key) const { return pick(hash_of(key_, key)); }
  // The guest's port, or identifier. Kernels give out ports of the same parity, so these are mixed.
  [[nodiscard]] unsigned of_udp(std::uint16_t guest_port) const { return pick(mix(guest_port)); }
  [[nodiscard]] unsigned of_ping(std::uint16_t identifier) const { return pick(mix(identifier)); }

 private:
  [[nodiscard]] unsigned pick(std::uint64_t hash) const {
    return static_cast<unsigned>(((hash >> 32) * count_) >> 32);
  }
  [[nodiscard]] std::uint64_t mix(std::uint64_t number) const {
    const std::uint64_t once = (number ^ (key_.k0 & 0xffff)) * 0x9e3779b97f4a7c15U;
    return (once ^ (once >> 32) ^ key_.k1) * 0xbf58476d1ce4e5b9U;
  }

  unsigned count_ = 1;
  SipKey key_{};
};

// All shards of one guest; outlives them.
struct Group {
  Owners owners;
  std::vector<Mailbox*> mailboxes;  // one for each
};

// A shard's place in its group; one by itself has none.
struct Place {
  const Group* group = nullptr;
  unsigned index = 0;

  [[nodiscard]] bool alone() const { return group == nullptr; }
  [[nodiscard]] unsigned count() const { return alone() ? 1 : group->owners.count(); }
  // Where `alone`, everything is one's own.
  [[nodiscard]] unsigned owner_of_tcp(const FlowKey& key) const {
    return alone() ? index : group->owners.of_tcp(key);
  }
  [[nodiscard]] unsigned owner_of_udp(std::uint16_t guest_port) const {
    return alone() ? index : group->owners.of_udp(guest_port);
  }
  [[nodiscard]] unsigned owner_of_ping(std::uint16_t identifier) const {
    return alone() ? index : group->owners.of_ping(identifier);
  }
  [[nodiscard]] unsigned owner_of_services() const { return alone() ? index : Owners::kServices; }
  [[nodiscard]] Mailbox& mailbox(unsigned of) const { return *group->mailboxes[of]; }
};

}  // namespace sf::engine
