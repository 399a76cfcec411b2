// The server that a client's first bytes name: the ClientHello of TLS (RFC 8446 section 4.1.2, RFC 6066
// section 3) and the Host of an HTTP request (RFC 9112 section 3.2).
//
// Pure functions over all bytes that have come so far, to be called again with more of them. How those came
// in segments or TLS records makes no difference.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.hh"

namespace sf::wire {

// What is held back at most until a name is found. Hellos with post-quantum keys have about 2 KiB.
inline constexpr std::size_t kMaxServerNameBytes = std::size_t{16} * 1024;

struct ServerName {
  enum class State : std::uint8_t {
    more,     // not decided yet: more bytes are needed
    named,    // `name`
    unnamed,  // a whole hello or request that names no server, or an address
    foreign,  // neither TLS nor HTTP, malformed, contradictory, or larger than kMaxServerNameBytes
  };
  State state = State::more;
  std::string name;  // as it was sent
};

[[nodiscard]] ServerName tls_server_name(Bytes stream);
[[nodiscard]] ServerName http_host(Bytes stream);

}  // namespace sf::wire
