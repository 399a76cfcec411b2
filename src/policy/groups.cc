// The addresses of the groups.
#include <algorithm>
#include <array>

#include "policy/rule.hh"

namespace sf::policy {
namespace {

constexpr Address v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
  return Address::v4(a, b, c, d);
}

const Prefix kAll4{v4(0, 0, 0, 0), 0};
const Prefix kGlobalUnicast6{Address::v6({0x20}), 3};  // RFC 4291: all that is assigned so far lies in it

std::vector<Prefix> private_networks() {
  // RFC 1918, RFC 6598 (shared by a provider's customers), RFC 4193.
  return {{v4(10, 0, 0, 0), 8},
          {v4(172, 16, 0, 0), 12},
          {v4(192, 168, 0, 0), 16},
          {v4(100, 64, 0, 0), 10},
          {Address::v6({0xfc}), 7}};
}

std::vector<Prefix> metadata_services() {
  // Where clouds tell a machine who it is, and hand out its credentials: most of them; Alibaba; Azure's wire
  // server; Amazon and Google over IPv6.
  return {{v4(169, 254, 169, 254), 32},
          {v4(169, 254, 170, 2), 32},
          {v4(100, 100, 100, 200), 32},
          {v4(168, 63, 129, 16), 32},
          {Address::v6({0xfd, 0, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54}), 128},
          {Address::v6({0xfd, 0x20, 0, 0xce, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54}), 128}};
}

// Of one half of `prefix`, the base.
Address half_base(const Prefix& prefix, bool upper) {
  if (!upper) return prefix.base;
  const std::size_t bit = prefix.length + (prefix.base.is_v4() ? 96U : 0U);
  std::array<std::uint8_t, Address::kSize> bytes = prefix.base.bytes();
  bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] | (0x80U >> (bit % 8)));
  return Address::v6(bytes);
}

bool is_within(const Prefix& inner, const Prefix& outer) {
  return inner.base.is_v4() == outer.base.is_v4() && inner.length >= outer.length &&
         outer.contains(inner.base);
}

// What of `prefix` lies in none of `holes`.
void subtract(const Prefix& prefix, const std::vector<Prefix>& holes, std::vector<Prefix>& out) {
  if (std::ranges::any_of(holes, [&](const Prefix& hole) { return is_within(prefix, hole); })) return;
  if (std::ranges::none_of(holes, [&](const Prefix& hole) { return is_within(hole, prefix); })) {
    out.push_back(prefix);
    return;
  }
  const auto length = static_cast<std::uint8_t>(prefix.length + 1);
  subtract({half_base(prefix, false), length}, holes, out);
  subtract({half_base(prefix, true), length}, holes, out);
}

std::vector<Prefix> internet() {
  std::vector<Prefix> holes = private_networks();
  for (const Group group : {Group::loopback, Group::link_local, Group::metadata}) {
    const auto prefixes = prefixes_of(group);
    holes.insert(holes.end(), prefixes.begin(), prefixes.end());
  }
  // This network, protocol assignments (among them NAT64's discovery), multicast, reserved; and 6to4, which
  // would carry IPv4 addresses of any kind. NAT64's prefix is outside of 2000::/3.
  holes.push_back({v4(0, 0, 0, 0), 8});
  holes.push_back({v4(192, 0, 0, 0), 24});
  holes.push_back({v4(224, 0, 0, 0), 4});
  holes.push_back({v4(240, 0, 0, 0), 4});
  holes.push_back({Address::v6({0x20, 0x02}), 16});
  std::vector<Prefix> out;
  subtract(kAll4, holes, out);
  subtract(kGlobalUnicast6, holes, out);
  return out;
}

}  // namespace

std::vector<Prefix> prefixes_of(Group group) {
  switch (group) {
    case Group::private_:
      return private_networks();
    case Group::loopback:
      return {{v4(127, 0, 0, 0), 8}, {Address::v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}), 128}};
    case Group::link_local:
      return {{v4(169, 254, 0, 0), 16}, {Address::v6({0xfe, 0x80}), 10}};
    case Group::metadata:
      return metadata_services();
    case Group::internet:
      return internet();
  }
  return {};
}

}  // namespace sf::policy
