// Stateless DHCPv6 (RFC 8415 section 6.1): name servers and search list for clients that do not read them
// from router advertisements. Addresses come by SLAAC alone; who asks for one is told so at once.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "link/network.hh"
#include "wire/dhcpv6.hh"

namespace sf::services {

// The reply to a client's message, to be sent to where it came from; nothing where none is due (RFC 8415
// section 16). `search` is the host's list.
[[nodiscard]] std::optional<wire::Dhcpv6Message> answer_dhcpv6(const wire::Dhcpv6Message& request,
                                                               const link::Network& network,
                                                               std::span<const std::string> search);

}  // namespace sf::services
