// ARP inside (RFC 826): everything that is not on the link is behind us.
#pragma once

#include <optional>

#include "link/network.hh"
#include "wire/arp.hh"

namespace sf::services {

// The reply to a guest's request, all of them with the gateway's MAC: for our own addresses and for any
// address off the link, which a guest asks for when its default route names the device alone (`route add
// default tap0`). Nothing for other addresses of the link, so that they pass as free (RFC 5227), nor for what
// is no request.
[[nodiscard]] std::optional<wire::ArpPacket> answer_arp(const wire::ArpPacket& request,
                                                        const link::Network& network);

}  // namespace sf::services
