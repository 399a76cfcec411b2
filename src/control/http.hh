// As much of HTTP as a scraper needs (RFC 9112): one request per connection, whose header is all there is of
// it. Pure: text in, text out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sf::control {

inline constexpr std::size_t kMaxHttpRequest = 8192;

struct HttpRequest {
  enum class State : std::uint8_t {
    incomplete,   // more has to come
    complete,     // method and path are set
    malformed,    // 400
    too_large,    // 431: kMaxHttpRequest bytes, and its header has not ended
    bad_version,  // 505: neither HTTP/1.0 nor HTTP/1.1 or a later 1.x
  };
  State state = State::incomplete;
  std::string_view method{};  // views of what was parsed
  std::string_view path{};    // without the query, and without the scheme and host of an absolute form
};

// `text` is all that has come so far.
[[nodiscard]] HttpRequest parse_http_request(std::string_view text);

// The whole reply, which closes the connection. `body` is plain text; with `head` it is left out.
struct HttpReply {
  int status = 200;
  std::string_view type = "text/plain; charset=utf-8";
  std::string_view body{};
  bool head = false;
};
[[nodiscard]] std::string http_reply(const HttpReply& reply);

}  // namespace sf::control
