#include "sim/guest.hh"

#include <algorithm>

#include "wire/checksum.hh"

namespace sf::sim {
namespace {

constexpr std::uint8_t kIcmp = 1;
constexpr std::uint8_t kTcp = 6;
constexpr std::uint8_t kUdp = 17;
constexpr std::uint8_t kIcmpv6 = 58;

}  // namespace

Guest::Guest(World& world, const Plan& plan, SimLink& link) : world_(world), plan_(plan), link_(link) {
  begin_datagrams(plan);
}

void Guest::begin_datagrams(const Plan& plan) {
  const auto send = [this](const Address& from, const Address& to, std::uint8_t protocol, Bytes packet) {
    const auto id = static_cast<std::uint16_t>(world_.random().next());
    for (Frame& frame : build_ip(addressing(from, to), protocol, packet, plan_.link.mtu, id)) {
      link_.from_guest(std::move(frame));
    }
  };
  if (datagrams_) past_datagrams_.push_back(std::move(datagrams_));
  datagrams_ = std::make_unique<GuestDatagrams>(world_, plan, send);
}

void Guest::add_flow(Ledger& ledger) {
  const FlowPlan& flow = ledger.plan;
  const auto emit = [this, &flow](wire::TcpSegment segment, Bytes payload, std::uint16_t gso_size) {
    segment.source_port = flow.guest.port;
    segment.destination_port = flow.server.port;
    link_.from_guest(build_tcp(addressing(flow.guest.address, flow.server.address), segment, payload,
                               plan_.link.checksum_partial, gso_size));
  };
  auto connection = std::make_unique<GuestTcp>(world_, ledger, plan_.link, emit);
  ++flows_to_start_;
  world_.after(flow.start, [this, tcp = connection.get()] {
    --flows_to_start_;
    tcp->start();
  });
  std::unique_ptr<GuestTcp>& place = connections_[{flow.guest, flow.server}];
  if (place) past_connections_.push_back(std::move(place));
  place = std::move(connection);
}

void Guest::fall_silent(const Endpoint& guest, const Endpoint& server) {
  const auto found = connections_.find({guest, server});
  if (found != connections_.end()) found->second->vanish();
}

std::vector<Ledger*> Guest::lose_power() {
  std::vector<Ledger*> lost;
  for (auto& [ends, connection] : connections_) {
    if (!connection->started()) continue;
    if (connection->pending()) lost.push_back(&connection->ledger());
    connection->vanish();
    past_connections_.push_back(std::move(connection));
  }
  std::erase_if(connections_, [](const auto& entry) { return entry.second == nullptr; });
  return lost;
}

bool Guest::idle() const {
  return flows_to_start_ == 0 && datagrams_->idle() &&
         std::ranges::none_of(connections_, [](const auto& entry) { return entry.second->pending(); });
}

void Guest::on_frame(Frame frame, bool damaged) {
  const auto ethernet = wire::EthernetHeader::parse(frame.bytes);
  if (!ethernet) return world_.violation("frame", "a frame of {} bytes", frame.bytes.size());
  if (ethernet->source != plan_.network.gateway_mac) {
    world_.violation("frame", "a frame from {}", ethernet->source.to_string());
  }
  if (ethernet->destination != kGuestMac && !ethernet->destination.is_multicast()) {
    world_.violation("frame", "a frame to {}", ethernet->destination.to_string());
  }
  if (ethernet->type == static_cast<std::uint16_t>(wire::EtherType::arp)) return;
  const auto parsed = parse_frame(frame.bytes);
  if (!parsed) {
    if (!damaged) world_.violation("frame", "{}", describe_frame(frame.bytes));
    return;
  }
  if (frame.offload.gso == wire::GsoType::none &&
      frame.bytes.size() > plan_.link.mtu + wire::kEthernetHeaderSize) {
    world_.violation("mtu", "a frame of {} bytes with an MTU of {}", frame.bytes.size(), plan_.link.mtu);
  }
  if (parsed->ip.fragment) return on_fragment(parsed->ip);
  if (!frame.offload.checksum_needed &&
      !wire::verify_transport_checksum(parsed->ip.source, parsed->ip.destination, parsed->ip.protocol,
                                       parsed->ip.payload)) {
    if (!damaged) world_.violation("checksum", "{}", describe_frame(frame.bytes));
    return;
  }
  if (listening_ && listening_(*parsed)) return;
  if (parsed->tcp) return on_tcp(*parsed);
  if (frame.offload.gso == wire::GsoType::udp) {
    frame.offload.checksum_needed = true;
    for (const Frame& piece : to_wire_frames(std::move(frame))) on_frame(piece, damaged);
    return;
  }
  on_upper_layer(parsed->ip, parsed->ip.payload);
}

void Guest::on_tcp(const ParsedFrame& frame) {
  const Endpoint local{frame.ip.destination, frame.tcp->destination_port};
  const Endpoint remote{frame.ip.source, frame.tcp->source_port};
  const auto it = connections_.find({local, remote});
  if (it == connections_.end() || it->second->forgotten()) {
    if (it == connections_.end() || !it->second->silent()) refuse(frame);
    return;
  }
  it->second->on_segment(*frame.tcp);
}

// RFC 9293 section 3.10.7.1: what a kernel says to a segment of no connection.
void Guest::refuse(const ParsedFrame& frame) {
  const wire::TcpSegment& segment = *frame.tcp;
  if (segment.flags.rst) return;
  wire::TcpSegment reset;
  reset.flags.rst = true;
  if (segment.flags.ack) {
    reset.sequence = segment.acknowledgment;
  } else {
    reset.flags.ack = true;
    reset.acknowledgment = segment.sequence + segment.length();
  }
  reset.source_port = segment.destination_port;
  reset.destination_port = segment.source_port;
  link_.from_guest(build_tcp(addressing(frame.ip.destination, frame.ip.source), reset, {},
                             plan_.link.checksum_partial, 0));
}

void Guest::on_fragment(const wire::IpPacket& ip) {
  Pieces& pieces = reassembly_[{ip.source, ip.fragment->id}];
  pieces.parts.emplace(ip.fragment->offset, FrameBytes(ip.payload.begin(), ip.payload.end()));
  if (!ip.fragment->more) pieces.length = ip.fragment->offset + ip.payload.size();
  if (!pieces.length) return;
  FrameBytes whole;
  for (const auto& [offset, part] : pieces.parts) {
    if (offset != whole.size()) return;
    whole.insert(whole.end(), part.begin(), part.end());
  }
  if (whole.size() != *pieces.length) return;
  reassembly_.erase({ip.source, ip.fragment->id});
  if (!wire::verify_transport_checksum(ip.source, ip.destination, ip.protocol, whole)) {
    return world_.violation("checksum", "a datagram of {} bytes that came in fragments", whole.size());
  }
  on_upper_layer(ip, whole);
}

void Guest::on_upper_layer(const wire::IpPacket& ip, Bytes packet) {
  if (ip.protocol == kUdp) {
    if (const auto udp = wire::UdpDatagram::parse(packet)) {
      datagrams_->on_udp({ip.source, udp->source_port}, {ip.destination, udp->destination_port},
                         udp->payload);
    } else {
      world_.violation("frame", "a malformed UDP datagram from {}", ip.source.to_string());
    }
  } else if (ip.protocol == kIcmp || ip.protocol == kIcmpv6) {
    on_icmp(ip, packet);
  } else {
    world_.violation("frame", "IP protocol {}", ip.protocol);
  }
}

void Guest::on_icmp(const wire::IpPacket& ip, Bytes packet) {
  const auto message = wire::IcmpMessage::parse(packet);
  if (!message) return world_.violation("frame", "a malformed ICMP message");
  const bool v4 = ip.source.is_v4();
  if (message->type == (v4 ? wire::icmpv4::kEchoReply : wire::icmpv6::kEchoReply)) {
    return datagrams_->on_echo_reply(ip.source, ip.destination, *message);
  }
  if (!wire::icmp_error_from(message->type, message->code, v4)) return;
  const auto quoted = wire::parse_quoted_ip(message->body);
  if (!quoted) return world_.violation("frame", "an ICMP error without the packet that it is about");
  if (quoted->protocol == kTcp && quoted->payload.size() >= 8) {
    const auto it = connections_.find({Endpoint{quoted->source, load_be16(&quoted->payload[0])},
                                       Endpoint{quoted->destination, load_be16(&quoted->payload[2])}});
    if (it != connections_.end()) it->second->on_unreachable(load_be32(&quoted->payload[4]));
    return;
  }
  datagrams_->on_error(message->body);
}

}  // namespace sf::sim
