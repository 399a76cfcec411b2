#include "wire/arp.hh"

#include "wire/ethernet.hh"

namespace sf::wire {
namespace {

constexpr std::uint16_t kHardwareEthernet = 1;
constexpr std::uint16_t kProtocolIpv4 = static_cast<std::uint16_t>(EtherType::ipv4);
constexpr std::uint16_t kLengths = (6 << 8) | 4;

}  // namespace

std::optional<ArpPacket> ArpPacket::parse(Bytes bytes) {
  Reader in(bytes);
  if (in.u16() != kHardwareEthernet || in.u16() != kProtocolIpv4 || in.u16() != kLengths) return std::nullopt;
  ArpPacket packet;
  packet.operation = in.u16();
  packet.sender_mac.bytes = in.array<6>();
  packet.sender = Address::v4(in.u32());
  packet.target_mac.bytes = in.array<6>();
  packet.target = Address::v4(in.u32());
  if (!in.ok()) return std::nullopt;
  return packet;
}

void ArpPacket::emit(Writer& out) const {
  if (!sender.is_v4() || !target.is_v4()) return out.fail();
  out.u16(kHardwareEthernet);
  out.u16(kProtocolIpv4);
  out.u16(kLengths);
  out.u16(operation);
  out.bytes(sender_mac.bytes);
  out.u32(sender.to_v4());
  out.bytes(target_mac.bytes);
  out.u32(target.to_v4());
}

}  // namespace sf::wire
