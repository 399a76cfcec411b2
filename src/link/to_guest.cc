#include "link/to_guest.hh"

#include <algorithm>
#include <array>

#include "wire/checksum.hh"
#include "wire/udp.hh"

namespace sf::link {
namespace {

using wire::EtherType;
using wire::GsoType;
using wire::IpHeader;
using wire::IpProtocol;
using wire::kEthernetHeaderSize;
using wire::kUdpHeaderSize;

// Ethernet, IPv6 with an extension header, and the largest TCP header.
constexpr std::size_t kMaxHeaders = kEthernetHeaderSize + 48 + wire::kTcpMaxHeaderSize;
// More segments than this in one UDP super-frame are refused by the kernels that limit them
// (UDP_MAX_SEGMENTS).
constexpr std::size_t kMaxUdpSegments = 64;
// RFC 1812 section 4.3.2.5: errors go out with precedence "internetwork control".
constexpr std::uint8_t kInternetworkControl = 0xc0;

using Parts = std::array<Bytes, Link::kMaxParts>;

constexpr EtherType ether_type(const Address& source) {
  return source.is_v4() ? EtherType::ipv4 : EtherType::ipv6;
}

std::size_t total_size(std::span<const Bytes> parts) {
  std::size_t size = 0;
  for (const Bytes part : parts) size += part.size();
  return size;
}

// Collects the `count` bytes at `offset` of what `pieces` make together, behind what `out` has already; at
// most as many pieces as `pieces` has. Returns how many parts there are then.
std::size_t gather(std::span<const Bytes> pieces, std::size_t offset, std::size_t count, Parts& out,
                   std::size_t used) {
  for (const Bytes piece : pieces) {
    if (offset >= piece.size()) {
      offset -= piece.size();
      continue;
    }
    const Bytes slice = take(drop(piece, offset), count);
    offset = 0;
    count -= slice.size();
    if (!slice.empty() && used < out.size()) out[used++] = slice;
    if (count == 0) break;
  }
  return used;
}

// The checksum of pieces that stand one behind the other, also where one of them has an odd length: the bytes
// of what follows have then changed places within their words (RFC 1071 section 2 (B)).
std::uint64_t checksum_pieces(std::uint64_t sum, std::span<const Bytes> pieces) {
  bool odd = false;
  for (const Bytes piece : pieces) {
    if (!odd) {
      sum = wire::checksum_add(sum, piece);
    } else {
      const std::uint16_t part = wire::checksum_fold(wire::checksum_add(0, piece));
      sum += static_cast<std::uint16_t>((part << 8) | (part >> 8));
    }
    odd ^= piece.size() % 2 != 0;
  }
  return sum;
}

// RFC 1122 section 3.2.2 and RFC 4443 section 2.1: which ICMP messages are errors. A Redirect is none in
// ICMPv6, but nothing may be sent about it either (RFC 4443 section 2.4 (e)).
bool is_icmp_error(const wire::IpPacket& packet) {
  constexpr std::uint8_t kRedirect6 = 137;
  if (packet.protocol == static_cast<std::uint8_t>(IpProtocol::icmp)) {
    if (packet.payload.empty()) return true;
    const std::uint8_t type = packet.payload[0];
    return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
  }
  if (packet.protocol == static_cast<std::uint8_t>(IpProtocol::icmpv6)) {
    return packet.payload.empty() || packet.payload[0] < 128 || packet.payload[0] == kRedirect6;
  }
  return false;
}

bool may_be_answered_with_error(const wire::IpPacket& packet) {
  if (packet.fragment && packet.fragment->offset != 0) return false;
  if (packet.destination.is_multicast() || packet.destination.is_broadcast()) return false;
  if (packet.source.is_unspecified() || packet.source.is_multicast() || packet.source.is_broadcast())
    return false;
  return !is_icmp_error(packet);
}

// Of several frames' fates the worst.
constexpr Status worse(Status a, Status b) {
  return a > b ? a : b;
}
static_assert(worse(Status::ok, Status::dropped) == Status::dropped &&
              worse(Status::gone, Status::ok) == Status::gone);

}  // namespace

struct ToGuest::Transport {
  std::uint8_t protocol;
  MutBytes header;
  std::size_t checksum_offset;
};

Status ToGuest::send_tcp(const MacAddress& to, const IpHeader& ip, const wire::TcpSegment& header,
                         std::span<const Bytes> payload, std::uint16_t gso_size) {
  if (payload.size() > Link::kMaxParts - 1) return count_dropped();
  const std::size_t size = total_size(payload);
  if (gso_size == 0 || size <= gso_size) return send_segments(to, ip, header, payload, 0);
  const std::size_t headers = ip.size() + header.header_size();
  const auto most = [&](std::size_t packet) {
    return std::max<std::size_t>((packet - headers) / gso_size, 1) * gso_size;
  };
  std::size_t step = features_.tcp_gso(ip.source.is_v4()) ? most(max_tcp_packet()) : gso_size;

  Status status = Status::ok;
  wire::TcpSegment segment = header;
  for (std::size_t offset = 0; offset < size && status != Status::gone;) {
    const std::size_t count = std::min(step, size - offset);
    const bool last = offset + count == size;
    segment.sequence = header.sequence + static_cast<std::uint32_t>(offset);
    segment.flags.fin = header.flags.fin && last;
    segment.flags.psh = header.flags.psh && last;
    segment.flags.cwr = header.flags.cwr && offset == 0;  // RFC 3168 section 6.1.2: once per window
    Parts parts;
    const std::size_t used = gather(payload, offset, count, parts, 0);
    const std::uint64_t dropped = counters_.dropped;
    const Status sent = send_segments(to, ip, segment, std::span(parts).first(used), gso_size);
    if (sent == Status::dropped && count > most(kMaxIpPacket)) {
      // A kernel that has its memory in small pieces only cannot take so much at once. Nothing is lost yet.
      counters_.dropped = dropped;
      step = most(kMaxIpPacket);
      continue;
    }
    status = worse(status, sent);
    offset += count;
  }
  return status;
}

// One frame: a segment, or a super-frame where the payload is larger than gso_size.
Status ToGuest::send_segments(const MacAddress& to, const IpHeader& ip, const wire::TcpSegment& header,
                              std::span<const Bytes> payload, std::uint16_t gso_size) {
  std::array<std::uint8_t, wire::kTcpMaxHeaderSize> buffer;
  Writer out(buffer);
  header.emit(out, 0);
  const Transport transport{static_cast<std::uint8_t>(IpProtocol::tcp), out.written(),
                            wire::kTcpChecksumOffset};
  const std::size_t size = total_size(payload);
  if (size <= gso_size || gso_size == 0) return send_transport(to, ip, transport, payload, GsoType::none, 0);
  const GsoType gso = ip.source.is_v4() ? GsoType::tcp4 : GsoType::tcp6;
  if (ip.size() + out.offset() + size <= kMaxIpPacket)
    return send_transport(to, ip, transport, payload, gso, gso_size);
  IpHeader big = ip;
  big.big = true;
  return send_transport(to, big, transport, payload, gso, gso_size);
}

Status ToGuest::send_udp(const MacAddress& to, const IpHeader& ip, std::uint16_t source_port,
                         std::uint16_t destination_port, Bytes payload, std::uint16_t segment_size) {
  if (segment_size == 0 || payload.size() <= segment_size) {
    return send_datagram(to, ip, source_port, destination_port, payload, 0);
  }
  // Super-frames of as many segments as one may have; single datagrams where the link cannot cut, or where
  // each of them is itself above the MTU and has to be fragmented.
  const std::size_t headers = ip.size() + kUdpHeaderSize;
  const bool super_frames = features_.udp_gso && headers + segment_size <= mtu_;
  const std::size_t fitting = (65535 - headers) / segment_size;
  const std::size_t segments = super_frames ? std::min(fitting, kMaxUdpSegments) : 1;
  Status status = Status::ok;
  while (!payload.empty() && status != Status::gone) {
    const Bytes piece = take(payload, std::max<std::size_t>(segments, 1) * segment_size);
    const std::uint16_t gso_size = piece.size() > segment_size ? segment_size : std::uint16_t{0};
    status = worse(status, send_datagram(to, ip, source_port, destination_port, piece, gso_size));
    payload = drop(payload, piece.size());
  }
  return status;
}

Status ToGuest::send_datagram(const MacAddress& to, const IpHeader& ip, std::uint16_t source_port,
                              std::uint16_t destination_port, Bytes payload, std::uint16_t gso_size) {
  constexpr auto kProtocol = static_cast<std::uint8_t>(IpProtocol::udp);
  std::array<std::uint8_t, kUdpHeaderSize> header;
  Writer out(header);
  const wire::UdpDatagram datagram{source_port, destination_port, 0, {}};
  datagram.emit(out, payload.size(), 0);
  if (!out.ok()) return count_dropped();
  const std::size_t size = kUdpHeaderSize + payload.size();
  if (gso_size != 0 || ip.size() + size <= mtu_) {
    const Transport transport{kProtocol, header, wire::kUdpChecksumOffset};
    const GsoType gso = gso_size != 0 ? GsoType::udp : GsoType::none;
    return send_transport(to, ip, transport, std::array{payload}, gso, gso_size);
  }
  // No offload completes a checksum over fragments.
  IpHeader fragmented = ip;
  fragmented.protocol = kProtocol;
  const std::array<Bytes, 2> parts{Bytes{header}, payload};
  const std::uint64_t pseudo =
      wire::pseudo_header_sum(ip.source, ip.destination, kProtocol, static_cast<std::uint32_t>(size));
  const std::uint16_t checksum = wire::checksum_finish(checksum_pieces(pseudo, parts));
  store_be16(&header[wire::kUdpChecksumOffset], wire::udp_checksum_field(checksum));
  return send_fragments(to, fragmented, parts);
}

Status ToGuest::send_ip(const MacAddress& to, const IpHeader& ip, Bytes packet) {
  const std::array<Bytes, 1> whole{packet};
  if (ip.size() + packet.size() > mtu_) return send_fragments(to, ip, whole);
  std::array<std::uint8_t, kMaxHeaders> buffer;
  Writer out(buffer);
  emit_ethernet(out, to, ether_type(ip.source));
  identified(ip).emit(out, packet.size());
  if (!out.ok()) return count_dropped();
  return send_parts(std::array{Bytes{out.written()}, packet}, {});
}

Status ToGuest::send_icmp_error(const MacAddress& to, const Address& from, const wire::IpPacket& quoted,
                                wire::IcmpError error, std::uint32_t mtu) {
  const bool v4 = quoted.source.is_v4();
  if (from.is_v4() != v4 || !may_be_answered_with_error(quoted)) return Status::ok;
  IpHeader ip;
  ip.source = from;
  ip.destination = quoted.source;
  ip.protocol = static_cast<std::uint8_t>(v4 ? IpProtocol::icmp : IpProtocol::icmpv6);
  ip.traffic_class = kInternetworkControl;
  const wire::IcmpTypeCode kind = wire::icmp_type_code(error, v4);
  wire::IcmpMessage message;
  message.type = kind.type;
  message.code = kind.code;
  // RFC 1191 section 4 gives the MTU 16 bits, RFC 4443 section 3.2 all 32.
  if (error == wire::IcmpError::packet_too_big) message.rest = v4 ? std::min(mtu, 0xffffU) : mtu;
  const std::size_t headers = ip.size() + wire::kIcmpHeaderSize;
  if (headers > mtu_) return count_dropped();
  message.body = take(quoted.whole, std::min(wire::icmp_quote_limit(v4), mtu_ - headers));
  std::array<std::uint8_t, 1280> buffer;
  Writer out(buffer);
  message.emit(out, ip.source, ip.destination);
  if (!out.ok()) return count_dropped();
  return send_ip(to, ip, out.written());
}

Status ToGuest::send_frame(const MacAddress& to, EtherType type, Bytes body) {
  std::array<std::uint8_t, kEthernetHeaderSize> buffer;
  Writer out(buffer);
  emit_ethernet(out, to, type);
  return send_parts(std::array{Bytes{out.written()}, body}, {});
}

Status ToGuest::send_transport(const MacAddress& to, const IpHeader& ip, const Transport& transport,
                               std::span<const Bytes> payload, GsoType gso, std::uint16_t gso_size) {
  const std::size_t size = transport.header.size() + total_size(payload);
  std::uint64_t sum = wire::pseudo_header_sum(ip.source, ip.destination, transport.protocol,
                                              static_cast<std::uint32_t>(size));
  std::uint16_t checksum = wire::checksum_fold(sum);
  if (!features_.checksum) {
    sum = checksum_pieces(wire::checksum_add(sum, transport.header), payload);
    checksum = wire::checksum_finish(sum);
    if (transport.protocol == static_cast<std::uint8_t>(IpProtocol::udp)) {
      checksum = wire::udp_checksum_field(checksum);
    }
  }
  store_be16(&transport.header[transport.checksum_offset], checksum);

  std::array<std::uint8_t, kMaxHeaders> buffer;
  Writer out(buffer);
  emit_ethernet(out, to, ether_type(ip.source));
  IpHeader header = identified(ip);
  header.protocol = transport.protocol;
  header.emit(out, size);
  const std::size_t transport_start = out.offset();
  out.bytes(transport.header);
  if (!out.ok()) return count_dropped();

  wire::Offload offload;
  if (features_.checksum) {
    offload.checksum_needed = true;
    offload.checksum_start = static_cast<std::uint16_t>(transport_start);
    offload.checksum_offset = static_cast<std::uint16_t>(transport.checksum_offset);
  }
  offload.gso = gso;
  offload.gso_size = gso_size;
  offload.header_length = static_cast<std::uint16_t>(out.offset());
  Parts parts;
  parts[0] = out.written();
  const std::size_t used = gather(payload, 0, total_size(payload), parts, 1);
  return send_parts(std::span(parts).first(used), offload);
}

Status ToGuest::send_fragments(const MacAddress& to, const IpHeader& ip, std::span<const Bytes> parts) {
  const std::size_t size = total_size(parts);
  IpHeader header = ip;
  header.fragment = wire::Fragment{take_id(), 0, true};
  // Every fragment but the last holds a multiple of 8 bytes (RFC 791 section 3.2, RFC 8200 section 4.5).
  const std::size_t step = mtu_ > header.size() ? (mtu_ - header.size()) & ~std::size_t{7} : 0;
  if (step == 0 || ip.size() + size > (ip.source.is_v4() ? 65535U : 65575U)) return count_dropped();
  for (std::size_t offset = 0; offset < size; offset += step) {
    const std::size_t length = std::min(step, size - offset);
    header.fragment->offset = static_cast<std::uint32_t>(offset);
    header.fragment->more = offset + length < size;
    std::array<std::uint8_t, kMaxHeaders> buffer;
    Writer out(buffer);
    emit_ethernet(out, to, ether_type(ip.source));
    header.emit(out, length);
    if (!out.ok()) return count_dropped();
    Parts pieces;
    pieces[0] = out.written();
    const std::size_t used = gather(parts, offset, length, pieces, 1);
    // Without one of them the others are worth nothing.
    if (const Status status = send_parts(std::span(pieces).first(used), {}); status != Status::ok)
      return status;
  }
  return Status::ok;
}

Status ToGuest::send_parts(std::span<const Bytes> parts, const wire::Offload& offload) {
  const Status status = link_.send(parts, offload);
  if (status != Status::ok) {
    ++counters_.dropped;
    return status;
  }
  link_.show(parts, offload, Direction::to_guest);
  const std::size_t size = total_size(parts);
  counters_.packets += wire::packets_of(size, offload);
  counters_.bytes += size;
  return status;
}

Status ToGuest::count_dropped() {
  ++counters_.dropped;
  return Status::dropped;
}

void ToGuest::emit_ethernet(Writer& out, const MacAddress& to, EtherType type) const {
  const MacAddress& from = type == EtherType::ipv6 ? gateway_mac6_ : gateway_mac_;
  wire::EthernetHeader{to, from, static_cast<std::uint16_t>(type)}.emit(out);
}

IpHeader ToGuest::identified(const IpHeader& ip) {
  IpHeader header = ip;
  // RFC 6864 section 4.1: a packet that nobody may fragment needs no identification.
  if (ip.source.is_v4() && !ip.dont_fragment && ip.id == 0) header.id = static_cast<std::uint16_t>(take_id());
  return header;
}

}  // namespace sf::link
