// The lease table's side of DhcpServer: which address a client may have.
#include <algorithm>

#include "services/dhcp.hh"

namespace sf::services {

DhcpServer::Lease* DhcpServer::find(const Address& address) {
  const auto it =
      std::find_if(leases_.begin(), leases_.end(), [&](const Lease& l) { return l.address == address; });
  return it == leases_.end() ? nullptr : &*it;
}

std::uint32_t DhcpServer::range_size() const {
  if (network_.dhcp_last < network_.dhcp_first) return 0;
  return std::min(kMaxRange, network_.dhcp_last.to_v4() - network_.dhcp_first.to_v4() + 1);
}

bool DhcpServer::in_range(const Address& address) const {
  return range_size() != 0 && address >= network_.dhcp_first &&
         address <= network_.dhcp_first.plus(range_size() - 1);
}

bool DhcpServer::may_have(const Address& address) const {
  return address.is_v4() && network_.is_guest_source(address) && address != network_.prefix4.base;
}

DhcpServer::Lease* DhcpServer::claim(const Address& address, const ClientKey& client, Time now) {
  if (!may_have(address)) return nullptr;
  if (Lease* lease = find(address); lease != nullptr) {
    return lease->client == client || lease->free(now) ? lease : nullptr;
  }
  if (!in_range(address)) {
    const auto outside = [&](const Lease& lease) { return !in_range(lease.address); };
    if (static_cast<std::size_t>(std::count_if(leases_.begin(), leases_.end(), outside)) >= kMaxRequested) {
      const auto spent = std::find_if(leases_.begin(), leases_.end(),
                                      [&](const Lease& lease) { return outside(lease) && lease.free(now); });
      if (spent == leases_.end()) return nullptr;
      *spent = Lease{address, {}, State::offered, now};
      return &*spent;
    }
  }
  return &leases_.emplace_back(Lease{address, {}, State::offered, now});
}

DhcpServer::Lease* DhcpServer::choose(const wire::DhcpMessage& message, const ClientKey& client, Time now) {
  // RFC 2131 section 4.3.1: the address that the client has, or had last; then the one that it would like.
  Lease* previous = nullptr;
  for (Lease& lease : leases_) {
    if (lease.client != client) continue;
    if (previous == nullptr || lease.expiry > previous->expiry) previous = &lease;
  }
  if (previous != nullptr) return previous;
  if (message.requested_address) {
    if (Lease* lease = claim(*message.requested_address, client, now); lease != nullptr) return lease;
  }
  return take_from_range(now);
}

DhcpServer::Lease* DhcpServer::take_from_range(Time now) {
  for (std::uint32_t i = 0; i < range_size(); ++i) {
    const Address address = network_.dhcp_first.plus(i);
    if (may_have(address) && find(address) == nullptr) {
      return &leases_.emplace_back(Lease{address, {}, State::offered, now});
    }
  }
  Lease* oldest = nullptr;
  for (Lease& lease : leases_) {
    if (!in_range(lease.address) || !lease.free(now)) continue;
    if (oldest == nullptr || lease.expiry < oldest->expiry) oldest = &lease;
  }
  return oldest;
}

}  // namespace sf::services
