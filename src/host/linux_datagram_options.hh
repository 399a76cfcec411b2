// What datagram sockets are set to, and what goes with a datagram beside its payload.
#pragma once

#include <sys/socket.h>

#include <optional>

#include "base/address.hh"
#include "base/bytes.hh"

namespace sf::host {

void set_datagram_options(int fd, bool v4);
// Which address of this host's a datagram came to is told with it: what answers from an unspecified address
// has to say that it answers from the one that was asked.
void tell_destination(int fd, bool v4);
// What tell_destination() has the kernel tell; nothing for a group's address, which nothing can be sent from.
[[nodiscard]] std::optional<Address> destination_of(msghdr& message);
// As sendto(2), from that address. False, with errno: it was not sent.
[[nodiscard]] bool send_from(int fd, Bytes payload, const Endpoint& to, const std::optional<Address>& source);

}  // namespace sf::host
