// Endpoint to and from the kernel's socket addresses.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/address.hh"

namespace sf::host {

// Either version's socket address, with its length.
class SocketAddress {
 public:
  explicit SocketAddress(const Endpoint& endpoint);

  [[nodiscard]] const sockaddr* get() const { return &address_.any; }
  [[nodiscard]] socklen_t size() const {
    return address_.any.sa_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  }

 private:
  union {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
  } address_{};
};

// An unspecified endpoint for a family that is neither. `address` may be of any alignment.
[[nodiscard]] Endpoint endpoint_from(const void* address, std::size_t size);

[[nodiscard]] Address address_from(const in_addr& address);
[[nodiscard]] Address address_from(const in6_addr& address);
[[nodiscard]] in_addr to_in_addr(const Address& address);
[[nodiscard]] in6_addr to_in6_addr(const Address& address);

}  // namespace sf::host
