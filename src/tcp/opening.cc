// How a flow begins, and how it ends: the part of tcp::Translator before and after the bytes.
#include <algorithm>
#include <array>

#include "host/flow_cause.hh"
#include "tcp/translator.hh"
#include "wire/ip.hh"
#include "wire/server_name.hh"

namespace sf::tcp {
namespace {

using host::HostError;

// RFC 6528 section 3: a clock that ticks every 4 microseconds, plus a keyed hash of the connection's ends.
constexpr Duration kSequenceTick = 4us;
constexpr std::uint16_t kHttpPort = 80;

std::array<std::uint8_t, 37> hash_input(const Endpoint& guest, const Endpoint& remote, std::uint8_t purpose) {
  std::array<std::uint8_t, 37> input{};
  Writer out(input);
  out.bytes(guest.address.bytes());
  out.bytes(remote.address.bytes());
  out.u16(guest.port);
  out.u16(remote.port);
  out.u8(purpose);
  return input;
}

}  // namespace

Opening Translator::opening(const Endpoint& guest, const Endpoint& remote, Time now) const {
  Opening opening{};
  const auto clock = static_cast<std::uint32_t>(now.time_since_epoch() / kSequenceTick);
  opening.iss = Seq{clock + static_cast<std::uint32_t>(siphash(key_, hash_input(guest, remote, 0)))};
  opening.timestamp_offset = static_cast<std::uint32_t>(siphash(key_, hash_input(guest, remote, 1)));
  opening.our_mss =
      network_.mtu - static_cast<std::uint32_t>(wire::ip_header_size(guest.address) + wire::kTcpHeaderSize);
  opening.offered_mss = to_guest_.takes_super_frames(guest.address.is_v4())
                            ? std::min(opening.our_mss, kOfferedMss)
                            : opening.our_mss;
  return opening;
}

Connection Translator::accept(const Endpoint& guest, const Endpoint& remote, const wire::TcpSegment& syn,
                              Time now) const {
  return Connection(syn, opening(guest, remote, now), now);
}

Connection Translator::dial(const Endpoint& guest, const Endpoint& remote, Time now) const {
  return Connection(opening(guest, remote, now), now);
}

void Translator::adopt(Flow& flow, host::SocketId socket) {
  ++counters_.opened;
  ++counters_.adopted;
  flow.socket = socket;
  flow.host_writable = true;
  flow.host_readable = true;
}

void Translator::connect(Flow& flow, const Endpoint& destination, Time now) {
  ++counters_.opened;
  if (!flow.dns) {
    connect_to(flow, destination, now);
    return;
  }
  const auto& servers = host_.resolvers(now).servers;
  if (servers.empty()) {
    connect_failed(flow, HostError::refused, now);
    return;
  }
  flow.connect_deadline = now + kDnsConnectTimeout;
  flow.replay = std::make_unique<Replay>();
  connect_to(flow, servers[0], now);
}

void Translator::connect_to(Flow& flow, const Endpoint& destination, Time now) {
  auto socket = host_.connect_stream(destination, flow.token);
  if (!socket && socket.error() == HostError::no_descriptors && make_room_ && make_room_(now)) {
    socket = host_.connect_stream(destination, flow.token);
  }
  if (!socket) {
    connect_failed(flow, socket.error(), now);
    return;
  }
  flow.socket = *socket;
}

void Translator::connect_failed(Flow& flow, HostError error, Time now) {
  if (flow.dns) {
    connect_next_server(flow, error, now);
    return;
  }
  ++counters_.refused;
  // Of one to a name server, the guest's side may be connected already.
  const bool begun = flow.connection.phase() != Connection::Phase::connecting;
  flow.ends_by(begun ? host::end_cause(error) : host::refusal_cause(error));
  const auto icmp = icmp_error_for(error);
  if (!icmp || begun) {
    reset_guest(flow);
    return;
  }
  // The guest's SYN, as far as an error quotes it.
  std::array<std::uint8_t, 40 + wire::kTcpHeaderSize> quote{};
  Writer out(quote);
  wire::IpHeader ip;
  ip.source = flow.guest.address;
  ip.destination = flow.remote.address;
  ip.protocol = static_cast<std::uint8_t>(wire::IpProtocol::tcp);
  ip.emit(out, wire::kTcpHeaderSize);
  wire::TcpSegment syn;
  syn.source_port = flow.guest.port;
  syn.destination_port = flow.remote.port;
  syn.sequence = flow.connection.irs().value;
  syn.flags.syn = true;
  syn.emit(out, 0);
  if (const auto packet = wire::parse_ip(out.written())) {
    to_guest_.send_icmp_error(flow.guest_mac, network_.gateway(flow.guest.address.is_v4()), *packet, *icmp);
  }
  end(flow, true);
}

void Translator::reset_guest(Flow& flow) {
  wire::TcpSegment reset = flow.connection.reset_segment();
  ++counters_.resets_to_guest;
  send_segment(flow, reset, 0, 0);
  end(flow, true);
}

void Translator::abort(Flow& flow, FlowCause cause) {
  flow.ends_by(cause);
  if (!finished(flow)) reset_guest(flow);
}

void Translator::end(Flow& flow, bool abort_host) {
  flow.connection.close();
  flow.connect_deadline = kNever;
  flow.retry_at = kNever;
  flow.linger_at = kNever;
  flow.to_guest.clear();
  flow.from_guest.clear();
  flow.held = 0;
  flow.inspector.reset();
  if (flow.replay != nullptr && flow.replay->silent.socket != host::kNoSocket)
    host_.close(flow.replay->silent.socket);
  flow.replay.reset();
  if (flow.socket == host::kNoSocket) return;
  if (!abort_host) return close_socket(flow);
  note_round_trip(flow);
  host_.abort(flow.socket);
  flow.socket = host::kNoSocket;
}

void Translator::close_socket(Flow& flow) {
  note_round_trip(flow);
  host_.close(flow.socket);
  flow.socket = host::kNoSocket;
}

void Translator::note_round_trip(Flow& flow) {
  const bool told = flow.notes != nullptr && flow.notes->told_opened;
  if (!told && !measures_) return;
  const auto remote = host_.round_trip(flow.socket);
  if (told) flow.notes->remote_rtt = remote;
  if (!measures_) return;
  if (remote) remote_round_trips_.observe(*remote);
  const Duration guest = flow.connection.transmit().rtt().smoothed();
  if (guest != Duration::zero()) guest_round_trips_.observe(guest);
}

// What is not there with the first bytes is not waited for, unless somebody holds them back anyway.
void Translator::note_server_name(Flow& flow, Bytes payload) {
  FlowNotes& notes = *flow.notes;
  const wire::ServerName server =
      flow.remote.port == kHttpPort ? wire::http_host(payload) : wire::tls_server_name(payload);
  notes.awaits_name = server.state == wire::ServerName::State::more && flow.inspector != nullptr;
  if (server.state == wire::ServerName::State::named) notes.server_name = server.name;
}

void Translator::refuse_segment(const MacAddress& to, const Endpoint& guest, const Endpoint& remote,
                                const wire::TcpSegment& segment) {
  if (segment.flags.rst) return;
  wire::TcpSegment reset;
  reset.source_port = remote.port;
  reset.destination_port = guest.port;
  reset.flags.rst = true;
  if (segment.flags.ack) {
    reset.sequence = segment.acknowledgment;
  } else {
    reset.flags.ack = true;
    reset.acknowledgment = segment.sequence + segment.length();
  }
  wire::IpHeader ip;
  ip.source = remote.address;
  ip.destination = guest.address;
  ip.protocol = static_cast<std::uint8_t>(wire::IpProtocol::tcp);
  ++counters_.resets_to_guest;
  static_cast<void>(to_guest_.send_tcp(to, ip, reset, {}, 0));
}

}  // namespace sf::tcp
