#include "wire/udp.hh"

namespace sf::wire {

std::optional<UdpDatagram> UdpDatagram::parse(Bytes bytes) {
  Reader in(bytes);
  UdpDatagram datagram;
  datagram.source_port = in.u16();
  datagram.destination_port = in.u16();
  const std::size_t length = in.u16();
  datagram.checksum = in.u16();
  if (!in.ok() || length < kUdpHeaderSize || length > bytes.size()) return std::nullopt;
  datagram.payload = in.bytes(length - kUdpHeaderSize);
  return datagram;
}

void UdpDatagram::emit(Writer& out, std::size_t payload_length, std::uint16_t header_checksum) const {
  if (payload_length > 0xffff - kUdpHeaderSize) return out.fail();
  out.u16(source_port);
  out.u16(destination_port);
  out.u16(static_cast<std::uint16_t>(kUdpHeaderSize + payload_length));
  out.u16(header_checksum);
}

}  // namespace sf::wire
