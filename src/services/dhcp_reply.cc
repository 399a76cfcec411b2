// What DhcpServer says, and where to.
#include <array>
#include <utility>

#include "services/dhcp.hh"
#include "services/search_list.hh"

namespace sf::services {
namespace {

using wire::DhcpMessage;

constexpr std::size_t kSearchBudget = 255;

bool fits(const DhcpMessage& message) {
  std::array<std::uint8_t, wire::kDhcpMaxSize> buffer{};
  Writer out{buffer};
  message.emit(out);
  return out.ok();
}

// Long search lists and client identifiers may be too much for a packet; addresses never are.
void shorten(DhcpMessage& message) {
  while (!fits(message) && !message.domain_search.empty()) message.domain_search.pop_back();
  if (!fits(message)) message.domain_name.clear();
  if (!fits(message)) message.client_id.clear();
}

DhcpMessage begin_reply(const DhcpMessage& request, wire::DhcpType type, const Address& server) {
  DhcpMessage reply;
  reply.operation = DhcpMessage::kBootReply;
  reply.transaction = request.transaction;
  reply.broadcast_flag = request.broadcast_flag;
  reply.gateway = request.gateway;
  reply.hardware = request.hardware;
  reply.type = type;
  reply.server_id = server;
  reply.client_id = request.client_id;  // RFC 6842
  return reply;
}

}  // namespace

DhcpReply DhcpServer::grant(const DhcpMessage& request, wire::DhcpType type, const Address& address,
                            std::span<const std::string> search) const {
  DhcpReply reply;
  reply.message = begin_reply(request, type, network_.gateway4);
  DhcpMessage& message = reply.message;
  message.yours = address;
  if (type == wire::DhcpType::ack) message.client = request.client;
  message.lease_time = kLeaseTime;
  message.renewal_time = kLeaseTime / 2;
  message.rebinding_time = kLeaseTime * 7 / 8;  // RFC 2131 section 4.4.5
  add_configuration(message, search);
  shorten(message);
  // RFC 2131 section 4.1. A client that can take unicast before it has an address says so by a clear
  // broadcast flag.
  if (!request.client.is_unspecified() && type == wire::DhcpType::ack) {
    reply.destination = request.client;
    reply.to = request.hardware;
  } else if (request.broadcast_flag) {
    reply.destination = Address::v4(0xffffffff);
    reply.to = kBroadcastMac;
  } else {
    reply.destination = address;
    reply.to = request.hardware;
  }
  return reply;
}

void DhcpServer::add_configuration(DhcpMessage& reply, std::span<const std::string> search) const {
  reply.subnet_mask = Address::v4(network_.prefix4.v4_mask());
  reply.broadcast = network_.prefix4.v4_broadcast();
  reply.routers.push_back(network_.gateway4);
  reply.mtu = static_cast<std::uint16_t>(network_.mtu);
  if (!network_.dns) return;
  reply.dns_servers.push_back(network_.dns4);
  reply.domain_search = usable_search(search, kSearchBudget);
  if (!reply.domain_search.empty()) reply.domain_name = reply.domain_search.front();
}

// A NAK is broadcast: the client's idea of its address is what is wrong with it (RFC 2131 section 4.1).
DhcpReply DhcpServer::refuse(const DhcpMessage& request, std::string why) const {
  DhcpReply reply;
  reply.message = begin_reply(request, wire::DhcpType::nak, network_.gateway4);
  reply.message.message = std::move(why);
  shorten(reply.message);
  reply.destination = Address::v4(0xffffffff);
  reply.to = kBroadcastMac;
  return reply;
}

}  // namespace sf::services
