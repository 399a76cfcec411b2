#include "wire/ndp.hh"

#include <algorithm>
#include <limits>
#include <utility>

#include "wire/checksum.hh"
#include "wire/dns.hh"
#include "wire/icmp.hh"
#include "wire/ip.hh"
#include "wire/tcp.hh"

namespace sf::wire {
namespace {

enum OptionType : std::uint8_t {
  kSourceLink = 1,
  kTargetLink = 2,
  kPrefix = 3,
  kMtu = 5,
  kRdnss = 25,
  kDnssl = 31,
};

// RFC 4861 section 4.6: an option's length counts units of eight bytes, its first two bytes included.
constexpr std::size_t kUnit = 8;

Address read_address(Reader& in) {
  return Address::v6(in.array<Address::kSize>());
}

std::chrono::seconds read_lifetime(Reader& in) {
  return std::chrono::seconds{in.u32()};
}

// A duration as an unsigned number of 32 bits or fewer; what is too long becomes the greatest, "for ever".
template <typename Number, typename Duration>
Number clamped(Duration duration) {
  constexpr auto kMax = typename Duration::rep{std::numeric_limits<Number>::max()};
  return static_cast<Number>(std::clamp(duration.count(), typename Duration::rep{0}, kMax));
}

void write_lifetime(Writer& out, std::chrono::seconds lifetime) {
  out.u32(clamped<std::uint32_t>(lifetime));
}

void write_address(Writer& out, const Address& address) {
  out.bytes(address.bytes());
}

// Opens a message whose type and code are known and yields its options to `option`; false where any rule of
// RFC 4861 sections 6.1 or 7.1 is broken. `option` returns false to reject the message.
template <typename OnOption>
bool read_options(Reader& in, OnOption option) {
  while (in.ok() && in.remaining() > 0) {
    const std::uint8_t type = in.u8();
    const std::size_t units = in.u8();
    if (!in.ok() || units == 0) return false;
    const Bytes body = in.bytes(units * kUnit - 2);
    if (!in.ok() || !option(type, body)) return false;
  }
  return in.ok();
}

bool begins_as(Reader& in, std::uint8_t type) {
  const bool matches = in.u8() == type && in.u8() == 0;
  in.skip(2);  // checksum
  return matches && in.ok();
}

std::optional<MacAddress> link_address(Bytes body) {
  if (body.size() != 6) return std::nullopt;
  return MacAddress{Reader(body).array<6>()};
}

void write_link_address(Writer& out, OptionType type, const std::optional<MacAddress>& mac) {
  if (!mac) return;
  out.u8(type);
  out.u8(1);
  out.bytes(mac->bytes);
}

bool read_link_address(Bytes body, std::optional<MacAddress>& mac) {
  mac = link_address(body);
  return mac.has_value();
}

void finish(Writer& out, std::size_t start, const Address& source, const Address& destination) {
  if (!out.ok()) return;
  const Bytes message = out.written().subspan(start);
  const std::uint64_t pseudo =
      pseudo_header_sum(source, destination, static_cast<std::uint8_t>(IpProtocol::icmpv6),
                        static_cast<std::uint32_t>(message.size()));
  out.patch_u16(start + kIcmpChecksumOffset, checksum_finish(checksum_add(pseudo, message)));
}

void begin(Writer& out, std::uint8_t type) {
  out.u8(type);
  out.u8(0);
  out.u16(0);
}

// RFC 4861 section 4.6.2: bits past the prefix length are to be ignored.
Address without_host_bits(std::array<std::uint8_t, Address::kSize> bytes, unsigned length) {
  for (unsigned bit = length; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] & ~(0x80U >> (bit % 8)));
  }
  return Address::v6(bytes);
}

std::optional<PrefixInformation> read_prefix(Bytes body) {
  if (body.size() != 4 * kUnit - 2) return std::nullopt;
  Reader in(body);
  PrefixInformation prefix;
  prefix.prefix.length = in.u8();
  const std::uint8_t flags = in.u8();
  prefix.on_link = (flags & 0x80) != 0;
  prefix.autonomous = (flags & 0x40) != 0;
  prefix.valid = read_lifetime(in);
  prefix.preferred = read_lifetime(in);
  in.skip(4);
  if (prefix.prefix.length > 128) return std::nullopt;
  prefix.prefix.base = without_host_bits(in.array<Address::kSize>(), prefix.prefix.length);
  return prefix;
}

