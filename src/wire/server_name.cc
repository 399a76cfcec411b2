#include "wire/server_name.hh"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include "base/address.hh"

namespace sf::wire {
namespace {

using State = ServerName::State;

// --- TLS

constexpr std::uint8_t kTlsMajor = 3;
constexpr std::uint8_t kClientHello = 1;
constexpr std::uint8_t kServerHello = 2;
constexpr std::size_t kRecordHeader = 5;
constexpr std::size_t kMaxRecord = 16384;  // RFC 8446 section 5.1
constexpr std::uint16_t kServerNameExtension = 0;
constexpr std::uint8_t kHostName = 0;
// A ServerHello as far as its random: header, version, random. This one makes it a HelloRetryRequest (RFC
// 8446 section 4.1.3).
constexpr std::size_t kAnswerSize = 4 + 2 + 32;
constexpr std::array<std::uint8_t, 32> kRetryRandom{
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};

ServerName read_server_name(Bytes extension) {
  Reader in(extension);
  Reader list(in.bytes(in.u16()));
  const std::uint8_t type = list.u8();
  const Bytes name = list.bytes(list.u16());
  // One name, and nothing but it: servers differ in which of several they would take.
  const bool whole = in.ok() && in.remaining() == 0 && list.ok() && list.remaining() == 0;
  if (!whole || type != kHostName || name.empty()) return {State::foreign, {}};
  return {State::named, std::string(name.begin(), name.end())};
}

ServerName read_hello(Bytes hello) {
  constexpr std::size_t kVersionAndRandom = 2 + 32;
  Reader in(hello);
  in.skip(kVersionAndRandom);
  in.skip(in.u8());   // session id
  in.skip(in.u16());  // cipher suites
  in.skip(in.u8());   // compression methods
  if (!in.ok()) return {State::foreign, {}};
  if (in.remaining() == 0) return {State::unnamed, {}};
  Reader extensions(in.bytes(in.u16()));
  if (!in.ok() || in.remaining() != 0) return {State::foreign, {}};
  ServerName found{State::unnamed, {}};
  while (extensions.remaining() > 0) {
    const std::uint16_t type = extensions.u16();
    const Bytes body = extensions.bytes(extensions.u16());
    if (!extensions.ok()) return {State::foreign, {}};
    if (type != kServerNameExtension) continue;
    if (found.state != State::unnamed) return {State::foreign, {}};  // twice
    found = read_server_name(body);
  }
  return found;
}

// --- HTTP

constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
// What a header's name has (RFC 9110 section 5.6.2).
constexpr bool is_token(char c) {
  return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// "host:port" without its port. Absent: behind the host is something else (RFC 3986 section 3.2).
std::optional<std::string_view> without_port(std::string_view authority) {
  std::size_t end = authority.find(':');
  if (authority.starts_with('[')) {
    end = authority.find(']');
    if (end++ == std::string_view::npos) return std::nullopt;
  }
  const std::string_view host = authority.substr(0, end);
  const std::string_view port = authority.substr(host.size());
  const bool plain = port.empty() || (port[0] == ':' && std::ranges::all_of(port.substr(1), is_digit));
  return plain ? std::optional(host) : std::nullopt;
}

// METHOD SP TARGET SP HTTP/1.x; the target's authority where it has one, which counts instead of Host (RFC
// 9112 section 3.2.2). Absent: it is no such line.
std::optional<std::string_view> authority_of_request(std::string_view line) {
  const std::size_t method = line.find(' ');
  const std::size_t version = line.rfind(" HTTP/1.");
  if (method == 0 || method == std::string_view::npos || version == std::string_view::npos ||
      version <= method) {
    return std::nullopt;
  }
  constexpr auto kVisible = [](char c) { return static_cast<unsigned char>(c) > ' ' && c != '\x7f'; };
  // Behind the version there is one digit, and nothing: not a CR that some server takes for the line's end.
  const std::string_view minor = line.substr(version + std::string_view(" HTTP/1.").size());
  if (minor.size() != 1 || minor[0] < '0' || minor[0] > '9') return std::nullopt;
  std::string_view target = line.substr(method + 1, version - method - 1);
  if (target.empty() || !std::ranges::all_of(line.substr(0, method), kVisible) ||
      !std::ranges::all_of(target, kVisible)) {
    return std::nullopt;
  }
  if (line.substr(0, method) == "CONNECT") return target;
  if (target.front() == '/' || target == "*") return std::string_view{};
  const std::size_t scheme = target.find("://");
  if (scheme == std::string_view::npos) return std::nullopt;
  target.remove_prefix(scheme + 3);
  // Servers differ in where they see the end of a user's name, which has no business there (RFC 9110 section
  // 4.2.4).
  target = target.substr(0, target.find_first_of("/?#"));
  return target.find_first_of("@\\") == std::string_view::npos ? std::optional(target) : std::nullopt;
}

ServerName from_authority(std::string_view authority) {
  const auto host = without_port(authority);
  if (!host) return {State::foreign, {}};
  if (host->empty() || host->starts_with('[') || Address::parse(*host)) return {State::unnamed, {}};
  return {State::named, std::string(*host)};
}

// A line without its end, which is LF as well as CR LF for many servers. Absent: it has not come yet.
std::optional<std::string_view> take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

ServerName hello_server_name(Bytes handshake, std::size_t& size) {
  constexpr std::size_t kHeader = 4;
  Reader in(handshake);
  const std::uint8_t type = in.u8();
  if (in.ok() && type != kClientHello) return {State::foreign, {}};
  const std::uint32_t length = (std::uint32_t{in.u8()} << 16) | in.u16();
  if (in.ok() && length > kMaxServerNameBytes) return {State::foreign, {}};
  if (!in.ok() || in.remaining() < length) return {State::more, {}};
  size = kHeader + length;
  return read_hello(in.bytes(length));
}

ServerName tls_server_name(Bytes stream, std::size_t* end) {
  std::vector<std::uint8_t> handshake;
  Bytes rest = take(stream, kMaxServerNameBytes);
  while (!rest.empty()) {
    if (rest[0] != kTlsHandshake || (rest.size() > 1 && rest[1] != kTlsMajor)) return {State::foreign, {}};
    if (rest.size() < kRecordHeader) break;
    const std::size_t length = load_be16(&rest[3]);
    if (length == 0 || length > kMaxRecord) return {State::foreign, {}};
    const Bytes body = take(drop(rest, kRecordHeader), length);
    handshake.insert(handshake.end(), body.begin(), body.end());
    rest = drop(rest, kRecordHeader + length);
    std::size_t size = 0;
    ServerName found = hello_server_name(handshake, size);
    if (found.state == State::more) continue;
    // Nothing may follow in the hello's own record; other records may, with early data.
    if (handshake.size() > size || body.size() < length) return {State::foreign, {}};
    if (end != nullptr) *end = std::min(stream.size(), kMaxServerNameBytes) - rest.size();
    return found;
  }
  return {stream.size() >= kMaxServerNameBytes ? State::foreign : State::more, {}};
}

TlsAnswer tls_answer(Bytes stream) {
  std::array<std::uint8_t, kAnswerSize> handshake{};
  Writer out(handshake);
  while (!stream.empty() && out.remaining() > 0) {
    if (stream[0] != kTlsHandshake) return TlsAnswer::other;
    if (stream.size() < kRecordHeader) return TlsAnswer::more;
    const std::size_t length = load_be16(&stream[3]);
    if (length == 0) return TlsAnswer::other;
    out.bytes(take(take(drop(stream, kRecordHeader), length), out.remaining()));
    if (out.offset() > 0 && handshake[0] != kServerHello) return TlsAnswer::other;
    stream = drop(stream, kRecordHeader + length);
  }
  if (out.remaining() > 0) return TlsAnswer::more;
  const bool retry = std::ranges::equal(Bytes(handshake).last(kRetryRandom.size()), kRetryRandom);
  return retry ? TlsAnswer::hello_again : TlsAnswer::other;
}

std::size_t tls_records_before_handshake(Bytes stream) {
  std::size_t at = 0;
  while (stream.size() - at >= kRecordHeader && stream[at] != kTlsHandshake) {
    const std::size_t size = kRecordHeader + load_be16(&stream[at + 3]);
    if (size > stream.size() - at) break;
    at += size;
  }
  return at;
}

ServerName http_host(Bytes stream) {
  ServerName more{stream.size() >= kMaxServerNameBytes ? State::foreign : State::more, {}};
  const Bytes bounded = take(stream, kMaxServerNameBytes);
  std::string_view text(reinterpret_cast<const char*>(bounded.data()), bounded.size());
  // Other protocols need not have lines at all.
  if (std::ranges::any_of(text.substr(0, text.find('\n')), [](char c) {
        return static_cast<unsigned char>(c) < ' ' && c != '\r' && c != '\t';
      })) {
    return {State::foreign, {}};
  }
  auto line = take_line(text);
  while (line && line->empty()) line = take_line(text);  // RFC 9112 section 2.2
  if (!line) return more;
  const auto authority = authority_of_request(*line);
  if (!authority) return {State::foreign, {}};
  std::optional<std::string_view> host;
  for (line = take_line(text); line && !line->empty(); line = take_line(text)) {
    const std::size_t colon = line->find(':');
    // Folded lines and names with a space or worse: some servers take them, others do not.
    const bool plain = colon != std::string_view::npos && colon > 0 &&
                       std::ranges::all_of(line->substr(0, colon), is_token) &&
                       line->find('\0') == std::string_view::npos &&
                       line->find('\r') == std::string_view::npos;
    if (!plain) return {State::foreign, {}};
    if (!equals_ignoring_case(line->substr(0, colon), "host")) continue;
    if (host) return {State::foreign, {}};  // twice
    host = trimmed(line->substr(colon + 1));
  }
  if (!line) return more;
  ServerName named = from_authority(host.value_or(std::string_view{}));
  if (authority->empty()) return named;
  ServerName asked = from_authority(*authority);
  // Which of two counts is for the server to say.
  if (host && (named.state != asked.state || !equals_ignoring_case(named.name, asked.name))) {
    return {State::foreign, {}};
  }
  return asked;
}

}  // namespace sf::wire
