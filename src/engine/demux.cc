// From a frame to the protocol and the flow that it belongs to; whatever fits nowhere is counted by its
// reason.
#include "engine/inspectors.hh"
#include "engine/shard.hh"
#include "host/flow_cause.hh"
#include "services/ndp.hh"
#include "wire/dhcp.hh"
#include "wire/dhcpv6.hh"
#include "wire/tcp.hh"

namespace sf::engine {
namespace {

using link::Route;
using wire::DropReason;
using wire::EtherType;
using wire::IcmpError;
using wire::IpProtocol;

constexpr std::uint16_t kDnsPort = 53;

}  // namespace

void Shard::on_frame(const link::Frame& frame, Time now) {
  const auto ethernet = wire::EthernetHeader::parse(frame.bytes);
  if (!ethernet) return drop(DropReason::truncated);
  if (!config_.network.is_our_mac(ethernet->destination) && !ethernet->destination.is_multicast()) {
    return drop(DropReason::not_for_us);
  }
  if (ethernet->source.is_multicast()) return drop(DropReason::bad_address);
  const Bytes body = base::drop(frame.bytes, wire::kEthernetHeaderSize);
  switch (static_cast<EtherType>(ethernet->type)) {
    case EtherType::arp:
      return on_arp(body, now);
    case EtherType::ipv4:
    case EtherType::ipv6:
      break;
    default:
      return drop(DropReason::unknown_ether_type);
  }
  auto packet = wire::parse_ip(body);
  if (!packet) return drop(packet.error());
  packet->reassembled = frame.reassembled;
  const bool v4 = packet->source.is_v4();
  if (v4 != (ethernet->type == static_cast<std::uint16_t>(EtherType::ipv4)))
    return drop(DropReason::bad_version);
  if (!v4 && !config_.network.ipv6) return drop(DropReason::unknown_ether_type);
  on_ip(Ingress{ethernet->source, frame.offload, frame.bytes}, *packet, now);
}

void Shard::on_ip(const Ingress& in, const wire::IpPacket& packet, Time now) {
  // DHCP and duplicate address detection come from the unspecified address.
  if (!packet.source.is_unspecified() && !config_.network.is_guest_source(packet.source)) {
    return drop(DropReason::spoofed_source);
  }
  if (!packet.source.is_unspecified()) learn(packet.source, in.from, now);
  if (packet.fragment) {
    on_fragment(in, packet, now);
  } else {
    on_transport(in, packet, now);
  }
}

void Shard::learn(const Address& address, const MacAddress& mac, Time now) {
  if (!neighbours_.learn(address, mac, now)) return;
  // Each shard may have to begin something to the guest, whatever it has seen of it.
  const Place& place = config_.place;
  if (place.alone() || !news_.admit(now)) return;
  for (unsigned other = 0; other < place.count(); ++other) {
    if (other == place.index) continue;
    place.mailbox(other).post(
        [address, mac](Shard& shard, Time then) { shard.neighbours_.learn(address, mac, then); });
  }
}

bool Shard::handed_over(unsigned owner, const Ingress& in, const wire::IpPacket& packet) {
  if (owner == config_.place.index) return false;
  bool posted = false;
  if (!in.frame.empty()) {
    posted = config_.place.mailbox(owner).post_frame(std::array{in.frame}, in.offload);
  } else {
    std::array<std::uint8_t, wire::kEthernetHeaderSize> bytes{};
    Writer out(bytes);
    const bool v4 = packet.source.is_v4();
    wire::EthernetHeader{config_.network.mac(v4), in.from,
                         static_cast<std::uint16_t>(v4 ? EtherType::ipv4 : EtherType::ipv6)}
        .emit(out);
    posted = config_.place.mailbox(owner).post_frame(std::array<Bytes, 2>{out.written(), packet.whole},
                                                     in.offload, true);
  }
  if (!posted) drop(DropReason::handover_full);
  return true;
}

void Shard::on_fragment(const Ingress& in, const wire::IpPacket& packet, Time now) {
  if (handed_over(config_.place.owner_of_services(), in, packet)) return;
  const Reassembly::Outcome outcome = reassembly_.add(packet, in.from, now);
  if (outcome.drop) drop(*outcome.drop);
  // The link has verified nothing about the whole.
  if (outcome.packet) on_transport(Ingress{in.from, {}, {}}, *outcome.packet, now);
}

bool Shard::checksum_holds(const Ingress& in, const wire::IpPacket& packet) const {
  if (in.offload.checksum_needed || in.offload.checksum_valid) return true;
  return wire::verify_transport_checksum(packet.source, packet.destination, packet.protocol, packet.payload);
}

void Shard::on_transport(const Ingress& in, const wire::IpPacket& packet, Time now) {
  const bool v4 = packet.source.is_v4();
  switch (static_cast<IpProtocol>(packet.protocol)) {
    case IpProtocol::tcp:
      return on_tcp(in, packet, now);
    case IpProtocol::udp:
      return on_udp(in, packet, now);
    case IpProtocol::icmp:
      if (v4) return on_icmp(in, packet, now);
      break;
    case IpProtocol::icmpv6:
      if (!v4) return on_icmp(in, packet, now);
      break;
  }
  drop(DropReason::unknown_protocol);
  send_error(in, packet, IcmpError::protocol_unreachable, now);
}

// What every packet for the world outside has to pass.
bool Shard::may_forward(const Ingress& in, const wire::IpPacket& packet, Time now) {
  if (packet.source.is_unspecified() || packet.source.is_link_local()) {
    drop(DropReason::bad_address);
    send_error(in, packet, IcmpError::beyond_scope, now);  // RFC 4443 section 3.1
    return false;
  }
  if (packet.ttl <= 1) {
    send_error(in, packet, IcmpError::time_exceeded, now);
    return false;
  }
  return true;
}

void Shard::send_error(const Ingress& in, const wire::IpPacket& packet, IcmpError error, Time now) {
  const Route route = config_.network.route(packet.destination);
  if (route.kind == Route::Kind::ignored || packet.source.is_unspecified()) return;
  if (!errors_.admit(now)) return drop(DropReason::rate_limited);
  to_guest_.send_icmp_error(in.from, config_.network.gateway(packet.source.is_v4()), packet, error);
}

void Shard::on_tcp(const Ingress& in, const wire::IpPacket& packet, Time now) {
  const auto segment = wire::TcpSegment::parse(packet.payload);
  if (!segment) return drop(DropReason::truncated);
  if (!checksum_holds(in, packet)) return drop(DropReason::bad_checksum);
  const FlowKey key{{packet.source, segment->source_port}, {packet.destination, segment->destination_port}};
  if (tcp_.on_segment(key, in.from, *segment, now)) return;
  if (handed_over(config_.place.owner_of_tcp(key), in, packet)) return;

  const Route route = config_.network.route(packet.destination);
  if (route.kind == Route::Kind::ignored) return drop(DropReason::bad_address);
  const bool syn = segment->flags.syn && !segment->flags.ack && !segment->flags.rst && !segment->flags.fin;
  const bool dns = route.kind == Route::Kind::dns;
  if (!syn || (dns && segment->destination_port != kDnsPort)) {
    if (!segment->flags.rst) drop(DropReason::no_listener);
    if (!packet.source.is_unspecified()) refuse_segment(in, key, *segment, now);
    return;
  }
  if (!may_forward(in, packet, now)) return;
  if (route.kind == Route::Kind::gateway || route.kind == Route::Kind::unreachable) {
    refusals_.refused(FlowProtocol::tcp, FlowCause::unreachable, key, now);
    return send_error(in, packet, IcmpError::net_unreachable, now);
  }
  bool audited = false;
  if (gate() != nullptr && !dns && !gate_admits(policy::Protocol::tcp, key, route.address, audited, now)) {
    drop(DropReason::policy_refused);
    return refuse_segment(in, key, *segment, now);
  }
  switch (tcp_.open(key, in.from, *segment, {route.address, dns, audited, inspector_for(key, route)}, now)) {
    case TcpFlows::Opened::yes:
      break;
    case TcpFlows::Opened::lost:  // the guest asks again: nobody was refused
      drop(DropReason::rate_limited);
      break;
    case TcpFlows::Opened::full:
      refusals_.refused(FlowProtocol::tcp, FlowCause::limit, key, now);
      drop(DropReason::flow_limit);
      break;
  }
}  // NOLINT(clang-analyzer-cplusplus.NewDeleteLeaks): what open() leaves in its argument goes with that

void Shard::refuse_segment(const Ingress& in, const FlowKey& ends, const wire::TcpSegment& segment,
                           Time now) {
  if (segment.flags.rst) return;
  if (!resets_.admit(now)) return;  // the caller has counted it
  tcp_translator_.refuse_segment(in.from, ends.guest, ends.remote, segment);
}

std::unique_ptr<tcp::Inspector> Shard::inspector_for(const FlowKey& ends, const Route& route) {
  if (route.kind == Route::Kind::dns && (gate() != nullptr || names() != nullptr))
    return std::make_unique<DnsStreamInspector>(gate(), ends.guest, names(), &questions_);
  if (gate() == nullptr || !config_.gate->wants_server_name(policy::Protocol::tcp, ends.remote.port))
    return nullptr;
  return std::make_unique<ServerNameInspector>(*config_.gate, ends.remote, route.address);
}

bool Shard::gate_admits(policy::Protocol protocol, const FlowKey& ends, const Address& address, bool& audited,
                        Time now) {
  const bool admitted = config_.gate->admits(protocol, ends.remote, address, now, &audited);
  if (config_.watch == nullptr || (admitted && !audited)) return admitted;
  const FlowProtocol told = protocol == policy::Protocol::tcp   ? FlowProtocol::tcp
                            : protocol == policy::Protocol::udp ? FlowProtocol::udp
                                                                : FlowProtocol::icmp;
  if (admitted) {
    refusals_.audited(told, ends, now);
  } else {
    refusals_.refused(told, FlowCause::policy, ends, now);
  }
  return admitted;
}

// A flow leads anywhere, so each new destination is asked about; the one that it was about last is
// remembered.
template <typename Flow>
bool Shard::admits(policy::Protocol protocol, Flow* flow, std::uint32_t generation, const FlowKey& ends,
                   const Address& address, bool& audited, Time now) {
  if (flow != nullptr && flow->admitted_by == generation && flow->admitted == ends.remote) {
    audited = flow->audited;
    return true;
  }
  return gate_admits(protocol, ends, address, audited, now);
}

void Shard::on_udp(const Ingress& in, const wire::IpPacket& packet, Time now) {
  const auto datagram = wire::UdpDatagram::parse(packet.payload);
  if (!datagram) return drop(DropReason::truncated);
  const bool v4 = packet.source.is_v4();
  const bool unchecked = v4 && datagram->checksum == 0;
  if (!unchecked && !checksum_holds(in, packet)) return drop(DropReason::bad_checksum);

  if (v4 && datagram->destination_port == wire::kDhcpServerPort &&
      (packet.destination.is_broadcast() || packet.destination == config_.network.gateway4 ||
       packet.destination == config_.network.prefix4.v4_broadcast())) {
    if (handed_over(config_.place.owner_of_services(), in, packet)) return;
    return on_dhcp(*datagram, now);
  }
  if (!v4 && datagram->destination_port == wire::kDhcpv6ServerPort &&
      (packet.destination == wire::kDhcpv6Servers || packet.destination == link::kRouterLinkLocal)) {
    return on_dhcpv6(in, packet, *datagram, now);
  }
  const Endpoint guest{packet.source, datagram->source_port};
  const std::uint16_t segment = in.offload.gso == wire::GsoType::udp ? in.offload.gso_size : std::uint16_t{0};
  const FlowKey to_client{guest, {packet.destination, datagram->destination_port}};
  const Route route = config_.network.route(packet.destination);
  const bool query = route.kind == Route::Kind::dns && datagram->destination_port == kDnsPort;
  const bool stays = query || route.kind == Route::Kind::ignored;
  if (!stays && handed_over(config_.place.owner_of_udp(guest.port), in, packet)) return;
  if (published_.is_client(to_client)) {
    if (may_forward(in, packet, now))
      published_.from_guest(to_client, in.from, packet, *datagram, segment, now);
    return;
  }
  if (route.kind == Route::Kind::ignored) return drop(DropReason::bad_address);
  if (query) {
    if (packet.source.is_unspecified()) return drop(DropReason::bad_address);
    return dns_.query(guest, in.from, Endpoint{packet.destination, kDnsPort}, datagram->payload, now);
  }
  if (!may_forward(in, packet, now)) return;
  switch (route.kind) {
    case Route::Kind::host:
      break;
    case Route::Kind::unreachable:
      refusals_.refused(FlowProtocol::udp, FlowCause::unreachable, to_client, now);
      return send_error(in, packet, IcmpError::net_unreachable, now);
    case Route::Kind::gateway:
    case Route::Kind::dns:
    case Route::Kind::ignored:
      refusals_.refused(FlowProtocol::udp, FlowCause::unreachable, to_client, now);
      return send_error(in, packet, IcmpError::port_unreachable, now);
  }
  forward_udp(in, packet, *datagram, route.address, segment, now);
}

void Shard::forward_udp(const Ingress& in, const wire::IpPacket& packet, const wire::UdpDatagram& datagram,
                        const Address& address, std::uint16_t segment, Time now) {
  const FlowKey ends{{packet.source, datagram.source_port}, {packet.destination, datagram.destination_port}};
  udp::Flow* flow = udp_.find(ends.guest, in.from);
  // Once: a decision must not be remembered as a later policy's.
  policy::Gate* const gate = this->gate();
  const std::uint32_t generation = gate != nullptr ? gate->generation() : 0;
  const auto refuse = [&] {
    drop(DropReason::policy_refused);
    send_error(in, packet, IcmpError::admin_prohibited, now);
  };
  bool audited = false;
  if (gate != nullptr && !admits(policy::Protocol::udp, flow, generation, ends, address, audited, now))
    return refuse();
  std::string server;
  const bool known = flow != nullptr && flow->admitted_by == generation && flow->admitted == ends.remote;
  const bool named = gate != nullptr && gate->wants_server_name(policy::Protocol::udp, ends.remote.port) &&
                     !(known && QuicFlows::begins_nothing(datagram.payload, segment));
  if (named) {
    const QuicFlows::Datagram whole{in.from, packet, datagram.payload, segment};
    bool name_audited = false;
    const auto verdict = quic_.judge(*gate, ends, address, whole, flow, server, name_audited, now);
    if (verdict == QuicFlows::Verdict::held) return;
    if (verdict == QuicFlows::Verdict::refused) {
      refusals_.refused(FlowProtocol::udp, FlowCause::policy, ends, now);
      return refuse();
    }
    if (name_audited) refusals_.audited(FlowProtocol::udp, ends, now);
    audited = audited || name_audited;
  }
  auto error = host::HostError::none;
  if (flow == nullptr) flow = udp_.find_or_open(ends.guest, in.from, error, now);
  const bool room = (error == host::HostError::no_descriptors && room_.make(now)) ||
                    (flow == nullptr && udp_.full() && udp_room_.make(ends, now));
  if (room) flow = udp_.find_or_open(ends.guest, in.from, error, now);
  if (flow == nullptr) {
    refusals_.refused(FlowProtocol::udp, udp_.full() ? FlowCause::limit : host::refusal_cause(error), ends,
                      now);
    drop(DropReason::flow_limit);
    return send_error(in, packet, host::icmp_error_for(error).value_or(IcmpError::admin_prohibited), now);
  }
  if (!udp_room_.may_go(*flow, ends.remote, now)) return drop(DropReason::rate_limited);
  if (gate != nullptr) remember(*flow, generation, ends.remote);
  flow->audited = audited;
  if (!server.empty()) flow->remember_server(ends.remote, std::move(server));
  if (named) release_held(ends, address, now);
  udp_translator_.from_guest(*flow, packet, datagram, address, segment, now);
}

// They are judged as if they came now.
void Shard::release_held(const FlowKey& key, const Address& address, Time now) {
  for (const QuicFlows::Held& held : quic_.take_held(key, now)) {
    auto packet = wire::parse_ip(held.packet);
    if (!packet) continue;
    packet->reassembled = held.reassembled;
    const auto datagram = wire::UdpDatagram::parse(packet->payload);
    if (datagram) forward_udp(Ingress{held.from, {}, {}}, *packet, *datagram, address, held.segment, now);
  }
}

void Shard::on_icmp(const Ingress& in, const wire::IpPacket& packet, Time now) {
  const auto message = wire::IcmpMessage::parse(packet.payload);
  if (!message) return drop(DropReason::truncated);
  if (!checksum_holds(in, packet)) return drop(DropReason::bad_checksum);
  if (packet.source.is_v6() && services::is_ndp(message->type)) return on_ndp(in, packet, now);
  // Errors of the guest's and multicast listener reports concern nobody here.
  if (!icmp::is_echo_request(packet, *message)) return;

  const Route route = config_.network.route(packet.destination);
  switch (route.kind) {
    case Route::Kind::ignored:
      return drop(DropReason::bad_address);
    case Route::Kind::gateway:
    case Route::Kind::dns:
      if (packet.source.is_unspecified()) return drop(DropReason::bad_address);
      return icmp_translator_.answer(in.from, packet, *message);
    case Route::Kind::host:
    case Route::Kind::unreachable:
      break;
  }
  if (handed_over(config_.place.owner_of_ping(message->echo_id()), in, packet)) return;
  if (!may_forward(in, packet, now)) return;
  const Endpoint guest{packet.source, message->echo_id()};
  const Endpoint seen{packet.destination, 0};
  if (route.kind == Route::Kind::unreachable) {
    refusals_.refused(FlowProtocol::icmp, FlowCause::unreachable, {guest, seen}, now);
    return send_error(in, packet, IcmpError::net_unreachable, now);
  }
  icmp::Flow* flow = icmp_.find(guest, in.from);
  // Once: a decision must not be remembered as a later policy's.
  const policy::Gate* const gate = this->gate();
  const std::uint32_t generation = gate != nullptr ? gate->generation() : 0;
  bool audited = false;
  if (gate != nullptr &&
      !admits(policy::Protocol::icmp, flow, generation, {guest, seen}, route.address, audited, now)) {
    drop(DropReason::policy_refused);
    return send_error(in, packet, IcmpError::admin_prohibited, now);
  }
  auto error = host::HostError::none;
  if (flow == nullptr) flow = icmp_.find_or_open(guest, in.from, error, packet, now);
  if (error == host::HostError::no_descriptors && room_.make(now)) {
    flow = icmp_.find_or_open(guest, in.from, error, packet, now);
  }
  if (flow == nullptr) {
    refusals_.refused(FlowProtocol::icmp, icmp_.full() ? FlowCause::limit : host::refusal_cause(error),
                      {guest, seen}, now);
    return drop(DropReason::flow_limit);
  }
  if (gate != nullptr) remember(*flow, generation, seen);
  flow->audited = audited;
  icmp_translator_.from_guest(*flow, packet, route.address, now);
}

}  // namespace sf::engine
