#include "services/dhcpv6.hh"

#include <algorithm>

#include "services/search_list.hh"

namespace sf::services {
namespace {

using wire::Dhcpv6Message;
using wire::Dhcpv6Status;
using wire::Dhcpv6Type;

constexpr std::size_t kSearchBudget = 512;
// More associations than a client has any use for are not answered: the reply has to fit a packet.
constexpr std::size_t kMaxAssociations = 8;

// Whether the message carries the identifiers that its type asks for (RFC 8415 sections 16.2 to 16.12).
bool is_valid(const Dhcpv6Message& request, const std::vector<std::uint8_t>& our_id) {
  const bool to_us = request.server_id == our_id;
  const bool to_all = request.server_id.empty();
  switch (request.type) {
    case Dhcpv6Type::solicit:
    case Dhcpv6Type::rebind:
      return to_all && !request.client_id.empty();
    case Dhcpv6Type::request:
    case Dhcpv6Type::renew:
    case Dhcpv6Type::release:
    case Dhcpv6Type::decline:
      return to_us && !request.client_id.empty();
    case Dhcpv6Type::information_request:
      return (to_us || to_all) && request.associations.empty();
    default:
      // A confirm must not be answered by who cannot tell (section 18.3.3); all else is for clients and
      // relays.
      return false;
  }
}

Dhcpv6Status refusal(Dhcpv6Type type, std::uint16_t option) {
  if (type != Dhcpv6Type::solicit && type != Dhcpv6Type::request) return Dhcpv6Status::no_binding;
  return option == wire::dhcpv6_option::kIaPd ? Dhcpv6Status::no_prefixes : Dhcpv6Status::no_addresses;
}

}  // namespace

std::optional<Dhcpv6Message> answer_dhcpv6(const Dhcpv6Message& request, const link::Network& network,
                                           std::span<const std::string> search) {
  const std::vector<std::uint8_t> our_id = wire::duid_from(network.gateway_mac);
  if (!network.ipv6 || !is_valid(request, our_id)) return std::nullopt;
  if (request.associations.size() > kMaxAssociations) return std::nullopt;

  Dhcpv6Message reply;
  reply.type = request.type == Dhcpv6Type::solicit ? Dhcpv6Type::advertise : Dhcpv6Type::reply;
  reply.transaction = request.transaction;
  reply.client_id = request.client_id;
  reply.server_id = our_id;
  for (wire::IdentityAssociation association : request.associations) {
    association.status = {refusal(request.type, association.option),
                          "addresses come by router advertisement"};
    reply.associations.push_back(std::move(association));
  }
  if (request.type == Dhcpv6Type::release || request.type == Dhcpv6Type::decline) {
    reply.status = {Dhcpv6Status::success, ""};
    return reply;
  }
  // Where a client asked for nothing by name, the message's own status has to say it.
  if (request.type != Dhcpv6Type::information_request && request.associations.empty()) {
    reply.status = {Dhcpv6Status::no_addresses, "addresses come by router advertisement"};
  }
  if (network.dns) {
    reply.dns_servers.push_back(network.dns6);
    reply.domain_search = usable_search(search, kSearchBudget);
  }
  return reply;
}

}  // namespace sf::services
