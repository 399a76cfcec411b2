#include "base/address.hh"

#include <fmt/compile.h>
#include <fmt/format.h>

namespace sf::base {
namespace {

std::optional<unsigned> parse_number(std::string_view text, unsigned base, unsigned max_digits,
                                     unsigned max) {
  if (text.empty() || text.size() > max_digits) return std::nullopt;
  unsigned value = 0;
  for (const char c : text) {
    unsigned digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<unsigned>(c - '0');
    } else if (base == 16 && c >= 'a' && c <= 'f') {
      digit = static_cast<unsigned>(c - 'a') + 10;
    } else if (base == 16 && c >= 'A' && c <= 'F') {
      digit = static_cast<unsigned>(c - 'A') + 10;
    } else {
      return std::nullopt;
    }
    value = value * base + digit;
  }
  if (value > max) return std::nullopt;
  return value;
}

std::optional<std::uint32_t> parse_v4(std::string_view text) {
  std::uint32_t value = 0;
  for (int part = 0; part < 4; ++part) {
    const std::size_t dot = text.find('.');
    if ((part < 3) == (dot == std::string_view::npos)) return std::nullopt;
    const std::string_view digits = text.substr(0, dot);
    if (digits.size() > 1 && digits[0] == '0') return std::nullopt;  // would be octal elsewhere
    const auto octet = parse_number(digits, 10, 3, 255);
    if (!octet) return std::nullopt;
    value = (value << 8) | *octet;
    text = part < 3 ? text.substr(dot + 1) : std::string_view{};
  }
  return value;
}

// Fills groups from `text` ("a:b:c" or "a:b:1.2.3.4"); returns how many, or nothing if malformed.
std::optional<std::size_t> parse_groups(std::string_view text, std::array<std::uint16_t, 8>& groups) {
  std::size_t count = 0;
  while (!text.empty()) {
    const std::size_t colon = text.find(':');
    const std::string_view part = text.substr(0, colon);
    const bool last = colon == std::string_view::npos;
    if (last && part.find('.') != std::string_view::npos) {
      const auto quad = parse_v4(part);
      if (!quad || count > 6) return std::nullopt;
      groups[count++] = static_cast<std::uint16_t>(*quad >> 16);
      groups[count++] = static_cast<std::uint16_t>(*quad);
      return count;
    }
    const auto group = parse_number(part, 16, 4, 0xffff);
    if (!group || count >= 8) return std::nullopt;
    groups[count++] = static_cast<std::uint16_t>(*group);
    if (last) break;
    text = text.substr(colon + 1);
    if (text.empty()) return std::nullopt;  // a single colon at the end
  }
  return count;
}

std::optional<Address> parse_v6(std::string_view text) {
  std::array<std::uint16_t, 8> head{};
  std::array<std::uint16_t, 8> tail{};
  std::size_t head_count = 0;
  std::size_t tail_count = 0;
  const std::size_t gap = text.find("::");
  if (gap == std::string_view::npos) {
    const auto count = parse_groups(text, head);
    if (!count || *count != 8) return std::nullopt;
    head_count = 8;
  } else {
    const auto before = parse_groups(text.substr(0, gap), head);
    const auto after = parse_groups(text.substr(gap + 2), tail);
    if (!before || !after || *before + *after > 7) return std::nullopt;
    if (text.substr(0, gap).find('.') != std::string_view::npos) return std::nullopt;
    head_count = *before;
    tail_count = *after;
  }
  std::array<std::uint8_t, 16> bytes{};
  for (std::size_t i = 0; i < head_count; ++i) store_be16(&bytes[2 * i], head[i]);
  for (std::size_t i = 0; i < tail_count; ++i) store_be16(&bytes[2 * (8 - tail_count + i)], tail[i]);
  return Address::v6(bytes);
}

}  // namespace

std::optional<Address> Address::parse(std::string_view text) {
  if (text.find(':') != std::string_view::npos) return parse_v6(text);
  if (const auto quad = parse_v4(text)) return v4(*quad);
  return std::nullopt;
}

