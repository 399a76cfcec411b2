#include "control/http.hh"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace sf::control {
namespace {

using State = HttpRequest::State;

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// RFC 9110 section 5.6.2.
constexpr bool is_token_char(char c) {
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return letter || is_digit(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, is_token_char);
}

bool has_control(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return (c >= '\0' && c < ' ' && c != '\t') || c == '\x7f'; });
}

bool equals_ignoring_case(std::string_view left, std::string_view lower) {
  return std::ranges::equal(left, lower, [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

// Takes a line, which LF or CRLF ends (RFC 9112 section 2.2). Absent where it has not ended.
std::optional<std::string_view> take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::string_view path_of(std::string_view target) {
  constexpr std::string_view kScheme = "http://";
  if (equals_ignoring_case(target.substr(0, kScheme.size()), kScheme)) {
    target.remove_prefix(kScheme.size());
    target.remove_prefix(std::min(target.find('/'), target.size()));
  }
  return target.substr(0, target.find('?'));
}

// "GET /metrics HTTP/1.1". `minor`: the version's.
State parse_request_line(std::string_view line, HttpRequest& request, char& minor) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return State::malformed;
  request.method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  const bool plain = !target.empty() && !has_control(target) && target.find_first_of(" \t") == target.npos;
  if (!is_token(request.method) || !plain) return State::malformed;
  request.path = path_of(target);
  const bool numbered = version.size() == 8 && version.starts_with("HTTP/") && is_digit(version[5]) &&
                        version[6] == '.' && is_digit(version[7]);
  if (!numbered) return State::malformed;
  minor = version[7];
  return version[5] == '1' ? State::complete : State::bad_version;
}

std::string_view reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 431:
      return "Request Header Fields Too Large";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Internal Server Error";
  }
}

}  // namespace

HttpRequest parse_http_request(std::string_view text) {
  const State unfinished = text.size() >= kMaxHttpRequest ? State::too_large : State::incomplete;
  text = text.substr(0, kMaxHttpRequest);
  HttpRequest request;
  auto line = take_line(text);
  if (line && line->empty()) line = take_line(text);  // RFC 9112 section 2.2: one may come before
  if (!line) return {.state = unfinished};
  char minor = '0';
  request.state = parse_request_line(*line, request, minor);
  if (request.state != State::complete) return request;
  unsigned hosts = 0;
  for (;;) {
    line = take_line(text);
    if (!line) return {.state = unfinished};
    if (line->empty()) break;
    const std::size_t colon = line->find(':');
    // No line goes on in the next one (RFC 9112 section 5.2), and no name has a space behind it
    // (section 5.1).
    if (colon == std::string_view::npos || !is_token(line->substr(0, colon)) || has_control(*line)) {
      return {.state = State::malformed};
    }
    if (equals_ignoring_case(line->substr(0, colon), "host")) ++hosts;
  }
  // RFC 9112 section 3.2.
  if (hosts > 1 || (hosts == 0 && minor != '0')) return {.state = State::malformed};
  return request;
}

std::string http_reply(const HttpReply& reply) {
  return fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{}Cache-Control: no-store\r\nConnection: "
      "close\r\n\r\n{}",
      reply.status, reason_of(reply.status), reply.type, reply.body.size(),
      reply.status == 405 ? "Allow: GET, HEAD\r\n" : "", reply.head ? std::string_view() : reply.body);
}

}  // namespace sf::control