void write_prefix(Writer& out, const PrefixInformation& prefix) {
  out.u8(kPrefix);
  out.u8(4);
  out.u8(prefix.prefix.length);
  out.u8(static_cast<std::uint8_t>((prefix.on_link ? 0x80 : 0) | (prefix.autonomous ? 0x40 : 0)));
  write_lifetime(out, prefix.valid);
  write_lifetime(out, prefix.preferred);
  out.u32(0);
  write_address(out, prefix.prefix.base);
}

// RFC 8106 section 5.1.
std::optional<RecursiveDnsServers> read_dns_servers(Bytes body) {
  Reader in(body);
  in.skip(2);
  RecursiveDnsServers out;
  out.lifetime = read_lifetime(in);
  if (!in.ok() || in.remaining() == 0 || in.remaining() % Address::kSize != 0) return std::nullopt;
  while (in.remaining() > 0) out.servers.push_back(read_address(in));
  return out;
}

void write_dns_servers(Writer& out, const RecursiveDnsServers& option) {
  const std::size_t units = 1 + 2 * option.servers.size();
  if (option.servers.empty() || units > 0xff) return out.fail();
  out.u8(kRdnss);
  out.u8(static_cast<std::uint8_t>(units));
  out.u16(0);
  write_lifetime(out, option.lifetime);
  for (const Address& server : option.servers) write_address(out, server);
}

// RFC 8106 section 5.2: names one after another, zeros up to a multiple of eight bytes.
std::optional<DnsSearchList> read_search_list(Bytes body) {
  Reader in(body);
  in.skip(2);
  DnsSearchList out;
  out.lifetime = read_lifetime(in);
  if (!in.ok()) return std::nullopt;
  const Bytes names = in.rest();
  for (std::size_t at = 0; at < names.size() && names[at] != 0;) {
    // Never compressed: nothing lies before the first name that a pointer could lead to.
    auto name = read_dns_name(names, at, names.size());
    if (!name) return std::nullopt;
    out.domains.push_back(std::move(*name));
  }
  if (out.domains.empty()) return std::nullopt;  // RFC 8106 section 5.2: there is one at least
  return out;
}

void write_search_list(Writer& out, const DnsSearchList& option) {
  const std::size_t start = out.offset();
  out.u16(kDnssl << 8);  // the length is patched below
  out.u16(0);
  write_lifetime(out, option.lifetime);
  for (const std::string& domain : option.domains) write_dns_name(out, domain);
  const std::size_t length = out.offset() - start;
  out.zeros((kUnit - length % kUnit) % kUnit);
  const std::size_t units = (out.offset() - start) / kUnit;
  if (units > 0xff || option.domains.empty()) return out.fail();
  out.patch_u16(start, static_cast<std::uint16_t>((kDnssl << 8) | units));
}

bool read_advertisement_option(RouterAdvertisement& out, std::uint8_t type, Bytes body) {
  switch (type) {
    case kSourceLink:
      return read_link_address(body, out.source_link);
    case kMtu: {
      Reader in(body);
      in.skip(2);
      out.mtu = in.u32();
      return in.ok() && in.remaining() == 0;
    }
    case kPrefix: {
      const auto prefix = read_prefix(body);
      if (prefix) out.prefixes.push_back(*prefix);
      return prefix.has_value();
    }
    case kRdnss: {
      auto servers = read_dns_servers(body);
      if (servers) out.dns_servers.push_back(std::move(*servers));
      return servers.has_value();
    }
    case kDnssl: {
      auto list = read_search_list(body);
      if (list) out.dns_search.push_back(std::move(*list));
      return list.has_value();
    }
    default:
      return true;
  }
}

}  // namespace

std::optional<RouterSolicitation> RouterSolicitation::parse(Bytes message) {
  Reader in(message);
  if (!begins_as(in, ndp::kRouterSolicitation)) return std::nullopt;
  in.skip(4);
  RouterSolicitation out;
  const bool good = read_options(in, [&](std::uint8_t type, Bytes body) {
    return type != kSourceLink || read_link_address(body, out.source_link);
  });
  return good ? std::optional{out} : std::nullopt;
}

void RouterSolicitation::emit(Writer& out, const Address& source, const Address& destination) const {
  const std::size_t start = out.offset();
  begin(out, ndp::kRouterSolicitation);
  out.u32(0);
  write_link_address(out, kSourceLink, source_link);
  finish(out, start, source, destination);
}

