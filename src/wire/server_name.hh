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

// `end`, if given, is set to where the hello's records end, once it is whole.
[[nodiscard]] ServerName tls_server_name(Bytes stream, std::size_t* end = nullptr);
// The same without TLS records around it, as QUIC carries it (RFC 9001 section 4.1.3). `size` is set to that
// of the hello, once it is whole.
[[nodiscard]] ServerName hello_server_name(Bytes handshake, std::size_t& size);
[[nodiscard]] ServerName http_host(Bytes stream);

// What a server says first, and so whether the client is to send a second hello (RFC 8446 section 4.1.4).
inline constexpr std::uint8_t kTlsHandshake = 22;  // a record's first byte
enum class TlsAnswer : std::uint8_t { more, hello_again, other };
inline constexpr std::size_t kMaxTlsAnswer = 512;  // is always enough to tell, unless somebody cuts it finely
[[nodiscard]] TlsAnswer tls_answer(Bytes stream);
// Whole records that may stand between the two hellos: early data, which the server passes over as well.
[[nodiscard]] std::size_t tls_records_before_handshake(Bytes stream);

}  // namespace sf::wire
