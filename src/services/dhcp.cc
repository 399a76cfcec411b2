#include "services/dhcp.hh"

#include <algorithm>
#include <array>
#include <utility>

namespace sf::services {

using wire::DhcpMessage;
using wire::DhcpType;

namespace {

constexpr std::uint8_t kHardwareEthernet = 1;

// RFC 2131 section 4.2: the client identifier where there is one, else hardware type and address.
std::vector<std::uint8_t> key_of(const DhcpMessage& request) {
  if (!request.client_id.empty()) return request.client_id;
  std::vector<std::uint8_t> key(1 + request.hardware.bytes.size());
  key[0] = kHardwareEthernet;
  std::ranges::copy(request.hardware.bytes, key.begin() + 1);
  return key;
}

}  // namespace

std::optional<DhcpReply> DhcpServer::answer(const DhcpMessage& message, std::span<const std::string> search,
                                            Time now) {
  // There is no relay on this link, and BOOTP clients (no type) could not give an address back.
  if (message.operation != DhcpMessage::kBootRequest || !message.type || !message.gateway.is_unspecified() ||
      message.hardware.is_multicast()) {
    return std::nullopt;
  }
  const ClientKey client = key_of(message);
  switch (*message.type) {
    case DhcpType::discover:
      return discover(message, client, search, now);
    case DhcpType::request:
      return request(message, client, search, now);
    case DhcpType::inform:
      return inform(message, search);
    case DhcpType::release:
      release(message, client, now);
      return std::nullopt;
    case DhcpType::decline:
      decline(message, client, now);
      return std::nullopt;
    default:  // a server's
      return std::nullopt;
  }
}

std::size_t DhcpServer::bound(Time now) const {
  return static_cast<std::size_t>(std::count_if(leases_.begin(), leases_.end(), [&](const Lease& lease) {
    return lease.state == State::bound && !lease.free(now);
  }));
}

std::optional<DhcpReply> DhcpServer::discover(const DhcpMessage& message, const ClientKey& client,
                                              std::span<const std::string> search, Time now) {
  Lease* lease = choose(message, client, now);
  if (lease == nullptr) return std::nullopt;
  // A client that has a lease and lost it from its memory must not have it shortened by asking again.
  if (lease->client != client || lease->free(now)) {
    lease->client = client;
    lease->state = State::offered;
  }
  if (lease->state == State::offered) lease->expiry = now + kOfferTime;
  return grant(message, DhcpType::offer, lease->address, search);
}

std::optional<DhcpReply> DhcpServer::request(const DhcpMessage& message, const ClientKey& client,
                                             std::span<const std::string> search, Time now) {
  if (message.server_id && *message.server_id != network_.gateway4) {
    forget_offer(client, now);  // the client has chosen another server (RFC 2131 section 3.1, 4)
    return std::nullopt;
  }
  // Selecting and init-reboot name the address in option 50, renewing and rebinding in ciaddr (RFC 2131 table
  // 4).
  const bool has_address = !message.client.is_unspecified();
  if (!has_address && !message.requested_address) return std::nullopt;
  const Address address = has_address ? message.client : *message.requested_address;
  Lease* lease = claim(address, client, now);
  // RFC 2131 section 4.3.2 has a server be silent about clients that it does not know, because another server
  // may know them. There is no other one here: leases of an earlier run of ours are taken up again.
  if (lease == nullptr)
    return refuse(message, may_have(address) ? "address in use" : "address not on this network");
  lease->client = client;
  lease->state = State::bound;
  lease->expiry = now + kLeaseTime;
  // A client has one address; what else it was offered can go to others.
  for (Lease& other : leases_) {
    if (&other != lease && other.client == client && other.state != State::declined)
      other.expiry = std::min(other.expiry, now);
  }
  return grant(message, DhcpType::ack, address, search);
}

std::optional<DhcpReply> DhcpServer::inform(const DhcpMessage& message,
                                            std::span<const std::string> search) const {
  // The reply goes to ciaddr (RFC 2131 section 4.3.5), so that has to be an address of the guest's.
  if (!network_.is_guest_source(message.client) || !message.client.is_v4()) return std::nullopt;
  DhcpReply reply = grant(message, DhcpType::ack, message.client, search);
  reply.message.yours = Address::v4(0);
  reply.message.lease_time.reset();
  reply.message.renewal_time.reset();
  reply.message.rebinding_time.reset();
  return reply;
}

void DhcpServer::release(const DhcpMessage& message, const ClientKey& client, Time now) {
  Lease* lease = find(message.client);
  if (lease == nullptr || lease->client != client || lease->state == State::declined) return;
  lease->expiry = std::min(lease->expiry, now);
}

void DhcpServer::decline(const DhcpMessage& message, const ClientKey& client, Time now) {
  if (!message.requested_address || message.server_id != network_.gateway4) return;
  Lease* lease = find(*message.requested_address);
  if (lease == nullptr || lease->client != client) return;
  lease->client.clear();
  lease->state = State::declined;
  lease->expiry = now + kDeclineTime;
}

void DhcpServer::forget_offer(const ClientKey& client, Time now) {
  for (Lease& lease : leases_) {
    if (lease.client == client && lease.state == State::offered) lease.expiry = std::min(lease.expiry, now);
  }
}

}  // namespace sf::services
