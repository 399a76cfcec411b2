// The DHCP server (RFC 2131) of the network inside: a small table of leases over the range that Network
// names.
//
// There is one machine on the link, but it may ask under several names: DHCP clients make up client
// identifiers, and bridges inside carry MACs of their own. Leases are found by client identifier, or by MAC
// where there is none.
//
//              DISCOVER                 REQUEST
//     free ───────────────> offered ───────────────> bound ──┐ REQUEST (renewing)
//      ^ ^                     │                     │  ^────┘
//      │ └── after 60 s ───────┘                     │ DECLINE
//      └──── after 24 h, RELEASE ────────────────────┤
//      └──── after 10 min ────────── declined <──────┘
//
// A free entry still knows whose it was, so that a client that comes back gets its old address.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/time.hh"
#include "link/network.hh"
#include "wire/dhcp.hh"

namespace sf::services {

// A message from gateway4:67 to destination:68.
struct DhcpReply {
  MacAddress to;
  Address destination;
  wire::DhcpMessage message;  // fits wire::kDhcpMaxSize
};

class DhcpServer {
 public:
  static constexpr std::chrono::seconds kLeaseTime{86400};
  static constexpr Duration kOfferTime = 60s;
  static constexpr Duration kDeclineTime = 600s;
  // Of the range, at most so many addresses are handed out; and so many outside of it, on request.
  static constexpr std::uint32_t kMaxRange = 256;
  static constexpr std::size_t kMaxRequested = 16;

  // `network` outlives this.
  explicit DhcpServer(const link::Network& network) : network_(network) {}

  // Nothing where no reply is due, or there is no address left. `search` is the host's list.
  [[nodiscard]] std::optional<DhcpReply> answer(const wire::DhcpMessage& request,
                                                std::span<const std::string> search, Time now);

  // Leases that are bound now.
  [[nodiscard]] std::size_t bound(Time now) const;

 private:
  using ClientKey = std::vector<std::uint8_t>;
  enum class State : std::uint8_t { offered, bound, declined };
  struct Lease {
    Address address;
    ClientKey client;  // who has it, or had it last; empty: nobody
    State state = State::offered;
    Time expiry;

    [[nodiscard]] bool free(Time now) const { return expiry <= now; }
  };

  [[nodiscard]] std::optional<DhcpReply> discover(const wire::DhcpMessage& request, const ClientKey& client,
                                                  std::span<const std::string> search, Time now);
  [[nodiscard]] std::optional<DhcpReply> request(const wire::DhcpMessage& request, const ClientKey& client,
                                                 std::span<const std::string> search, Time now);
  [[nodiscard]] std::optional<DhcpReply> inform(const wire::DhcpMessage& request,
                                                std::span<const std::string> search) const;
  void release(const wire::DhcpMessage& request, const ClientKey& client, Time now);
  void decline(const wire::DhcpMessage& request, const ClientKey& client, Time now);
  void forget_offer(const ClientKey& client, Time now);

  [[nodiscard]] Lease* find(const Address& address);
  // An address of the link that a client may have at all.
  [[nodiscard]] bool may_have(const Address& address) const;
  // The entry of `address` for that client: its own, a free one, or a new one. nullptr: somebody else's, or
  // the address is none to have, or there is no room.
  [[nodiscard]] Lease* claim(const Address& address, const ClientKey& client, Time now);
  [[nodiscard]] Lease* choose(const wire::DhcpMessage& request, const ClientKey& client, Time now);
  // The first address of the range that was never used, else the entry that has been free for longest.
  [[nodiscard]] Lease* take_from_range(Time now);
  [[nodiscard]] bool in_range(const Address& address) const;
  [[nodiscard]] std::uint32_t range_size() const;

  [[nodiscard]] DhcpReply grant(const wire::DhcpMessage& request, wire::DhcpType type, const Address& address,
                                std::span<const std::string> search) const;
  [[nodiscard]] DhcpReply refuse(const wire::DhcpMessage& request, std::string why) const;
  void add_configuration(wire::DhcpMessage& reply, std::span<const std::string> search) const;

  const link::Network& network_;
  std::vector<Lease> leases_;
};

}  // namespace sf::services
