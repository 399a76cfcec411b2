// DNS messages (RFC 1035), as far as a forwarder must look into them: header, question, names.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hh"

namespace sf::wire {

inline constexpr std::size_t kDnsHeaderSize = 12;
inline constexpr std::size_t kMaxDnsName = 255;  // on the wire, with length bytes and the root
inline constexpr std::size_t kMaxDnsLabel = 63;
// What may be sent over UDP to a client that said nothing about its buffer (RFC 1035 section 4.2.1).
inline constexpr std::size_t kDnsPlainUdpSize = 512;

enum class DnsRcode : std::uint8_t {
  no_error = 0,
  format_error = 1,
  server_failure = 2,
  name_error = 3,
  not_implemented = 4,
  refused = 5,
};

struct DnsHeader {
  std::uint16_t id = 0;
  bool response = false;             // QR
  std::uint8_t opcode = 0;           // 0: query
  bool authoritative = false;        // AA
  bool truncated = false;            // TC
  bool recursion_desired = false;    // RD
  bool recursion_available = false;  // RA
  bool authentic_data = false;       // AD, RFC 4035
  bool checking_disabled = false;    // CD, RFC 4035
  DnsRcode rcode = DnsRcode::no_error;
  std::uint16_t questions = 0;
  std::uint16_t answers = 0;
  std::uint16_t authorities = 0;
  std::uint16_t additionals = 0;

  [[nodiscard]] static std::optional<DnsHeader> parse(Bytes message);
  void emit(Writer& out) const;
  constexpr bool operator==(const DnsHeader&) const = default;
};

// In text, as read_dns_name() has them.
[[nodiscard]] bool same_dns_name(std::string_view a, std::string_view b);

struct DnsQuestion {
  std::string name;  // "www.example.com", "." for the root; see read_dns_name for escapes
  std::uint16_t type = 0;
  std::uint16_t dns_class = 1;  // IN

  void emit(Writer& out) const;
  bool operator==(const DnsQuestion&) const = default;
  // The same but for upper and lower case, which resolvers may change (RFC 4343).
  [[nodiscard]] bool matches(const DnsQuestion& other) const;
};

// A query or an answer with exactly one question, as all of them have in practice (RFC 9619).
struct DnsMessage {
  DnsHeader header;
  DnsQuestion question;
  std::size_t question_end = 0;  // offset of what follows the question

  [[nodiscard]] static std::optional<DnsMessage> parse(Bytes message);
};

// The identification; the message has at least two bytes.
[[nodiscard]] std::uint16_t dns_id(Bytes message);
void set_dns_id(MutBytes message, std::uint16_t id);

// A reply to `query` that says only `code`. The question is echoed where it can be read. The writer fails
// where `query` is shorter than a header.
void emit_dns_error(Writer& out, Bytes query, DnsRcode code);
// A reply that has a client ask again over TCP: header and question of `message` (a query or an answer) with
// TC set and no records. The writer fails where `message` does not parse.
void emit_dns_truncated(Writer& out, Bytes message);

// Reads a name at `offset` of `bytes` and moves `offset` past it. Compression pointers (RFC 1035
// section 4.1.4) must lead strictly backwards from the labels that they end and not below `first`, so that
// none can loop; nothing where they do not, where the name is over 255 bytes, or where it does not end. Dots
// and backslashes within labels are escaped by a backslash, bytes outside of 0x21 to 0x7e as \DDD (RFC 1035
// section 5.1). No dot at the end, except for the root ".".
[[nodiscard]] std::optional<std::string> read_dns_name(Bytes bytes, std::size_t& offset, std::size_t first);
// Writes a name, never compressed; with or without a dot at its end. The writer fails where it is not a name.
void write_dns_name(Writer& out, std::string_view name);

}  // namespace sf::wire
