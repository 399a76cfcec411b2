#include "wire/ipv4.hh"

#include "wire/checksum.hh"

namespace sf::wire {
namespace {

constexpr std::size_t kMaxTotalLength = 65535;

}  // namespace

tl::expected<Ipv4View, DropReason> Ipv4View::check(Bytes packet, Strictness strictness) {
  if (packet.size() < kIpv4HeaderSize) return tl::unexpected(DropReason::truncated);
  if (packet[0] >> 4 != 4) return tl::unexpected(DropReason::bad_version);
  const Ipv4View view(packet);
  const std::size_t header = view.header_size();
  if (header < kIpv4HeaderSize || view.total_length() < header) return tl::unexpected(DropReason::bad_header);
  if (header > packet.size()) return tl::unexpected(DropReason::truncated);
  if (strictness == Strictness::whole) {
    if (view.total_length() > packet.size()) return tl::unexpected(DropReason::truncated);
    if (checksum_finish(checksum_add(0, packet.first(header))) != 0) {
      return tl::unexpected(DropReason::bad_checksum);
    }
  }
  return Ipv4View(take(packet, view.total_length()));
}

tl::expected<IpPacket, DropReason> parse_ipv4(Bytes packet, Ipv4View::Strictness strictness) {
  const auto view = Ipv4View::check(packet, strictness);
  if (!view) return tl::unexpected(view.error());
  IpPacket out;
  out.source = view->source();
  out.destination = view->destination();
  // RFC 1122 section 3.2.1.3: neither is ever a source. 0.0.0.0 is one, for DHCP.
  if (out.source.is_multicast() || out.source.is_broadcast() || out.destination.is_unspecified()) {
    return tl::unexpected(DropReason::bad_address);
  }
  out.protocol = view->protocol();
  out.ttl = view->ttl();
  out.traffic_class = view->traffic_class();
  out.dont_fragment = view->dont_fragment();
  out.payload = view->payload();
  out.whole = view->whole();
  const std::size_t offset = view->fragment_offset();
  if (offset != 0 || view->more_fragments()) {
    if (strictness == Ipv4View::Strictness::whole) {
      // RFC 791 section 3.2: only the last one may end off an 8-byte boundary; none may end past 65,535.
      const bool misaligned = view->more_fragments() && (out.payload.empty() || out.payload.size() % 8 != 0);
      if (misaligned || offset + view->header_size() + out.payload.size() > kMaxTotalLength) {
        return tl::unexpected(DropReason::bad_fragment);
      }
    }
    out.fragment = Fragment{view->id(), static_cast<std::uint32_t>(offset), view->more_fragments()};
  }
  return out;
}

void emit_ipv4(Writer& out, const IpHeader& header, std::size_t payload_length) {
  const std::size_t total = kIpv4HeaderSize + payload_length;
  std::uint16_t id = header.id;
  std::uint16_t fragment = header.dont_fragment ? 0x4000 : 0;
  if (header.fragment) {
    if (header.fragment->offset % 8 != 0 || header.fragment->offset > 0xffff) return out.fail();
    id = static_cast<std::uint16_t>(header.fragment->id);
    fragment =
        static_cast<std::uint16_t>((header.fragment->more ? 0x2000U : 0U) | header.fragment->offset / 8);
  }
  const bool fits = payload_length <= kMaxTotalLength && total <= kMaxTotalLength;
  if ((!fits && !header.big) || !header.destination.is_v4()) return out.fail();
  const std::size_t start = out.offset();
  out.u8(0x45);
  out.u8(header.traffic_class);
  out.u16(header.big ? std::uint16_t{0} : static_cast<std::uint16_t>(total));
  out.u16(id);
  out.u16(fragment);
  out.u8(header.ttl);
  out.u8(header.protocol);
  out.u16(0);
  out.bytes(header.source.wire_bytes());
  out.bytes(header.destination.wire_bytes());
  if (!out.ok()) return;
  out.patch_u16(start + 10, checksum_finish(checksum_add(0, out.written().subspan(start))));
}

}  // namespace sf::wire
