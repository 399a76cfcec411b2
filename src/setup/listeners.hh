// Who listens in the network namespace of the calling process: one question to the kernel (sock_diag(7)),
// which looks at that namespace's listening sockets alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.hh"
#include "base/result.hh"

namespace sf::setup {

struct Listener {
  bool tcp = true;
  bool both_versions = false;  // an IPv6 socket that takes IPv4 as well
  Endpoint at;                 // the unspecified address: all of them
  auto operator<=>(const Listener&) const = default;
};

// Sorted, each once. TCP sockets that listen; UDP sockets that are bound and not connected, below the range
// of ports that the kernel gives to clients (net.ipv4.ip_local_port_range).
[[nodiscard]] Result<std::vector<Listener>> find_listeners();

// One line each, to cross a Channel: `tcp 80 0.0.0.0`; what goes beyond `most` bytes is left out. Lines that
// make no sense are passed over.
[[nodiscard]] std::string describe(const std::vector<Listener>& listeners, std::size_t most);
[[nodiscard]] std::vector<Listener> parse_listeners(std::string_view text);

}  // namespace sf::setup
