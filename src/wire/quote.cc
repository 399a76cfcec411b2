#include "wire/quote.hh"

#include "wire/checksum.hh"
#include "wire/tcp.hh"
#include "wire/udp.hh"

namespace sf::wire {
namespace {

// An IPv4 packet holds 65,535 bytes with its header.
Bytes cut_to_packet(Bytes payload, std::size_t headers) {
  return take(payload, 65535 - headers);
}

}  // namespace

Quote Quote::udp(const IpHeader& header, std::uint16_t source_port, std::uint16_t destination_port,
                 Bytes payload) {
  Quote quote(header, IpProtocol::udp);
  const Bytes data = cut_to_packet(payload, header.size() + kUdpHeaderSize);
  std::array<std::uint8_t, kUdpHeaderSize> transport;
  Writer out(transport);
  UdpDatagram{source_port, destination_port, 0, {}}.emit(out, data.size(), 0);
  const std::uint64_t pseudo = pseudo_header_sum(header.source, header.destination, quote.header_.protocol,
                                                 static_cast<std::uint32_t>(kUdpHeaderSize + data.size()));
  quote.assemble(transport, kUdpChecksumOffset, pseudo, data);
  return quote;
}

Quote Quote::echo_request(const IpHeader& header, std::uint16_t id, std::uint16_t sequence, Bytes body) {
  const bool v4 = header.source.is_v4();
  Quote quote(header, v4 ? IpProtocol::icmp : IpProtocol::icmpv6);
  const Bytes data = cut_to_packet(body, header.size() + kIcmpHeaderSize);
  std::array<std::uint8_t, kIcmpHeaderSize> transport{};
  transport[0] = v4 ? icmpv4::kEchoRequest : icmpv6::kEchoRequest;
  store_be16(&transport[4], id);
  store_be16(&transport[6], sequence);
  const std::uint64_t pseudo =
      v4 ? 0
         : pseudo_header_sum(header.source, header.destination, quote.header_.protocol,
                             static_cast<std::uint32_t>(kIcmpHeaderSize + data.size()));
  quote.assemble(transport, kIcmpChecksumOffset, pseudo, data);
  return quote;
}

void Quote::assemble(MutBytes transport, std::size_t checksum_offset, std::uint64_t checksum, Bytes payload) {
  std::uint16_t field = checksum_finish(checksum_add(checksum_add(checksum, transport), payload));
  if (header_.protocol == static_cast<std::uint8_t>(IpProtocol::udp)) field = udp_checksum_field(field);
  store_be16(&transport[checksum_offset], field);
  Writer out(buffer_);
  header_.emit(out, transport.size() + payload.size());
  out.bytes(transport);
  out.bytes(take(payload, std::min(icmp_quote_limit(header_.source.is_v4()), buffer_.size()) - out.offset()));
  size_ = out.ok() ? out.offset() : 0;
}

IpPacket Quote::packet() const {
  IpPacket packet;
  packet.source = header_.source;
  packet.destination = header_.destination;
  packet.protocol = header_.protocol;
  packet.ttl = header_.ttl;
  packet.traffic_class = header_.traffic_class;
  packet.dont_fragment = header_.source.is_v4() && header_.dont_fragment;
  packet.whole = Bytes{buffer_}.first(size_);
  packet.payload = drop(packet.whole, header_.size());
  return packet;
}

}  // namespace sf::wire
