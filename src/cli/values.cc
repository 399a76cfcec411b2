#include "cli/values.hh"

#include <algorithm>
#include <charconv>

namespace sf::cli {
namespace {

// How many file descriptors there can be to name: far above any limit that is in use.
constexpr std::uint32_t kMaxDescriptor = 1U << 30;

struct RawPrefix {
  Address address;
  std::uint8_t length = 0;
};

Address masked(const Address& address, std::size_t length_in_128) {
  std::array<std::uint8_t, Address::kSize> bytes = address.bytes();
  for (std::size_t bit = length_in_128; bit < 128; ++bit) {
    bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] & ~(0x80U >> (bit % 8)));
  }
  return Address::v6(bytes);
}

// Splits "ADDRESS/LENGTH" and refuses host bits with the network that was probably meant.
Result<Prefix> parse_network(std::string_view option, std::string_view text, bool v4,
                             std::string_view example) {
  const std::size_t slash = text.find('/');
  const auto address = Address::parse(text.substr(0, slash));
  if (slash == std::string_view::npos || !address || address->is_v4() != v4) {
    return fail("{} '{}': is not an IPv{} network; give one as ADDRESS/LENGTH, such as {}", option, text,
                v4 ? 4 : 6, example);
  }
  auto length = parse_number(option, text.substr(slash + 1), 0, v4 ? 32 : 128);
  if (!length) return tl::unexpected(length.error());
  const Prefix prefix{masked(*address, *length + (v4 ? 96U : 0U)), static_cast<std::uint8_t>(*length)};
  if (prefix.base != *address) {
    return fail("{} '{}': has bits set behind the prefix; the network's address is {}", option, text,
                prefix.to_string());
  }
  return prefix;
}

}  // namespace

Result<std::uint32_t> parse_number(std::string_view option, std::string_view text, std::uint32_t least,
                                   std::uint32_t most) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size() || value < least ||
      value > most) {
    return fail("{} '{}': must be a number from {} to {}", option, text, least, most);
  }
  return value;
}

Result<std::string> any_text(std::string_view option, std::string_view text) {
  if (text.empty()) return fail("{}: needs a value that is not empty", option);
  return std::string(text);
}

Result<int> parse_descriptor(std::string_view option, std::string_view text) {
  auto number = parse_number(option, text, 0, kMaxDescriptor);
  if (!number) return tl::unexpected(number.error());
  return static_cast<int>(*number);
}

Result<Prefix> parse_cidr(std::string_view option, std::string_view text) {
  auto prefix = parse_network(option, text, true, "10.0.2.0/24");
  if (!prefix) return prefix;
  if (prefix->length > 29 || prefix->length < 1) {
    return fail("{} '{}': the prefix must be from /1 to /29, to have room for gateway, DNS and guest", option,
                text);
  }
  const Address& base = prefix->base;
  if (base.is_loopback() || base.is_multicast() || base.to_v4() >> 24 == 0 || base.to_v4() >> 28 == 0xf ||
      prefix->contains(Address::v4(127, 0, 0, 1))) {
    return fail("{} '{}': is not a network that hosts can be in; a private one such as 10.0.2.0/24 is",
                option, text);
  }
  return prefix;
}

Result<Prefix> parse_cidr6(std::string_view option, std::string_view text) {
  auto prefix = parse_network(option, text, false, "fd00::/64");
  if (!prefix) return prefix;
  if (prefix->length != 64) {
    return fail("{} '{}': must be a /64, which address autoconfiguration needs (RFC 4862)", option, text);
  }
  const Address& base = prefix->base;
  if (base.is_multicast() || base.is_link_local() || load_be64(base.bytes().data()) == 0) {
    return fail("{} '{}': is not a network that hosts can be in; a private one such as fd00::/64 is", option,
                text);
  }
  return prefix;
}

Result<MacAddress> parse_mac(std::string_view option, std::string_view text) {
  const auto mac = MacAddress::parse(text);
  if (!mac)
    return fail("{} '{}': is not a MAC address; give six bytes, such as 52:54:00:12:34:56", option, text);
  if (mac->is_multicast() || *mac == MacAddress{}) {
    return fail("{} '{}': is not a unicast address; make the first byte even and not all bytes zero", option,
                text);
  }
  return *mac;
}

Result<std::string> parse_interface(std::string_view option, std::string_view text) {
  constexpr std::size_t kMaxName = 15;  // IFNAMSIZ less its zero byte
  const bool bad_byte = std::any_of(text.begin(), text.end(), [](char c) {
    return c == '/' || c == ':' || c == '%' || static_cast<unsigned char>(c) <= ' ' || c == '\x7f';
  });
  if (text.empty() || text.size() > kMaxName || bad_byte || text == "." || text == "..") {
    return fail("{} '{}': is not an interface name; use 1 to {} letters, digits, '-', '_' or '.'", option,
                text, kMaxName);
  }
  return std::string(text);
}

Result<Address> parse_address(std::string_view option, std::string_view text, Family family) {
  const auto address = Address::parse(text);
  const bool wrong_family =
      address && ((family == Family::v4 && address->is_v6()) || (family == Family::v6 && address->is_v4()));
  if (!address || wrong_family) {
    const std::string_view kind = family == Family::v4 ? "IPv4" : family == Family::v6 ? "IPv6" : "IP";
    return fail("{} '{}': is not an {} address; give it without prefix, port or zone", option, text, kind);
  }
  if (address->is_unspecified() || address->is_multicast() || address->is_broadcast()) {
    return fail("{} '{}': is not the address of a single host", option, text);
  }
  return *address;
}

}  // namespace sf::cli
