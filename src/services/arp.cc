#include "services/arp.hh"

namespace sf::services {
namespace {

bool is_off_link(const Address& target, const link::Network& network) {
  const bool this_network = (target.to_v4() >> 24) == 0;
  return !this_network && !target.is_loopback() && !target.is_multicast() && !target.is_broadcast() &&
         !network.prefix4.contains(target);
}

}  // namespace

std::optional<wire::ArpPacket> answer_arp(const wire::ArpPacket& request, const link::Network& network) {
  if (request.operation != wire::ArpPacket::kRequest) return std::nullopt;
  if (request.sender_mac.is_multicast() || request.sender_mac == network.gateway_mac) return std::nullopt;
  // An announcement: the sender tells, it does not ask (RFC 5227 section 1.1).
  if (request.sender == request.target) return std::nullopt;
  // A probe asks whether anybody uses the address. Off the link nobody does: an IPv4 link-local address
  // (RFC 3927 section 2.2.1) or a second one of the guest's own must not look taken.
  const bool probe = request.sender.is_unspecified();
  const bool ours = request.target == network.gateway4 || request.target == network.dns4;
  if (!ours && (probe || !is_off_link(request.target, network))) return std::nullopt;

  wire::ArpPacket reply;
  reply.operation = wire::ArpPacket::kReply;
  reply.sender_mac = network.gateway_mac;
  reply.sender = request.target;
  reply.target_mac = request.sender_mac;
  reply.target = request.sender;
  return reply;
}

}  // namespace sf::services
