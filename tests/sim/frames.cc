#include "sim/frames.hh"

#include "wire/checksum.hh"

namespace sf::sim {
namespace {

constexpr std::uint8_t kTcp = 6;
constexpr std::uint8_t kUdp = 17;

wire::EtherType ether_type(const Address& address) {
  return address.is_v4() ? wire::EtherType::ipv4 : wire::EtherType::ipv6;
}

void put_ethernet(Writer& out, const Addressing& to) {
  wire::EthernetHeader{to.destination_mac, to.source_mac, static_cast<std::uint16_t>(ether_type(to.source))}
      .emit(out);
}

std::uint64_t pseudo_sum(const wire::IpPacket& ip, std::size_t length) {
  return wire::pseudo_header_sum(ip.source, ip.destination, ip.protocol, static_cast<std::uint32_t>(length));
}

void set_ip_length(MutBytes ip, std::size_t total, bool v4, std::uint32_t index) {
  if (!v4) {
    store_be16(&ip[4], static_cast<std::uint16_t>(total - 40));
    return;
  }
  const std::size_t header = std::size_t{ip[0] & 0x0fU} * 4;
  store_be16(&ip[2], static_cast<std::uint16_t>(total));
  store_be16(&ip[4], static_cast<std::uint16_t>(load_be16(&ip[4]) + index));
  store_be16(&ip[10], 0);
  store_be16(&ip[10], wire::checksum_finish(wire::checksum_add(0, ip.first(header))));
}

// The `index`th piece of a super-frame: `data` behind a copy of its headers with what is different in each.
Frame cut_piece(const ParsedFrame& whole, Bytes headers, Bytes data, std::uint32_t index, std::size_t at,
                bool last) {
  Frame piece;
  piece.bytes.assign(headers.begin(), headers.end());
  piece.bytes.insert(piece.bytes.end(), data.begin(), data.end());
  const MutBytes bytes{piece.bytes};
  const bool v4 = whole.ip.source.is_v4();
  set_ip_length(bytes.subspan(wire::kEthernetHeaderSize), bytes.size() - wire::kEthernetHeaderSize, v4,
                index);
  const MutBytes transport = bytes.subspan(whole.transport_offset);
  std::size_t field = wire::kTcpChecksumOffset;
  if (whole.ip.protocol == kTcp) {
    store_be32(&transport[4], load_be32(&transport[4]) + static_cast<std::uint32_t>(at));
    // FIN and PSH belong to the last piece, CWR to the first.
    if (!last) transport[13] = static_cast<std::uint8_t>(transport[13] & ~0x09);
    if (index > 0) transport[13] = static_cast<std::uint8_t>(transport[13] & ~0x80);
  } else {
    field = wire::kUdpChecksumOffset;
    store_be16(&transport[4], static_cast<std::uint16_t>(transport.size()));
  }
  store_be16(&transport[field], 0);
  const std::uint16_t sum =
      wire::checksum_finish(wire::checksum_add(pseudo_sum(whole.ip, transport.size()), transport));
  store_be16(&transport[field], field == wire::kUdpChecksumOffset ? wire::udp_checksum_field(sum) : sum);
  return piece;
}

}  // namespace

Frame build_tcp(const Addressing& to, wire::TcpSegment segment, Bytes payload, bool partial,
                std::uint16_t gso_size) {
  wire::IpHeader ip;
  ip.source = to.source;
  ip.destination = to.destination;
  ip.protocol = kTcp;
  const std::size_t transport = wire::kEthernetHeaderSize + ip.size();
  const std::size_t header = segment.header_size();
  Frame frame;
  frame.bytes.resize(transport + header + payload.size());
  Writer out{frame.bytes};
  put_ethernet(out, to);
  ip.emit(out, header + payload.size());
  const std::uint64_t pseudo = wire::pseudo_header_sum(to.source, to.destination, kTcp,
                                                       static_cast<std::uint32_t>(header + payload.size()));
  segment.emit(out, wire::checksum_fold(pseudo));
  out.bytes(payload);
  frame.offload.checksum_needed = true;
  frame.offload.checksum_start = static_cast<std::uint16_t>(transport);
  frame.offload.checksum_offset = wire::kTcpChecksumOffset;
  if (gso_size != 0 && payload.size() > gso_size) {
    frame.offload.gso = to.source.is_v4() ? wire::GsoType::tcp4 : wire::GsoType::tcp6;
    frame.offload.gso_size = gso_size;
    frame.offload.header_length = static_cast<std::uint16_t>(transport + header);
  }
  if (!partial) complete_checksum(frame);
  return frame;
}

std::vector<Frame> build_ip(const Addressing& to, std::uint8_t protocol, Bytes packet, std::uint32_t mtu,
                            std::uint16_t id) {
  wire::IpHeader ip;
  ip.source = to.source;
  ip.destination = to.destination;
  ip.protocol = protocol;
  ip.id = id;
  std::vector<Frame> frames;
  const std::size_t room = mtu - wire::ip_header_size(to.source);
  const bool cut = packet.size() > room;
  std::size_t at = 0;
  do {
    Bytes part = packet;
    if (cut) {
      const std::size_t step = (room - 8) & ~std::size_t{7};
      part = take(drop(packet, at), step);
      ip.dont_fragment = false;
      ip.fragment = wire::Fragment{id, static_cast<std::uint32_t>(at), at + part.size() < packet.size()};
    }
    Frame frame;
    frame.bytes.resize(wire::kEthernetHeaderSize + ip.size() + part.size());
    Writer out{frame.bytes};
    put_ethernet(out, to);
    ip.emit(out, part.size());
    out.bytes(part);
    frames.push_back(std::move(frame));
    at += part.size();
  } while (at < packet.size());
  return frames;
}

FrameBytes build_udp(const Endpoint& from, const Endpoint& to, Bytes payload) {
  FrameBytes packet(wire::kUdpHeaderSize + payload.size());
  Writer out{packet};
  wire::UdpDatagram header;
  header.source_port = from.port;
  header.destination_port = to.port;
  header.emit(out, payload.size(), 0);
  out.bytes(payload);
  const std::uint64_t pseudo =
      wire::pseudo_header_sum(from.address, to.address, kUdp, static_cast<std::uint32_t>(packet.size()));
  out.patch_u16(wire::kUdpChecksumOffset,
                wire::udp_checksum_field(wire::checksum_finish(wire::checksum_add(pseudo, packet))));
  return packet;
}

std::optional<ParsedFrame> parse_frame(Bytes frame) {
  const auto ethernet = wire::EthernetHeader::parse(frame);
  if (!ethernet) return std::nullopt;
  const auto ip = wire::parse_ip(drop(frame, wire::kEthernetHeaderSize));
  if (!ip) return std::nullopt;
  if (static_cast<std::uint16_t>(ether_type(ip->source)) != ethernet->type) return std::nullopt;
  ParsedFrame parsed{*ethernet, *ip, static_cast<std::size_t>(ip->payload.data() - frame.data()),
                     std::nullopt};
  if (ip->protocol == kTcp && !ip->fragment) parsed.tcp = wire::TcpSegment::parse(ip->payload);
  return parsed;
}

const char* offload_fault(Bytes frame, const wire::Offload& offload) {
  if (offload.gso != wire::GsoType::none && !offload.checksum_needed) return "GSO without a partial checksum";
  if (!offload.checksum_needed) return nullptr;
  const auto parsed = parse_frame(frame);
  if (!parsed) return "a partial checksum on what is no sound IP packet";
  if (offload.checksum_start != parsed->transport_offset) return "checksum_start is not the transport header";
  const bool tcp = parsed->ip.protocol == kTcp;
  if (!tcp && parsed->ip.protocol != kUdp) return "a partial checksum on neither TCP nor UDP";
  if (offload.checksum_offset != (tcp ? wire::kTcpChecksumOffset : wire::kUdpChecksumOffset)) {
    return "checksum_offset is not the checksum's";
  }
  const Bytes transport = parsed->ip.payload;
  if (transport.size() < std::size_t{offload.checksum_offset} + 2) return "no room for the checksum";
  if (load_be16(&transport[offload.checksum_offset]) !=
      wire::checksum_fold(pseudo_sum(parsed->ip, transport.size()))) {
    return "the partial checksum is not the pseudo-header's sum";
  }
  if (offload.gso == wire::GsoType::none) return nullptr;
  const wire::GsoType right = !tcp                        ? wire::GsoType::udp
                              : parsed->ip.source.is_v4() ? wire::GsoType::tcp4
                                                          : wire::GsoType::tcp6;
  if (offload.gso != right) return "the GSO type is not the packet's";
  return offload.gso_size == 0 ? "a GSO size of 0" : nullptr;
}

void complete_checksum(Frame& frame) {
  if (!frame.offload.checksum_needed) return;
  const MutBytes covered = MutBytes{frame.bytes}.subspan(frame.offload.checksum_start);
  const std::uint16_t sum = wire::checksum_finish(wire::checksum_add(0, covered));
  store_be16(&covered[frame.offload.checksum_offset],
             frame.offload.checksum_offset == wire::kUdpChecksumOffset ? wire::udp_checksum_field(sum) : sum);
  frame.offload = {};
}

std::vector<Frame> to_wire_frames(Frame frame) {
  std::vector<Frame> out;
  if (frame.offload.gso == wire::GsoType::none) {
    complete_checksum(frame);
    out.push_back(std::move(frame));
    return out;
  }
  const auto parsed = parse_frame(frame.bytes);
  if (!parsed) return out;
  // From the options' real length, which is not always what emitting them anew would take.
  const std::size_t transport_header =
      parsed->tcp ? parsed->ip.payload.size() - parsed->tcp->payload.size() : wire::kUdpHeaderSize;
  const Bytes headers = Bytes{frame.bytes}.first(parsed->transport_offset + transport_header);
  const Bytes data = parsed->ip.payload.subspan(transport_header);
  std::uint32_t index = 0;
  for (std::size_t at = 0; at < data.size(); at += frame.offload.gso_size, ++index) {
    const Bytes part = take(drop(data, at), frame.offload.gso_size);
    out.push_back(cut_piece(*parsed, headers, part, index, at, at + part.size() == data.size()));
  }
  return out;
}

}  // namespace sf::sim
