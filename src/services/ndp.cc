#include "services/ndp.hh"

#include "services/search_list.hh"

namespace sf::services {
namespace {

using Answer = tl::expected<std::optional<NdpReply>, wire::DropReason>;

constexpr std::chrono::seconds kPrefixValid{86400};
constexpr std::chrono::seconds kPrefixPreferred{14400};
constexpr std::uint8_t kGuestHopLimit = 64;
// Leaves an advertisement below kMaxNdpMessage, whatever the host's search list is.
constexpr std::size_t kSearchBudget = 512;

wire::IpHeader header(const Address& source, const Address& destination) {
  wire::IpHeader ip;
  ip.source = source;
  ip.destination = destination;
  ip.protocol = static_cast<std::uint8_t>(wire::IpProtocol::icmpv6);
  ip.ttl = wire::kNdpHopLimit;
  return ip;
}

NdpReply advertise(const link::Network& network, std::span<const std::string> search,
                   const Address& destination, const MacAddress& to, Writer& out) {
  wire::RouterAdvertisement advertisement;
  advertisement.hop_limit = kGuestHopLimit;
  // The same name servers are to be had by stateless DHCPv6, for clients without RFC 8106.
  advertisement.other_config = network.dns;
  advertisement.router_lifetime = kRouterLifetime;
  advertisement.source_link = network.mac(false);
  advertisement.mtu = network.mtu;
  advertisement.prefixes.push_back({network.prefix6, true, true, kPrefixValid, kPrefixPreferred});
  if (network.dns) {
    advertisement.dns_servers.push_back({kRouterLifetime, {network.dns6}});
    auto names = usable_search(search, kSearchBudget);
    if (!names.empty()) advertisement.dns_search.push_back({kRouterLifetime, std::move(names)});
  }
  advertisement.emit(out, link::kRouterLinkLocal, destination);
  return {to, header(link::kRouterLinkLocal, destination)};
}

// What is neither ours nor of the link is reached through us.
bool is_off_link(const Address& target, const link::Network& network) {
  return target.is_v6() && !target.is_link_local() && !target.is_loopback() && !target.is_unspecified() &&
         !network.prefix6.contains(target);
}

Answer answer_router_solicitation(const wire::IpPacket& packet, const MacAddress& from,
                                  const link::Network& network, std::span<const std::string> search,
                                  Writer& out) {
  const auto solicitation = wire::RouterSolicitation::parse(packet.payload);
  if (!solicitation) return tl::unexpected(wire::DropReason::malformed_service);
  if (!packet.source.is_unspecified()) return advertise(network, search, packet.source, from, out);
  if (solicitation->source_link) return tl::unexpected(wire::DropReason::malformed_service);
  return advertise(network, search, wire::kAllNodes, wire::multicast_mac(wire::kAllNodes), out);
}

Answer answer_neighbor_solicitation(const wire::IpPacket& packet, const MacAddress& from,
                                    const link::Network& network, Writer& out) {
  const auto solicitation = wire::NeighborSolicitation::parse(packet.payload);
  if (!solicitation) return tl::unexpected(wire::DropReason::malformed_service);
  const Address& target = solicitation->target;
  // Duplicate address detection (RFC 4862 section 5.4): is anybody using the address?
  const bool probe = packet.source.is_unspecified();
  if (probe && (solicitation->source_link || packet.destination != wire::solicited_node(target))) {
    return tl::unexpected(wire::DropReason::malformed_service);
  }
  const bool ours = target.is_v6() && network.is_ours(target);
  if (!ours && (probe || !is_off_link(target, network))) return std::nullopt;

  wire::NeighborAdvertisement advertisement;
  advertisement.router = true;
  advertisement.solicited = !probe;
  // For others we are a proxy, and whoever really has the address comes first (RFC 4861 section 7.2.8).
  advertisement.override_cache = ours;
  advertisement.target = target;
  advertisement.target_link = network.mac(false);
  const Address destination = probe ? wire::kAllNodes : packet.source;
  advertisement.emit(out, target, destination);
  return NdpReply{probe ? wire::multicast_mac(destination) : from, header(target, destination)};
}

}  // namespace

Answer answer_ndp(const wire::IpPacket& packet, const MacAddress& from, const link::Network& network,
                  std::span<const std::string> search, Writer& out) {
  if (!network.ipv6) return std::nullopt;
  // A lower one was forwarded, and a fragment can be used to get around filters (RFC 6980 section 5).
  if (packet.ttl != wire::kNdpHopLimit || packet.fragment || packet.payload.empty()) {
    return tl::unexpected(wire::DropReason::malformed_service);
  }
  if (network.is_ours(packet.source) || packet.source.is_multicast()) {
    return tl::unexpected(wire::DropReason::bad_address);
  }
  switch (packet.payload[0]) {
    case wire::ndp::kRouterSolicitation:
      return answer_router_solicitation(packet, from, network, search, out);
    case wire::ndp::kNeighborSolicitation:
      return answer_neighbor_solicitation(packet, from, network, out);
    default:  // advertisements and redirects are not for a router
      return std::nullopt;
  }
}

NdpReply unsolicited_advertisement(const link::Network& network, std::span<const std::string> search,
                                   Writer& out) {
  return advertise(network, search, wire::kAllNodes, wire::multicast_mac(wire::kAllNodes), out);
}

}  // namespace sf::services
