#include "host/linux_address.hh"

#include <cstring>

namespace sf::host {

SocketAddress::SocketAddress(const Endpoint& endpoint) {
  if (endpoint.address.is_v4()) {
    address_.v4 = {};
    address_.v4.sin_family = AF_INET;
    address_.v4.sin_port = htons(endpoint.port);
    address_.v4.sin_addr = to_in_addr(endpoint.address);
  } else {
    address_.v6 = {};
    address_.v6.sin6_family = AF_INET6;
    address_.v6.sin6_port = htons(endpoint.port);
    address_.v6.sin6_scope_id = endpoint.address.scope();
    address_.v6.sin6_addr = to_in6_addr(endpoint.address.with_scope(0));
  }
}

Endpoint endpoint_from(const void* address, std::size_t size) {
  sa_family_t family = AF_UNSPEC;
  if (size >= sizeof(family)) std::memcpy(&family, address, sizeof(family));
  if (family == AF_INET && size >= sizeof(sockaddr_in)) {
    sockaddr_in in;
    std::memcpy(&in, address, sizeof(in));
    return {address_from(in.sin_addr), ntohs(in.sin_port)};
  }
  if (family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
    sockaddr_in6 in;
    std::memcpy(&in, address, sizeof(in));
    return {address_from(in.sin6_addr).with_scope(in.sin6_scope_id), ntohs(in.sin6_port)};
  }
  return {};
}

Address address_from(const in_addr& address) {
  return Address::v4(ntohl(address.s_addr));
}

Address address_from(const in6_addr& address) {
  std::array<std::uint8_t, Address::kSize> bytes;
  std::memcpy(bytes.data(), &address, bytes.size());
  return Address::v6(bytes);
}

in_addr to_in_addr(const Address& address) {
  in_addr out{};
  out.s_addr = htonl(address.to_v4());
  return out;
}

in6_addr to_in6_addr(const Address& address) {
  in6_addr out{};
  std::memcpy(&out, address.bytes().data(), sizeof(out));
  return out;
}

}  // namespace sf::host
