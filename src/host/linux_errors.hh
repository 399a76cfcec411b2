// Linux's errno as HostError.
#pragma once

#include "host/host.hh"

namespace sf::host {

// Of a system call on a socket. 0 is none.
[[nodiscard]] HostError host_error_from(int error);

// True for what an ICMP error about an earlier datagram leaves on a socket with IP_RECVERR for the next call,
// whatever that one does: such a call was not carried out, and is worth making again.
[[nodiscard]] bool may_be_pending(int error);

}  // namespace sf::host