std::string Address::to_string() const {
  if (scope() != 0) return with_scope(0).to_string();
  if (is_v4()) return fmt::format(FMT_COMPILE("{}.{}.{}.{}"), bytes_[12], bytes_[13], bytes_[14], bytes_[15]);
  // RFC 5952: the longest run of two or more zero groups becomes "::", the first one on a tie.
  std::size_t best_at = 8;
  std::size_t best_length = 1;
  for (std::size_t at = 0; at < 8;) {
    std::size_t length = 0;
    while (at + length < 8 && load_be16(&bytes_[2 * (at + length)]) == 0) ++length;
    if (length > best_length) {
      best_at = at;
      best_length = length;
    }
    at += length + 1;
  }
  std::string out;
  for (std::size_t at = 0; at < 8; ++at) {
    if (at == best_at) {
      out += "::";
      at += best_length - 1;
      continue;
    }
    if (!out.empty() && out.back() != ':') out += ':';
    out += fmt::format("{:x}", load_be16(&bytes_[2 * at]));
  }
  return out;
}

std::string Endpoint::to_string() const {
  return address.is_v4() ? fmt::format("{}:{}", address.to_string(), port)
                         : fmt::format("[{}]:{}", address.to_string(), port);
}

std::optional<Prefix> Prefix::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto address = Address::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  const auto length = parse_number(text.substr(slash + 1), 10, 3, address->is_v4() ? 32 : 128);
  if (!length) return std::nullopt;
  const Prefix prefix{*address, static_cast<std::uint8_t>(*length)};
  const std::size_t family_bits = address->is_v4() ? 32 : 128;
  const Bytes bytes = address->wire_bytes();
  for (std::size_t bit = *length; bit < family_bits; ++bit) {
    if (((bytes[bit / 8] >> (7 - bit % 8)) & 1) != 0) return std::nullopt;
  }
  return prefix;
}

bool Prefix::contains(const Address& address) const {
  if (address.is_v4() != base.is_v4()) return false;
  const std::size_t bits = base.is_v4() ? std::size_t{96} + length : length;
  const std::size_t whole = bits / 8;
  if (!std::equal(base.bytes().begin(), base.bytes().begin() + static_cast<std::ptrdiff_t>(whole),
                  address.bytes().begin())) {
    return false;
  }
  const std::size_t rest = bits % 8;
  if (rest == 0) return true;
  const unsigned mask = (0xff00U >> rest) & 0xffU;
  return (base.bytes()[whole] & mask) == (address.bytes()[whole] & mask);
}

std::uint32_t Prefix::v4_mask() const {
  return length == 0 ? 0 : 0xffffffffU << (32 - length);
}

Address Prefix::v4_broadcast() const {
  return Address::v4(base.to_v4() | ~v4_mask());
}

std::string Prefix::to_string() const {
  return fmt::format("{}/{}", base.to_string(), length);
}

std::optional<MacAddress> MacAddress::parse(std::string_view text) {
  if (text.size() != 17) return std::nullopt;
  MacAddress mac;
  for (std::size_t i = 0; i < 6; ++i) {
    const auto octet = parse_number(text.substr(3 * i, 2), 16, 2, 0xff);
    if (!octet || (i < 5 && text[3 * i + 2] != ':')) return std::nullopt;
    mac.bytes[i] = static_cast<std::uint8_t>(*octet);
  }
  return mac;
}

std::string MacAddress::to_string() const {
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", bytes[0], bytes[1], bytes[2], bytes[3],
                     bytes[4], bytes[5]);
}

Address link_local_from(const MacAddress& mac) {
  const auto& m = mac.bytes;
  return Address::v6({0xfe, 0x80, 0, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(m[0] ^ 2), m[1], m[2], 0xff,
                      0xfe, m[3], m[4], m[5]});
}

}  // namespace sf::base
