// Names of DNS: labels of the wire to text and back.
#include <fmt/format.h>

#include "wire/dns.hh"

namespace sf::wire {
namespace {

constexpr std::uint8_t kPointer = 0xc0;  // RFC 1035 section 4.1.4; 0x40 and 0x80 are reserved

void append_label(std::string& name, Bytes label) {
  if (!name.empty()) name += '.';
  for (const std::uint8_t c : label) {
    if (c == '.' || c == '\\') {
      name += '\\';
      name += static_cast<char>(c);
    } else if (c > 0x20 && c < 0x7f) {
      name += static_cast<char>(c);
    } else {
      name += fmt::format("\\{:03}", c);
    }
  }
}

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Takes one byte of a label off the front of `text`, which is not empty; nothing for a broken escape.
std::optional<std::uint8_t> take_byte(std::string_view& text) {
  // cppcheck-suppress containerOutOfBounds; what is asked for below is whether the rest is empty
  const char first = text[0];
  text.remove_prefix(1);
  if (first != '\\') return static_cast<std::uint8_t>(first);
  if (text.empty()) return std::nullopt;
  if (!is_digit(text[0])) {
    const char escaped = text[0];
    text.remove_prefix(1);
    return static_cast<std::uint8_t>(escaped);
  }
  if (text.size() < 3 || !is_digit(text[1]) || !is_digit(text[2])) return std::nullopt;
  const int value = (text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0');
  text.remove_prefix(3);
  if (value > 0xff) return std::nullopt;
  return static_cast<std::uint8_t>(value);
}

// Takes a label and the dot after it off the front of `text`. Nothing where it is empty or too long.
struct Label {
  std::array<std::uint8_t, kMaxDnsLabel> bytes{};
  std::size_t size = 0;
};
std::optional<Label> take_label(std::string_view& text) {
  Label label;
  while (!text.empty() && text[0] != '.') {
    const auto byte = take_byte(text);
    if (!byte || label.size == label.bytes.size()) return std::nullopt;
    label.bytes[label.size++] = *byte;
  }
  if (label.size == 0) return std::nullopt;
  if (!text.empty()) text.remove_prefix(1);
  return label;
}

}  // namespace

std::optional<std::string> read_dns_name(Bytes bytes, std::size_t& offset, std::size_t first) {
  std::string name;
  std::size_t wire_size = 1;  // the root
  std::size_t at = offset;
  std::size_t run = offset;  // where the labels now read began: a pointer must lead to before it
  bool jumped = false;
  while (at < bytes.size()) {
    const std::uint8_t length = bytes[at];
    if (length == 0) {
      if (!jumped) offset = at + 1;
      return name.empty() ? "." : name;
    }
    if ((length & kPointer) == kPointer) {
      if (at + 2 > bytes.size()) return std::nullopt;
      const std::size_t target = load_be16(&bytes[at]) & 0x3fffU;
      if (target < first || target >= run) return std::nullopt;
      if (!jumped) offset = at + 2;
      jumped = true;
      at = run = target;
      continue;
    }
    wire_size += length + std::size_t{1};
    if (length > kMaxDnsLabel || wire_size > kMaxDnsName || at + 1 + length > bytes.size())
      return std::nullopt;
    append_label(name, bytes.subspan(at + 1, length));
    at += length + std::size_t{1};
  }
  return std::nullopt;
}

void write_dns_name(Writer& out, std::string_view name) {
  const std::size_t start = out.offset();
  if (name.empty()) return out.fail();
  if (name == ".") name = {};
  while (!name.empty()) {
    const auto label = take_label(name);
    if (!label) return out.fail();
    out.u8(static_cast<std::uint8_t>(label->size));
    out.bytes(Bytes{label->bytes}.first(label->size));
  }
  out.u8(0);
  if (out.offset() - start > kMaxDnsName) out.fail();
}

}  // namespace sf::wire
