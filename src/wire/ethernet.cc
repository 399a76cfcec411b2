#include "wire/ethernet.hh"

namespace sf::wire {

std::optional<EthernetHeader> EthernetHeader::parse(Bytes frame) {
  Reader in(frame);
  EthernetHeader header;
  header.destination.bytes = in.array<6>();
  header.source.bytes = in.array<6>();
  header.type = in.u16();
  if (!in.ok()) return std::nullopt;
  return header;
}

void EthernetHeader::emit(Writer& out) const {
  out.bytes(destination.bytes);
  out.bytes(source.bytes);
  out.u16(type);
}

}  // namespace sf::wire
