#include "wire/dns.hh"

#include <algorithm>
#include <utility>

namespace sf::wire {
namespace {

constexpr std::uint16_t kResponseBit = 0x8000;
constexpr std::uint16_t kAuthoritativeBit = 0x0400;
constexpr std::uint16_t kTruncatedBit = 0x0200;
constexpr std::uint16_t kRecursionDesiredBit = 0x0100;
constexpr std::uint16_t kRecursionAvailableBit = 0x0080;
constexpr std::uint16_t kAuthenticDataBit = 0x0020;
constexpr std::uint16_t kCheckingDisabledBit = 0x0010;

constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// The header of a reply to `query` without any record.
DnsHeader reply_to(const DnsHeader& query) {
  DnsHeader reply;
  reply.id = query.id;
  reply.response = true;
  reply.opcode = query.opcode;
  reply.recursion_desired = query.recursion_desired;
  reply.recursion_available = true;
  reply.checking_disabled = query.checking_disabled;
  return reply;
}

}  // namespace

bool same_dns_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

std::optional<DnsHeader> DnsHeader::parse(Bytes message) {
  Reader in(message);
  DnsHeader header;
  header.id = in.u16();
  const std::uint16_t flags = in.u16();
  header.response = (flags & kResponseBit) != 0;
  header.opcode = static_cast<std::uint8_t>((flags >> 11) & 0xf);
  header.authoritative = (flags & kAuthoritativeBit) != 0;
  header.truncated = (flags & kTruncatedBit) != 0;
  header.recursion_desired = (flags & kRecursionDesiredBit) != 0;
  header.recursion_available = (flags & kRecursionAvailableBit) != 0;
  header.authentic_data = (flags & kAuthenticDataBit) != 0;
  header.checking_disabled = (flags & kCheckingDisabledBit) != 0;
  header.rcode = static_cast<DnsRcode>(flags & 0xf);
  header.questions = in.u16();
  header.answers = in.u16();
  header.authorities = in.u16();
  header.additionals = in.u16();
  if (!in.ok()) return std::nullopt;
  return header;
}

void DnsHeader::emit(Writer& out) const {
  const unsigned flags =
      (response ? kResponseBit : 0U) | ((opcode & 0xfU) << 11) | (authoritative ? kAuthoritativeBit : 0U) |
      (truncated ? kTruncatedBit : 0U) | (recursion_desired ? kRecursionDesiredBit : 0U) |
      (recursion_available ? kRecursionAvailableBit : 0U) | (authentic_data ? kAuthenticDataBit : 0U) |
      (checking_disabled ? kCheckingDisabledBit : 0U) | (static_cast<unsigned>(rcode) & 0xfU);
  out.u16(id);
  out.u16(static_cast<std::uint16_t>(flags));
  out.u16(questions);
  out.u16(answers);
  out.u16(authorities);
  out.u16(additionals);
}

void DnsQuestion::emit(Writer& out) const {
  write_dns_name(out, name);
  out.u16(type);
  out.u16(dns_class);
}

bool DnsQuestion::matches(const DnsQuestion& other) const {
  return type == other.type && dns_class == other.dns_class && same_dns_name(name, other.name);
}

std::optional<DnsMessage> DnsMessage::parse(Bytes message) {
  const auto header = DnsHeader::parse(message);
  if (!header || header->questions != 1) return std::nullopt;
  std::size_t at = kDnsHeaderSize;
  auto name = read_dns_name(message, at, kDnsHeaderSize);
  if (!name) return std::nullopt;
  Reader in(drop(message, at));
  DnsMessage out;
  out.header = *header;
  out.question.name = std::move(*name);
  out.question.type = in.u16();
  out.question.dns_class = in.u16();
  if (!in.ok()) return std::nullopt;
  out.question_end = at + in.offset();
  return out;
}

std::uint16_t dns_id(Bytes message) {
  return Reader(message).u16();
}

void set_dns_id(MutBytes message, std::uint16_t id) {
  Writer(message).u16(id);
}

void emit_dns_error(Writer& out, Bytes query, DnsRcode code) {
  const auto header = DnsHeader::parse(query);
  if (!header) return out.fail();
  DnsHeader reply = reply_to(*header);
  reply.rcode = code;
  const auto parsed = DnsMessage::parse(query);
  reply.questions = parsed ? 1 : 0;
  reply.emit(out);
  if (parsed) out.bytes(query.subspan(kDnsHeaderSize, parsed->question_end - kDnsHeaderSize));
}

void emit_dns_truncated(Writer& out, Bytes message) {
  const auto parsed = DnsMessage::parse(message);
  if (!parsed) return out.fail();
  DnsHeader reply = reply_to(parsed->header);
  reply.truncated = true;
  reply.questions = 1;
  if (parsed->header.response) reply.rcode = parsed->header.rcode;
  reply.emit(out);
  out.bytes(message.subspan(kDnsHeaderSize, parsed->question_end - kDnsHeaderSize));
}

}  // namespace sf::wire
