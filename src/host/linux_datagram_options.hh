// What every datagram socket is set to.
#pragma once

namespace sf::host {

void set_datagram_options(int fd, bool ping, bool v4);

}  // namespace sf::host
