// Neighbour discovery inside (RFC 4861): the router that advertises the prefix, and the owner of every
// address that is not on the link.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <tl/expected.hpp>

#include "link/network.hh"
#include "wire/ip.hh"
#include "wire/ndp.hh"

namespace sf::services {

inline constexpr std::chrono::seconds kRouterLifetime{1800};
// Unsolicited advertisements have to come at least this often, or the guest loses its default route: a kernel
// solicits when an interface comes up, and never again. A third of the lifetime, as RFC 4861 section 6.2.1
// has it.
inline constexpr std::chrono::seconds kAdvertisementInterval{600};
// Room for any message that the functions below write: the least MTU of IPv6, less its header.
inline constexpr std::size_t kMaxNdpMessage = 1280 - 40;

// Where a message goes, and its IP header; the message itself is in the writer that was passed.
struct NdpReply {
  MacAddress to;
  wire::IpHeader ip;
};

// True for the ICMPv6 types that answer_ndp() is for: 133 to 137.
[[nodiscard]] constexpr bool is_ndp(std::uint8_t icmpv6_type) {
  return icmpv6_type >= wire::ndp::kRouterSolicitation && icmpv6_type <= wire::ndp::kRedirect;
}

// Answers an ND packet of the guest's, `from` being the frame's source. Router solicitations get an
// advertisement; neighbour solicitations one for our addresses and those off the link, but not for others of
// the link, which must pass as free. Nothing where no answer is due; an error where the packet has to be
// discarded (RFC 4861 sections 6.1.1 and 7.1.1). `search` is the host's list. `out` has room for
// kMaxNdpMessage.
[[nodiscard]] tl::expected<std::optional<NdpReply>, wire::DropReason> answer_ndp(
    const wire::IpPacket& packet, const MacAddress& from, const link::Network& network,
    std::span<const std::string> search, Writer& out);

// An advertisement to all nodes, sent at start and every kAdvertisementInterval. Only where network.ipv6.
[[nodiscard]] NdpReply unsolicited_advertisement(const link::Network& network,
                                                 std::span<const std::string> search, Writer& out);

}  // namespace sf::services
