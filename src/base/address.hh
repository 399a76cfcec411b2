// Addresses of both IP versions as one type, so that nothing above wire/ is written twice.
//
// An IPv4 address is held in its v4-mapped form (RFC 4291 section 2.5.5.2, ::ffff:a.b.c.d). An IPv6 one of a
// link may say which of the host's interfaces it is behind, in bits that are zero in such an address
// (section 2.5.6).
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hh"

namespace sf::base {

class Address {
 public:
  static constexpr std::size_t kSize = 16;

  // The unspecified IPv6 address, "::".
  constexpr Address() = default;

  [[nodiscard]] static constexpr Address v4(std::uint32_t host_order) {
    Address a;
    a.bytes_[10] = a.bytes_[11] = 0xff;
    store_be32(&a.bytes_[12], host_order);
    return a;
  }
  [[nodiscard]] static constexpr Address v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    return v4((std::uint32_t{a} << 24) | (std::uint32_t{b} << 16) | (std::uint32_t{c} << 8) | d);
  }
  [[nodiscard]] static constexpr Address v6(const std::array<std::uint8_t, kSize>& bytes) {
    Address a;
    a.bytes_ = bytes;
    return a;
  }
  // Dotted quads and RFC 4291 text; no zone, no brackets, no prefix.
  [[nodiscard]] static std::optional<Address> parse(std::string_view text);

  [[nodiscard]] constexpr bool is_v4() const {
    return load_be64(bytes_.data()) == 0 && load_be32(&bytes_[8]) == 0x0000ffffU;
  }
  [[nodiscard]] constexpr bool is_v6() const { return !is_v4(); }
  // The IPv4 address in host order. Only for is_v4().
  [[nodiscard]] constexpr std::uint32_t to_v4() const { return load_be32(&bytes_[12]); }
  // All 16 bytes, v4-mapped for IPv4.
  [[nodiscard]] constexpr const std::array<std::uint8_t, kSize>& bytes() const { return bytes_; }
  // The bytes as they stand on the wire: 4 or 16.
  [[nodiscard]] constexpr Bytes wire_bytes() const {
    return is_v4() ? Bytes{bytes_}.subspan(12) : Bytes{bytes_};
  }

  [[nodiscard]] constexpr bool is_unspecified() const {
    return is_v4() ? to_v4() == 0 : bytes_ == std::array<std::uint8_t, kSize>{};
  }
  [[nodiscard]] constexpr bool is_loopback() const {
    if (is_v4()) return (to_v4() >> 24) == 127;
    return load_be64(bytes_.data()) == 0 && load_be64(&bytes_[8]) == 1;
  }
  [[nodiscard]] constexpr bool is_multicast() const {
    return is_v4() ? (to_v4() >> 28) == 0xe : bytes_[0] == 0xff;
  }
  [[nodiscard]] constexpr bool is_broadcast() const { return is_v4() && to_v4() == 0xffffffffU; }
  // 169.254.0.0/16 and fe80::/10.
  [[nodiscard]] constexpr bool is_link_local() const {
    if (is_v4()) return (to_v4() >> 16) == 0xa9fe;
    return bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
  }

  // Of an IPv6 link-local address of the host's world: the index of the interface; 0: none was told.
  [[nodiscard]] constexpr std::uint32_t scope() const {
    return is_v6() && is_link_local() ? load_be32(&bytes_[4]) : 0;
  }
  // Of such an address; any other one stays as it is.
  [[nodiscard]] constexpr Address with_scope(std::uint32_t scope) const {
    Address a = *this;
    if (is_v6() && is_link_local()) store_be32(&a.bytes_[4], scope);
    return a;
  }

  // The address `offset` further on; wraps within the last 32 bits.
  [[nodiscard]] constexpr Address plus(std::uint32_t offset) const {
    Address a = *this;
    store_be32(&a.bytes_[12], load_be32(&bytes_[12]) + offset);
    return a;
  }

  // Without its scope.
  [[nodiscard]] std::string to_string() const;

  constexpr auto operator<=>(const Address&) const = default;

 private:
  std::array<std::uint8_t, kSize> bytes_{};
};

// The ports of one flow's end. ICMP echo keeps its identifier in `port`.
struct Endpoint {
  Address address;
  std::uint16_t port = 0;

  // "192.0.2.1:80" or "[2001:db8::1]:80".
  [[nodiscard]] std::string to_string() const;
  constexpr auto operator<=>(const Endpoint&) const = default;
};

// A network: `base` with all host bits zero. `length` counts in the family's own bits (0-32 or 0-128).
struct Prefix {
  Address base;
  std::uint8_t length = 0;

  // "10.0.2.0/24"; an address with host bits set is refused.
  [[nodiscard]] static std::optional<Prefix> parse(std::string_view text);
  [[nodiscard]] bool contains(const Address& address) const;
  // The mask of an IPv4 prefix, in host order.
  [[nodiscard]] std::uint32_t v4_mask() const;
  // The highest address of an IPv4 prefix: its directed broadcast.
  [[nodiscard]] Address v4_broadcast() const;
  [[nodiscard]] std::string to_string() const;
  constexpr auto operator<=>(const Prefix&) const = default;
};

struct MacAddress {
  std::array<std::uint8_t, 6> bytes{};

  // "52:55:0a:00:02:02"
  [[nodiscard]] static std::optional<MacAddress> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] constexpr bool is_multicast() const { return (bytes[0] & 1) != 0; }
  constexpr auto operator<=>(const MacAddress&) const = default;
};

inline constexpr MacAddress kBroadcastMac{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

// The link-local address that a MAC makes (RFC 4291 appendix A, modified EUI-64).
[[nodiscard]] Address link_local_from(const MacAddress& mac);

}  // namespace sf::base
