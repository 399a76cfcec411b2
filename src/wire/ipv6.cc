#include "wire/ipv6.hh"

#include <utility>

namespace sf::wire {
namespace {

constexpr std::size_t kMaxPayloadLength = 65535;
constexpr std::size_t kMaxJumboLength = 0xffffffff;
constexpr std::uint8_t kJumboOption = 0xc2;  // RFC 2675 section 2

// RFC 8200 section 4.2: an option we do not know is skipped only where the two highest bits of its type are
// zero. Those that we know (Pad1, PadN, router alert) need nothing done.
bool options_acceptable(Bytes options) {
  Reader in(options);
  while (in.ok() && in.remaining() > 0) {
    const std::uint8_t type = in.u8();
    if (type == 0) continue;  // Pad1 has no length
    in.skip(in.u8());
    if ((type & 0xc0) != 0) return false;
  }
  return in.ok();
}

// The options and routing headers share their first two bytes: next header, and length in 8 bytes less the
// first 8.
std::optional<std::uint8_t> skip_header(Reader& in, std::uint8_t type) {
  const std::uint8_t next = in.u8();
  const std::size_t length = std::size_t{in.u8()} * 8 + 6;
  const Bytes body = in.bytes(length);
  if (!in.ok()) return std::nullopt;
  if (type == ipv6_next::kRouting) {
    // RFC 8200 section 4.4: with hops still to visit we would have to forward it, which a translator cannot.
    if (body[1] != 0) return std::nullopt;
  } else if (!options_acceptable(body)) {
    return std::nullopt;
  }
  return next;
}

// Nothing where the payload cannot be a fragment's (RFC 8200 section 4.5).
bool fragment_plausible(const Fragment& fragment, std::size_t length) {
  if (fragment.more && (length == 0 || length % 8 != 0)) return false;
  return fragment.offset + length <= kMaxPayloadLength;
}

bool is_v4_mapped(const Address& address) {
  return address.is_v4();
}

}  // namespace

tl::expected<Ipv6View, DropReason> Ipv6View::check(Bytes packet, Strictness strictness) {
  if (packet.size() < kIpv6HeaderSize) return tl::unexpected(DropReason::truncated);
  if (packet[0] >> 4 != 6) return tl::unexpected(DropReason::bad_version);
  const Ipv6View view(packet);
  const std::size_t total = kIpv6HeaderSize + view.payload_length();
  if (strictness == Strictness::whole && total > packet.size()) return tl::unexpected(DropReason::truncated);
  return Ipv6View(take(packet, total));
}

Address Ipv6View::address_at(std::size_t at) const {
  std::array<std::uint8_t, Address::kSize> bytes;
  std::copy_n(&bytes_[at], bytes.size(), bytes.begin());
  return Address::v6(bytes);
}

tl::expected<Ipv6UpperLayer, DropReason> walk_ipv6_extensions(std::uint8_t next_header, Bytes bytes,
                                                              bool first) {
  Reader in(bytes);
  std::uint8_t next = next_header;
  bool fragment_seen = false;
  for (int count = 0; count <= kMaxIpv6ExtensionHeaders; ++count, first = false) {
    switch (next) {
      case ipv6_next::kHopByHop:
        if (!first) return tl::unexpected(DropReason::bad_header);
        [[fallthrough]];
      case ipv6_next::kRouting:
      case ipv6_next::kDestination: {
        const auto following = skip_header(in, next);
        if (!following) return tl::unexpected(in.ok() ? DropReason::bad_header : DropReason::truncated);
        next = *following;
        break;
      }
      case ipv6_next::kFragment: {
        const std::uint8_t following = in.u8();
        in.skip(1);
        const std::uint16_t field = in.u16();
        const Fragment fragment{in.u32(), field & 0xfff8U, (field & 1) != 0};
        if (!in.ok()) return tl::unexpected(DropReason::truncated);
        if (std::exchange(fragment_seen, true)) return tl::unexpected(DropReason::bad_header);
        next = following;
        // RFC 6946: a fragment that is the whole packet is handled alone, never put together with others.
        if (fragment.offset == 0 && !fragment.more) break;
        if (!fragment_plausible(fragment, in.remaining())) return tl::unexpected(DropReason::bad_fragment);
        return Ipv6UpperLayer{next, in.rest(), fragment};
      }
      case ipv6_next::kNone:
        return Ipv6UpperLayer{next, {}, std::nullopt};
      default:
        return Ipv6UpperLayer{next, in.rest(), std::nullopt};
    }
  }
  return tl::unexpected(DropReason::bad_header);
}

tl::expected<IpPacket, DropReason> parse_ipv6(Bytes packet, Ipv6View::Strictness strictness) {
  const auto view = Ipv6View::check(packet, strictness);
  if (!view) return tl::unexpected(view.error());
  IpPacket out;
  out.source = view->source();
  out.destination = view->destination();
  // A v4-mapped address never stands in a packet (RFC 4291 section 2.5.5.2), and here it would pass for IPv4.
  if (out.source.is_multicast() || out.destination.is_unspecified() || is_v4_mapped(out.source) ||
      is_v4_mapped(out.destination)) {
    return tl::unexpected(DropReason::bad_address);
  }
  const auto upper = walk_ipv6_extensions(view->next_header(), view->payload(), true);
  if (!upper) return tl::unexpected(upper.error());
  out.protocol = upper->protocol;
  out.payload = upper->payload;
  out.fragment = upper->fragment;
  out.ttl = view->hop_limit();
  out.traffic_class = view->traffic_class();
  out.whole = view->whole();
  return out;
}

void emit_ipv6(Writer& out, const IpHeader& header, std::size_t payload_length) {
  const std::size_t extension = header.size() - kIpv6HeaderSize;
  if (!header.destination.is_v6()) return out.fail();
  if (payload_length > (header.big ? kMaxJumboLength : kMaxPayloadLength) - extension) return out.fail();
  if (header.fragment && (header.fragment->offset % 8 != 0 || header.fragment->offset > 0xffff))
    return out.fail();
  out.u32(0x60000000U | (std::uint32_t{header.traffic_class} << 20));
  out.u16(header.big ? std::uint16_t{0} : static_cast<std::uint16_t>(payload_length + extension));
  out.u8(header.big ? ipv6_next::kHopByHop : header.fragment ? ipv6_next::kFragment : header.protocol);
  out.u8(header.ttl);
  out.bytes(header.source.wire_bytes());
  out.bytes(header.destination.wire_bytes());
  if (header.big) {
    out.u8(header.protocol);
    out.u8(0);  // in units of 8 bytes beyond the first
    out.u8(kJumboOption);
    out.u8(4);
    out.u32(static_cast<std::uint32_t>(payload_length + extension));
  } else if (header.fragment) {
    out.u8(header.protocol);
    out.u8(0);
    out.u16(static_cast<std::uint16_t>(header.fragment->offset | (header.fragment->more ? 1U : 0U)));
    out.u32(header.fragment->id);
  }
}

}  // namespace sf::wire
