// What is answered here rather than in the world outside: ARP, neighbour discovery, DHCP, DHCPv6, and the way
// back of DNS answers.
#include "engine/shard.hh"
#include "services/arp.hh"
#include "services/dhcpv6.hh"
#include "services/ndp.hh"
#include "wire/arp.hh"
#include "wire/dhcp.hh"
#include "wire/dhcpv6.hh"

namespace sf::engine {
namespace {

using wire::DropReason;
using wire::IpProtocol;

wire::IpHeader udp_header(const Address& source, const Address& destination) {
  wire::IpHeader ip;
  ip.source = source;
  ip.destination = destination;
  ip.protocol = static_cast<std::uint8_t>(IpProtocol::udp);
  return ip;
}

}  // namespace

void Shard::on_arp(Bytes body, Time now) {
  const auto request = wire::ArpPacket::parse(body);
  if (!request) return drop(DropReason::malformed_service);
  if (config_.network.is_guest_source(request->sender)) learn(request->sender, request->sender_mac, now);
  const auto reply = services::answer_arp(*request, config_.network);
  if (!reply) return;
  std::array<std::uint8_t, wire::kArpSize> bytes{};
  Writer out(bytes);
  reply->emit(out);
  static_cast<void>(to_guest_.send_frame(reply->target_mac, wire::EtherType::arp, out.written()));
}

void Shard::on_ndp(const Ingress& in, const wire::IpPacket& packet, Time now) {
  std::array<std::uint8_t, services::kMaxNdpMessage> bytes{};
  Writer out(bytes);
  const auto reply = services::answer_ndp(packet, in.from, config_.network, host_.resolvers(now).search, out);
  if (!reply) return drop(reply.error());
  if (!*reply || !out.ok()) return;
  static_cast<void>(to_guest_.send_ip((*reply)->to, (*reply)->ip, out.written()));
}

void Shard::advertise(Time now) {
  next_advertisement_ = now + services::kAdvertisementInterval;
  std::array<std::uint8_t, services::kMaxNdpMessage> bytes{};
  Writer out(bytes);
  const auto message = services::unsolicited_advertisement(config_.network, host_.resolvers(now).search, out);
  if (out.ok()) static_cast<void>(to_guest_.send_ip(message.to, message.ip, out.written()));
}

void Shard::on_dhcp(const wire::UdpDatagram& datagram, Time now) {
  const auto request = wire::DhcpMessage::parse(datagram.payload);
  if (!request) return drop(DropReason::malformed_service);
  const auto reply = dhcp_.answer(*request, host_.resolvers(now).search, now);
  if (!reply) return;
  std::array<std::uint8_t, wire::kDhcpMaxSize> bytes{};
  Writer out(bytes);
  reply->message.emit(out);
  if (!out.ok()) return;
  static_cast<void>(to_guest_.send_udp(reply->to, udp_header(config_.network.gateway4, reply->destination),
                                       wire::kDhcpServerPort, wire::kDhcpClientPort, out.written()));
}

void Shard::on_dhcpv6(const Ingress& in, const wire::IpPacket& packet, const wire::UdpDatagram& datagram,
                      Time now) {
  const auto request = wire::Dhcpv6Message::parse(datagram.payload);
  if (!request) return drop(DropReason::malformed_service);
  if (packet.source.is_unspecified()) return drop(DropReason::bad_address);
  const auto reply = services::answer_dhcpv6(*request, config_.network, host_.resolvers(now).search);
  if (!reply) return;
  std::array<std::uint8_t, 1232> bytes{};  // fits IPv6's least MTU
  Writer out(bytes);
  reply->emit(out);
  if (!out.ok()) return;
  static_cast<void>(to_guest_.send_udp(in.from, udp_header(link::kRouterLinkLocal, packet.source),
                                       wire::kDhcpv6ServerPort, wire::kDhcpv6ClientPort, out.written()));
}

void Shard::dns_reply(const Endpoint& guest, const MacAddress& guest_mac, const Endpoint& dns_address,
                      Bytes answer, Time) {
  static_cast<void>(to_guest_.send_udp(guest_mac, udp_header(dns_address.address, guest.address),
                                       dns_address.port, guest.port, answer));
}

}  // namespace sf::engine
