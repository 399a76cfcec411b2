// The values of single options: text to a typed value, or a line that says what would have been right. The
// option's name comes with the value, so that the line can begin with it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/address.hh"
#include "base/result.hh"

namespace sf::cli {

inline constexpr std::uint32_t kMaxMtu = 65520;
inline constexpr std::uint32_t kMaxThreads = 32;  // a queue of the TAP for each
inline constexpr std::uint32_t kMinMtu = 576;     // RFC 1122 section 3.3.2: what every IPv4 host takes in
inline constexpr std::uint32_t kMinMtu6 = 1280;   // RFC 8200 section 5

// All digits, from `least` to `most`.
[[nodiscard]] Result<std::uint32_t> parse_number(std::string_view option, std::string_view text,
                                                 std::uint32_t least, std::uint32_t most);
// Whatever is not empty.
[[nodiscard]] Result<std::string> any_text(std::string_view option, std::string_view text);
// The number of a file descriptor.
[[nodiscard]] Result<int> parse_descriptor(std::string_view option, std::string_view text);
// An IPv4 network of private or global unicast addresses, no longer than /29.
[[nodiscard]] Result<Prefix> parse_cidr(std::string_view option, std::string_view text);
// A /64 of unicast addresses, not link-local.
[[nodiscard]] Result<Prefix> parse_cidr6(std::string_view option, std::string_view text);
[[nodiscard]] Result<MacAddress> parse_mac(std::string_view option, std::string_view text);
// A name that Linux takes for an interface: 1 to 15 bytes, no '/', no ':', no space, not "." or "..".
[[nodiscard]] Result<std::string> parse_interface(std::string_view option, std::string_view text);

enum class Family : std::uint8_t { v4, v6, any };
// An address that one socket can have: not unspecified, not multicast.
[[nodiscard]] Result<Address> parse_address(std::string_view option, std::string_view text, Family family);

}  // namespace sf::cli
