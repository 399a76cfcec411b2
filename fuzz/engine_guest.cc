// The guest's half of the engine driver.
#include <array>

#include "engine_driver.hh"
#include "networks.hh"
#include "wire/arp.hh"
#include "wire/checksum.hh"
#include "wire/dhcp.hh"
#include "wire/dhcpv6.hh"
#include "wire/icmp.hh"
#include "wire/ipv4.hh"
#include "wire/ndp.hh"

namespace sf::fuzz {
namespace {

constexpr std::uint8_t kTcp = 6;
constexpr std::uint8_t kUdp = 17;
constexpr std::uint16_t kPorts = 40000;

void put_sum(MutBytes transport, std::size_t at, std::uint64_t pseudo) {
  if (transport.size() < at + 2) return;
  store_be16(&transport[at], 0);
  store_be16(&transport[at], wire::checksum_finish(wire::checksum_add(pseudo, transport)));
}

// Makes lengths and checksums of a raw frame right, so that what is behind their checks is reached.
void mend(std::vector<std::uint8_t>& frame) {
  const MutBytes bytes{frame};
  if (bytes.size() < wire::kEthernetHeaderSize + 20) return;
  std::copy(kGatewayMac.bytes.begin(), kGatewayMac.bytes.end(), bytes.begin());
  bytes[6] = static_cast<std::uint8_t>(bytes[6] & 0xfe);
  const MutBytes ip = bytes.subspan(wire::kEthernetHeaderSize);
  const bool v4 = (ip[0] >> 4) == 4;
  store_be16(&bytes[12], v4 ? 0x0800 : 0x86dd);
  if (v4) {
    const std::size_t header = std::size_t{ip[0] & 0x0fU} * 4;
    store_be16(&ip[2], static_cast<std::uint16_t>(ip.size()));
    if (header >= 20 && header <= ip.size()) {
      store_be16(&ip[10], 0);
      store_be16(&ip[10], wire::checksum_finish(wire::checksum_add(0, ip.first(header))));
    }
  } else if (ip.size() >= 40) {
    store_be16(&ip[4], static_cast<std::uint16_t>(ip.size() - 40));
  }
  const auto packet = wire::parse_ip(ip);
  if (!packet || packet->fragment) return;
  const auto offset = static_cast<std::size_t>(packet->payload.data() - frame.data());
  const MutBytes transport = bytes.subspan(offset);
  const std::uint64_t pseudo = wire::pseudo_header_sum(packet->source, packet->destination, packet->protocol,
                                                       static_cast<std::uint32_t>(transport.size()));
  if (packet->protocol == kTcp) put_sum(transport, wire::kTcpChecksumOffset, pseudo);
  if (packet->protocol == kUdp && transport.size() >= 8) {
    store_be16(&transport[4], static_cast<std::uint16_t>(transport.size()));
    put_sum(transport, wire::kUdpChecksumOffset, pseudo);
  }
  if (packet->protocol == 1) put_sum(transport, wire::kIcmpChecksumOffset, 0);
  if (packet->protocol == 58) put_sum(transport, wire::kIcmpChecksumOffset, pseudo);
}

wire::TcpFlags flags_of(std::uint8_t bits) {
  return {.fin = (bits & 1) != 0,
          .syn = (bits & 2) != 0,
          .rst = (bits & 4) != 0,
          .psh = (bits & 8) != 0,
          .ack = (bits & 16) != 0,
          .urg = (bits & 32) != 0,
          .ece = (bits & 64) != 0,
          .cwr = (bits & 128) != 0};
}

}  // namespace

sim::Addressing EngineDriver::addressing(std::uint8_t selector) const {
  static constexpr std::array<Address, 8> k4{Address::v4(198, 51, 100, 7), Address::v4(198, 51, 100, 8),
                                             Address::v4(10, 0, 2, 2),     Address::v4(10, 0, 2, 3),
                                             Address::v4(127, 0, 0, 1),    Address::v4(10, 0, 2, 77),
                                             Address::v4(224, 0, 0, 5),    Address::v4(0xffffffff)};
  static const std::array<Address, 8> k6{*Address::parse("2001:db8::7"), *Address::parse("2001:db8::8"),
                                         *Address::parse("fd00::2"),     *Address::parse("fd00::3"),
                                         *Address::parse("::1"),         *Address::parse("fd00::77"),
                                         *Address::parse("ff02::1"),     *Address::parse("fe80::2")};
  const bool v4 = (selector & 8) == 0;
  return {kGuestMac, kGatewayMac, v4 ? kGuest4 : kGuest6, v4 ? k4[selector & 7] : k6[selector & 7]};
}

std::vector<std::uint8_t> EngineDriver::payload() {
  const std::uint8_t size = in_.u8();
  // Small ones are the input's own bytes, large ones are filled.
  if (size < 0xc0) {
    const Bytes bytes = in_.bytes(size);
    return {bytes.begin(), bytes.end()};
  }
  return std::vector<std::uint8_t>((std::size_t{size} - 0xbf) * 1021, 0x41);
}

void EngineDriver::send(std::vector<sim::Frame> frames, std::uint8_t offload) {
  for (sim::Frame& frame : frames) {
    if (frame.bytes.size() > 65535 + wire::kEthernetHeaderSize) continue;
    if ((offload & 1) != 0) frame.offload.checksum_valid = true;
    link_->to_receive.push_back(std::move(frame));
  }
  shard_->on_link_readable(now_);
}

void EngineDriver::raw_frame() {
  const std::uint8_t bits = in_.u8();
  const std::size_t size = (bits & 0x80) != 0 ? in_.u16() : in_.u8();
  const Bytes bytes = in_.bytes(size);
  sim::Frame frame{{bytes.begin(), bytes.end()}, {}};
  if ((bits & 1) != 0) mend(frame.bytes);
  frame.offload.checksum_valid = (bits & 2) != 0;
  frame.offload.checksum_needed = (bits & 4) != 0;
  if ((bits & 8) != 0) {
    frame.offload.gso = static_cast<wire::GsoType>(in_.u8() % 4);
    frame.offload.gso_size = in_.u16();
  }
  link_->to_receive.push_back(std::move(frame));
  shard_->on_link_readable(now_);
}

void EngineDriver::tcp_segment() {
  const std::uint8_t selector = in_.u8();
  const std::uint8_t how = in_.u8();
  sim::Addressing to = addressing(selector);
  wire::TcpSegment segment;
  segment.source_port = static_cast<std::uint16_t>(kPorts + ((selector >> 4) & 3));
  segment.destination_port = (selector & 7) == 3 ? 53 : static_cast<std::uint16_t>(80 + (selector >> 6));
  // Or to whom the engine has spoken to: connections that came through published ports are among them.
  if ((how & 0x40) != 0 && !link_->spoken.empty()) {
    const FuzzLink::PeerKey& key = link_->spoken[selector % link_->spoken.size()];
    to.source = key.first.address;
    to.destination = key.second.address;
    segment.source_port = key.first.port;
    segment.destination_port = key.second.port;
  }
  segment.flags = flags_of(in_.u8());
  segment.window = in_.u16();
  FuzzLink::Peer peer{0, guest_sequence_};
  const auto known =
      link_->peers.find({{to.source, segment.source_port}, {to.destination, segment.destination_port}});
  if (known != link_->peers.end()) peer = known->second;
  segment.sequence = peer.acked;
  segment.acknowledgment = peer.next;
  if ((how & 1) != 0) segment.sequence += static_cast<std::uint32_t>(static_cast<std::int8_t>(in_.u8())) * 97;
  if ((how & 2) != 0)
    segment.acknowledgment += static_cast<std::uint32_t>(static_cast<std::int8_t>(in_.u8())) * 97;
  if ((how & 4) != 0) {
    const std::uint8_t bits = in_.u8();
    if ((bits & 1) != 0) segment.options.mss = in_.u16();
    if ((bits & 2) != 0) segment.options.window_scale = static_cast<std::uint8_t>(bits >> 4);
    segment.options.sack_permitted = (bits & 4) != 0;
    if ((bits & 8) != 0) segment.options.timestamps = wire::TcpTimestamps{in_.u32(), in_.u32()};
    if (!segment.flags.syn) {
      segment.options.sack_count = static_cast<std::uint8_t>((bits >> 4) & 3);
      for (std::size_t i = 0; i < segment.options.sack_count; ++i) {
        segment.options.sack[i].left = peer.next + in_.u16() * 16U;
        segment.options.sack[i].right = segment.options.sack[i].left + in_.u16() * 16U;
      }
    }
  }
  const std::vector<std::uint8_t> data = (how & 8) != 0 ? payload() : std::vector<std::uint8_t>{};
  const std::uint16_t gso = (how & 16) != 0 ? 1400 : 0;
  if (data.size() + 100 > 65535) return;
  guest_sequence_ += 7;
  send({sim::build_tcp(to, segment, data, (how & 32) != 0 || gso != 0, gso)}, 0);
}

void EngineDriver::datagram() {
  const std::uint8_t selector = in_.u8();
  const std::uint8_t how = in_.u8();
  const sim::Addressing to = addressing(selector);
  const Endpoint from{to.source, static_cast<std::uint16_t>(kPorts + ((selector >> 4) & 7))};
  const Endpoint there{to.destination,
                       static_cast<std::uint16_t>((how & 1) != 0 ? in_.u16() : 7 + (how >> 6))};
  const std::vector<std::uint8_t> data = payload();
  if (data.size() > wire::kUdpMaxPayload) return;
  const auto packet = sim::build_udp(from, there, data);
  const std::uint32_t mtu = (how & 2) != 0 ? 1280 : 65535;
  std::vector<sim::Frame> frames = sim::build_ip(to, kUdp, packet, mtu, in_.u8());
  if ((how & 4) != 0) {
    frames[0].bytes[wire::kEthernetHeaderSize + (to.source.is_v4() ? 8U : 7U)] = in_.u8();
    mend(frames[0].bytes);
  }
  if ((how & 8) != 0 && frames.size() == 1) {
    frames[0].offload.gso = wire::GsoType::udp;
    frames[0].offload.gso_size = static_cast<std::uint16_t>(in_.u16() | 1);
  }
  send(std::move(frames), (how >> 4) & 1);
}

void EngineDriver::echo() {
  const std::uint8_t selector = in_.u8();
  const std::uint8_t how = in_.u8();
  const sim::Addressing to = addressing(selector);
  const bool v4 = to.source.is_v4();
  wire::IcmpMessage message;
  message.type = (how & 1) != 0 ? in_.u8() : v4 ? wire::icmpv4::kEchoRequest : wire::icmpv6::kEchoRequest;
  message.rest = (static_cast<std::uint32_t>(selector >> 4) << 16) | how;
  const std::vector<std::uint8_t> data = payload();
  message.body = data;
  std::vector<std::uint8_t> packet(data.size() + wire::kIcmpHeaderSize);
  if (packet.size() > 65000) return;
  Writer out(packet);
  message.emit(out, to.source, to.destination);
  send(sim::build_ip(to, v4 ? 1 : 58, packet, (how & 2) != 0 ? 1280 : 65535, how), 0);
}

void EngineDriver::fragment() {
  const sim::Addressing to = addressing(in_.u8());
  const std::uint8_t id = in_.u8();
  wire::IpHeader ip;
  ip.source = to.source;
  ip.destination = to.destination;
  ip.protocol = (id & 0x80) != 0 ? in_.u8() : kUdp;
  ip.fragment =
      wire::Fragment{id & 3U, std::uint32_t{in_.u8()} * ((id & 0x40) != 0 ? 256U : 8U), (id & 0x20) != 0};
  std::vector<std::uint8_t> part = payload();
  if ((id & 0x10) != 0) part.resize(part.size() & ~std::size_t{7});
  sim::Frame frame;
  frame.bytes.resize(wire::kEthernetHeaderSize + ip.size() + part.size());
  Writer out(frame.bytes);
  wire::EthernetHeader{
      kGatewayMac, kGuestMac,
      static_cast<std::uint16_t>(ip.source.is_v4() ? wire::EtherType::ipv4 : wire::EtherType::ipv6)}
      .emit(out);
  ip.emit(out, part.size());
  out.bytes(part);
  if (out.ok()) send({std::move(frame)}, 0);
}

// Neighbour discovery with a right checksum and hop limit, or ARP.
void EngineDriver::neighbour() {
  const std::uint8_t what = in_.u8();
  std::vector<std::uint8_t> body = payload();
  if ((what & 1) != 0) {
    sim::Frame frame;
    frame.bytes.resize(wire::kEthernetHeaderSize + 46);
    Writer out(frame.bytes);
    wire::EthernetHeader{kBroadcastMac, kGuestMac, 0x0806}.emit(out);
    wire::ArpPacket{
        static_cast<std::uint16_t>(what >> 4), kGuestMac, kGuest4, {}, addressing(what >> 1).destination}
        .emit(out);
    return send({std::move(frame)}, 0);
  }
  body.insert(body.begin(), {static_cast<std::uint8_t>(133 + (what >> 1) % 5), 0, 0, 0});
  sim::Addressing to = addressing(static_cast<std::uint8_t>(8 + (what >> 4) % 8));
  if ((what & 8) != 0) to.source = link_local_from(kGuestMac);
  std::vector<sim::Frame> frames = sim::build_ip(to, 58, body, 65535, 0);
  frames[0].bytes[wire::kEthernetHeaderSize + 7] = 255;
  mend(frames[0].bytes);
  send(std::move(frames), 0);
}

void EngineDriver::dns_query() {
  const std::uint8_t what = in_.u8();
  const sim::Addressing to = addressing((what & 1) != 0 ? 3 : 11);
  std::vector<std::uint8_t> query{0, what, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
  const std::vector<std::uint8_t> rest = payload();
  query.insert(query.end(), rest.begin(), rest.end());
  const auto packet = sim::build_udp({to.source, static_cast<std::uint16_t>(kPorts + (what >> 6))},
                                     {to.destination, 53}, query);
  send(sim::build_ip(to, kUdp, packet, 65535, 0), 0);
}

void EngineDriver::dhcp() {
  const std::uint8_t what = in_.u8();
  std::vector<std::uint8_t> bytes(2000);
  Writer out(bytes);
  if ((what & 1) != 0) {
    out.u8(static_cast<std::uint8_t>(what >> 1));
    out.bytes(std::array<std::uint8_t, 3>{1, 2, 3});
    out.bytes(payload());
    if (!out.ok()) return;
    const sim::Addressing to{kGuestMac, kGatewayMac, link_local_from(kGuestMac), wire::kDhcpv6Servers};
    return send(
        sim::build_ip(to, kUdp, sim::build_udp({to.source, 546}, {to.destination, 547}, out.written()), 65535,
                      0),
        0);
  }
  wire::DhcpMessage message;
  message.transaction = what;
  message.hardware = kGuestMac;
  message.hardware.bytes[5] = in_.u8();
  message.type = static_cast<wire::DhcpType>(what >> 1 & 15);
  if ((what & 0x20) != 0) message.requested_address = Address::v4(10, 0, 2, in_.u8());
  if ((what & 0x40) != 0) message.server_id = Address::v4(10, 0, 2, in_.u8());
  if ((what & 0x80) != 0) message.client = Address::v4(10, 0, 2, in_.u8());
  message.emit(out);
  if (!out.ok()) return;
  const sim::Addressing to{kGuestMac, kBroadcastMac, message.client, Address::v4(0xffffffff)};
  send(
      sim::build_ip(to, kUdp, sim::build_udp({to.source, 68}, {to.destination, 67}, out.written()), 65535, 0),
      0);
}

}  // namespace sf::fuzz
