// Sockets that wait for others at an address and port.
#pragma once

#include <tl/expected.hpp>

#include "base/unique_fd.hh"
#include "host/host.hh"

namespace sf::host {

// All non-blocking. Port 0: the host chooses. An IPv6 one is for IPv6 alone.
[[nodiscard]] tl::expected<UniqueFd, HostError> listen_at(const Endpoint& at,
                                                          PortSharing sharing = PortSharing::none);
[[nodiscard]] tl::expected<UniqueFd, HostError> bind_udp_at(const Endpoint& at);

// A client of a listener; the Error says why there is none.
[[nodiscard]] tl::expected<UniqueFd, HostError> accept_from(int listener, Endpoint& peer);

[[nodiscard]] Endpoint local_endpoint_of(int fd);

}  // namespace sf::host
