// What every datagram socket is set to.
#pragma once

namespace sf::host {

void set_datagram_options(int fd, bool ping, bool v4);
// Which address of this host's a datagram came to is told with it: what answers from an unspecified address
// has to say that it answers from the one that was asked.
void tell_destination(int fd, bool v4);

}  // namespace sf::host
