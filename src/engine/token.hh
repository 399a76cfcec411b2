// What comes back with a socket's event or a timer: which kind of flow, and its handle, in 63 bits.
#pragma once

#include <cstdint>

#include "base/slab.hh"
#include "host/host.hh"

namespace sf::engine {

// published: a socket of a published port; client: a timer of one of its UDP clients.
enum class TokenKind : std::uint8_t { tcp = 1, udp = 2, icmp = 3, dns = 4, published = 5, client = 6 };

[[nodiscard]] constexpr host::Token make_token(TokenKind kind, Handle handle = Handle{0, 0}) {
  return (static_cast<std::uint64_t>(kind) << 56) | (std::uint64_t{handle.generation} << 32) | handle.index;
}
[[nodiscard]] constexpr TokenKind kind_of(host::Token token) {
  return static_cast<TokenKind>(token >> 56);
}
[[nodiscard]] constexpr Handle handle_of(host::Token token) {
  return Handle{static_cast<std::uint32_t>(token), static_cast<std::uint32_t>(token >> 32) & 0xffffffU};
}

}  // namespace sf::engine
