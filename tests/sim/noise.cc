#include "sim/noise.hh"

#include "wire/arp.hh"
#include "wire/dhcp.hh"
#include "wire/ndp.hh"

namespace sf::sim {
namespace {

// Apart from the servers of the planned connections, so that chance cannot meet one of them.
constexpr Address kChaosServer4 = Address::v4(203, 0, 113, 200);
constexpr Address kChaosServer6 =
    Address::v6({0x20, 0x01, 0x0d, 0xb8, 0xcc, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});

}  // namespace

Noise::Noise(World& world, const Plan& plan, SimLink& link) : world_(world), plan_(plan), link_(link) {
  const auto spread = [&](std::uint32_t count, auto action) {
    for (std::uint32_t i = 0; i < count; ++i) {
      world_.after(world_.random().duration(Duration{0}, plan_.noise.period), [action, i] { action(i); });
    }
  };
  spread(plan.noise.malformed, [this](std::uint32_t) { malformed(); });
  spread(plan.noise.chaos, [this](std::uint32_t) { chaos(); });
  spread(plan.noise.services, [this](std::uint32_t i) { service(i); });
}

Addressing Noise::addressing(bool v4) const {
  const Address guest = v4 ? plan_.network.guest4 : plan_.network.prefix6.base.plus(0x100);
  return {kGuestMac, plan_.network.gateway_mac, guest, v4 ? kChaosServer4 : kChaosServer6};
}

Frame Noise::random_segment() {
  Random& random = world_.random();
  wire::TcpSegment segment;
  segment.source_port = static_cast<std::uint16_t>(kNoisePorts + random.below(4));
  segment.destination_port = static_cast<std::uint16_t>(80 + random.below(2));
  // Close together, so that some of them meet what earlier ones have opened.
  segment.sequence =
      static_cast<std::uint32_t>(random.pick<std::uint64_t>({1000, 1001, 1002, random.next()}));
  segment.acknowledgment = static_cast<std::uint32_t>(random.next());
  const std::uint64_t flags = random.next();
  segment.flags = {.fin = (flags & 1) != 0,
                   .syn = (flags & 6) != 0,
                   .rst = (flags & 0x38) == 0,
                   .psh = (flags & 64) != 0,
                   .ack = (flags & 128) != 0,
                   .urg = (flags & 256) != 0,
                   .ece = (flags & 512) != 0,
                   .cwr = (flags & 1024) != 0};
  segment.window = static_cast<std::uint16_t>(random.next());
  if (random.chance(0.5))
    segment.options.mss =
        static_cast<std::uint16_t>(random.pick<std::uint64_t>({0, 1, 48, 536, 1460, 65535}));
  if (random.chance(0.3)) segment.options.window_scale = static_cast<std::uint8_t>(random.next());
  if (random.chance(0.3))
    segment.options.timestamps = wire::TcpTimestamps{static_cast<std::uint32_t>(random.next()), 0};
  if (random.chance(0.3)) segment.options.sack_permitted = true;
  const FrameBytes payload(random.chance(0.5) ? 0 : random.below(1000));
  return build_tcp(addressing(!plan_.network.ipv6 || random.chance(0.5)), segment, payload,
                   plan_.link.checksum_partial, 0);
}

Frame Noise::valid_frame() {
  Random& random = world_.random();
  const bool v4 = !plan_.network.ipv6 || random.chance(0.5);
  Addressing to = addressing(v4);
  switch (random.below(4)) {
    case 0:
      return random_segment();
    case 1: {
      const FrameBytes payload(random.below(1200));
      // To a server that no socket of the guest's uses, or to one of our own services.
      const std::uint16_t port = random.pick<std::uint16_t>({9, 53, 67, 547});
      if (port == 53) to.destination = v4 ? plan_.network.dns4 : plan_.network.dns6;
      const Endpoint from{to.source, static_cast<std::uint16_t>(kNoisePorts + random.below(4))};
      return build_ip(to, 17, build_udp(from, {to.destination, port}, payload), plan_.link.mtu, 1).front();
    }
    case 2: {
      FrameBytes packet(wire::kIcmpHeaderSize + random.below(100));
      for (std::uint8_t& byte : packet) byte = static_cast<std::uint8_t>(random.next());
      return build_ip(to, v4 ? 1 : 58, packet, plan_.link.mtu, 1).front();
    }
    default: {
      // The first of some fragments, of which the rest never comes.
      const FrameBytes packet(2000 + random.below(3000));
      return build_ip(to, 17, packet, 1280, static_cast<std::uint16_t>(random.next())).front();
    }
  }
}

void Noise::malformed() {
  Random& random = world_.random();
  Frame frame = valid_frame();
  // The parts that the link would complete are spoilt too, and so nothing is promised about them.
  frame.offload = {};
  switch (random.below(4)) {
    case 0:
      frame.bytes.resize(random.below(frame.bytes.size()));
      break;
    case 1:
      frame.bytes.resize(frame.bytes.size() + random.below(100));
      break;
    default:
      break;
  }
  for (std::uint64_t flips = random.below(8); flips > 0 && frame.bytes.size() > 12; --flips) {
    // Not the source MAC: a device does not change it, and the guest would not be found again.
    const std::size_t at = 12 + random.below(std::min<std::size_t>(frame.bytes.size() - 12, 100));
    frame.bytes[at] = static_cast<std::uint8_t>(random.next());
  }
  link_.from_guest(std::move(frame));
}

void Noise::chaos() {
  link_.from_guest(random_segment());
}

void Noise::service(std::uint32_t which) {
  const link::Network& network = plan_.network;
  FrameBytes message(600);
  Writer out{message};
  const Address link_local = link_local_from(kGuestMac);
  const auto send_ip = [&](const Address& from, const Address& to, MacAddress mac, std::uint8_t protocol,
                           Bytes packet) {
    const Addressing addressing{kGuestMac, mac, from, to};
    for (Frame& frame : build_ip(addressing, protocol, packet, network.mtu, 1)) {
      // Neighbour discovery is for the link alone (RFC 4861 section 7.1).
      if (from.is_v6()) frame.bytes[wire::kEthernetHeaderSize + 7] = 255;
      link_.from_guest(std::move(frame));
    }
  };
  switch (which % 4) {
    case 0: {
      wire::EthernetHeader{kBroadcastMac, kGuestMac, static_cast<std::uint16_t>(wire::EtherType::arp)}.emit(
          out);
      wire::ArpPacket{wire::ArpPacket::kRequest, kGuestMac, network.guest4, {}, network.gateway4}.emit(out);
      const MutBytes frame = out.written();
      link_.from_guest({{frame.begin(), frame.end()}, {}});
      return;
    }
    case 1: {
      wire::DhcpMessage discover;
      discover.transaction = static_cast<std::uint32_t>(world_.random().next());
      discover.hardware = kGuestMac;
      discover.type = wire::DhcpType::discover;
      discover.emit(out);
      const Endpoint from{Address::v4(0), wire::kDhcpClientPort};
      const Endpoint to{Address::v4(0xffffffff), wire::kDhcpServerPort};
      return send_ip(from.address, to.address, kBroadcastMac, 17, build_udp(from, to, out.written()));
    }
    case 2:
      if (!network.ipv6) return;
      wire::RouterSolicitation{kGuestMac}.emit(out, link_local, wire::kAllRouters);
      return send_ip(link_local, wire::kAllRouters, wire::multicast_mac(wire::kAllRouters), 58,
                     out.written());
    default: {
      if (!network.ipv6) return;
      const Address group = wire::solicited_node(network.gateway6);
      wire::NeighborSolicitation{network.gateway6, kGuestMac}.emit(out, link_local, group);
      return send_ip(link_local, group, wire::multicast_mac(group), 58, out.written());
    }
  }
}

}  // namespace sf::sim