std::optional<RouterAdvertisement> RouterAdvertisement::parse(Bytes message) {
  Reader in(message);
  if (!begins_as(in, ndp::kRouterAdvertisement)) return std::nullopt;
  RouterAdvertisement out;
  out.hop_limit = in.u8();
  const std::uint8_t flags = in.u8();
  out.managed = (flags & 0x80) != 0;
  out.other_config = (flags & 0x40) != 0;
  out.router_lifetime = std::chrono::seconds{in.u16()};
  out.reachable_time = std::chrono::milliseconds{in.u32()};
  out.retransmit_timer = std::chrono::milliseconds{in.u32()};
  const bool good = read_options(
      in, [&](std::uint8_t type, Bytes body) { return read_advertisement_option(out, type, body); });
  return good ? std::optional{std::move(out)} : std::nullopt;
}

void RouterAdvertisement::emit(Writer& out, const Address& source, const Address& destination) const {
  const std::size_t start = out.offset();
  begin(out, ndp::kRouterAdvertisement);
  out.u8(hop_limit);
  out.u8(static_cast<std::uint8_t>((managed ? 0x80 : 0) | (other_config ? 0x40 : 0)));
  out.u16(clamped<std::uint16_t>(router_lifetime));
  out.u32(clamped<std::uint32_t>(reachable_time));
  out.u32(clamped<std::uint32_t>(retransmit_timer));
  write_link_address(out, kSourceLink, source_link);
  if (mtu) {
    out.u8(kMtu);
    out.u8(1);
    out.u16(0);
    out.u32(*mtu);
  }
  for (const PrefixInformation& prefix : prefixes) write_prefix(out, prefix);
  for (const RecursiveDnsServers& servers : dns_servers) write_dns_servers(out, servers);
  for (const DnsSearchList& list : dns_search) write_search_list(out, list);
  finish(out, start, source, destination);
}

std::optional<NeighborSolicitation> NeighborSolicitation::parse(Bytes message) {
  Reader in(message);
  if (!begins_as(in, ndp::kNeighborSolicitation)) return std::nullopt;
  in.skip(4);
  NeighborSolicitation out;
  out.target = read_address(in);
  const bool good = read_options(in, [&](std::uint8_t type, Bytes body) {
    return type != kSourceLink || read_link_address(body, out.source_link);
  });
  return good && out.target.is_v6() && !out.target.is_multicast() ? std::optional{out} : std::nullopt;
}

void NeighborSolicitation::emit(Writer& out, const Address& source, const Address& destination) const {
  const std::size_t start = out.offset();
  begin(out, ndp::kNeighborSolicitation);
  out.u32(0);
  write_address(out, target);
  write_link_address(out, kSourceLink, source_link);
  finish(out, start, source, destination);
}

std::optional<NeighborAdvertisement> NeighborAdvertisement::parse(Bytes message) {
  Reader in(message);
  if (!begins_as(in, ndp::kNeighborAdvertisement)) return std::nullopt;
  NeighborAdvertisement out;
  const std::uint32_t flags = in.u32();
  out.router = (flags & 0x80000000U) != 0;
  out.solicited = (flags & 0x40000000U) != 0;
  out.override_cache = (flags & 0x20000000U) != 0;
  out.target = read_address(in);
  const bool good = read_options(in, [&](std::uint8_t type, Bytes body) {
    return type != kTargetLink || read_link_address(body, out.target_link);
  });
  return good && out.target.is_v6() && !out.target.is_multicast() ? std::optional{out} : std::nullopt;
}

void NeighborAdvertisement::emit(Writer& out, const Address& source, const Address& destination) const {
  const std::size_t start = out.offset();
  begin(out, ndp::kNeighborAdvertisement);
  out.u32((router ? 0x80000000U : 0U) | (solicited ? 0x40000000U : 0U) | (override_cache ? 0x20000000U : 0U));
  write_address(out, target);
  write_link_address(out, kTargetLink, target_link);
  finish(out, start, source, destination);
}

Address solicited_node(const Address& address) {
  const auto& a = address.bytes();
  return Address::v6({0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a[13], a[14], a[15]});
}

MacAddress multicast_mac(const Address& group) {
  const auto& g = group.bytes();
  if (group.is_v4())
    return MacAddress{{0x01, 0x00, 0x5e, static_cast<std::uint8_t>(g[13] & 0x7f), g[14], g[15]}};
  return MacAddress{{0x33, 0x33, g[12], g[13], g[14], g[15]}};
}

}  // namespace sf::wire
