#include "sim/guest_server.hh"

namespace sf::sim {
namespace {

constexpr std::uint8_t kUdp = 17;
constexpr Duration kAgain = 500ms;

}  // namespace

bool GuestServer::on_frame(const ParsedFrame& frame) {
  if (frame.tcp) return on_tcp(frame);
  return frame.ip.protocol == kUdp && on_udp(frame);
}

bool GuestServer::on_udp(const ParsedFrame& frame) {
  const auto udp = wire::UdpDatagram::parse(frame.ip.payload);
  if (!udp || udp->destination_port != kEchoes) return false;
  const Endpoint from{frame.ip.destination, kEchoes};
  const Endpoint to{frame.ip.source, udp->source_port};
  const FrameBytes packet = build_udp(from, to, udp->payload);
  const Addressing addressing{kGuestMac, network_.gateway_mac, from.address, to.address};
  for (Frame& reply : build_ip(addressing, kUdp, packet, network_.mtu, 1)) guest_.send(std::move(reply));
  return true;
}

bool GuestServer::on_tcp(const ParsedFrame& frame) {
  const wire::TcpSegment& segment = *frame.tcp;
  const std::uint16_t port = segment.destination_port;
  if (port == kMute) return true;
  if (port != kAnswers && port != kStops) return false;
  const Endpoint local{frame.ip.destination, port};
  const Endpoint remote{frame.ip.source, segment.source_port};
  const auto found = connections_.find({local, remote});
  if (segment.flags.syn && !segment.flags.ack) {
    open(local, remote, segment);
    return true;
  }
  if (found == connections_.end()) return false;  // refused
  if (segment.flags.rst) {
    connections_.erase(found);
    return true;
  }
  // A kernel that stops knows its connections still, and says nothing.
  if (port == kAnswers) take(found->second, segment);
  return true;
}

void GuestServer::open(const Endpoint& local, const Endpoint& remote, const wire::TcpSegment& syn) {
  Connection& connection = connections_[{local, remote}];
  if (connection.serial == 0 || connection.next != syn.sequence + 1) {
    connection = {.local = local, .remote = remote};
    if (const auto known = ledgers_.find(remote); known != ledgers_.end()) connection.ledger = known->second;
    connection.iss = static_cast<std::uint32_t>(world_.random().next());
    connection.next = syn.sequence + 1;
    connection.serial = next_serial_++;
  }
  wire::TcpSegment reply;
  reply.sequence = connection.iss;
  reply.flags.syn = true;
  reply.options.mss = 1400;
  answer(connection, reply, {});
}

void GuestServer::take(Connection& connection, const wire::TcpSegment& segment) {
  if (connection.replying && segment.flags.ack && segment.acknowledgment == connection.iss + 1 + kReply + 1) {
    if (connection.ledger != nullptr) connection.ledger->outcome = GuestOutcome::done;
    connections_.erase({connection.local, connection.remote});
    return;
  }
  if (segment.payload.empty() && !segment.flags.fin) return;
  if (segment.sequence == connection.next) {
    Ledger* const ledger = connection.ledger;
    if (ledger != nullptr &&
        ledger->to_guest.mismatch(connection.received, segment.payload) != segment.payload.size()) {
      world_.violation("prefix-to-guest", "the client {}: not what it sent", connection.remote.to_string());
    }
    connection.received += segment.payload.size();
    connection.next += segment.length();
    if (ledger != nullptr) {
      ledger->guest_received = connection.received;
      ledger->guest_saw_fin = segment.flags.fin;
    }
    if (segment.flags.fin) {
      connection.replying = true;
      return reply(connection);
    }
  }
  wire::TcpSegment ack;
  ack.sequence = connection.iss + 1 + (connection.replying ? kReply + 1 : 0);
  answer(connection, ack, {});
}

void GuestServer::reply(Connection& connection) {
  FrameBytes payload(kReply);
  if (connection.ledger != nullptr) connection.ledger->from_guest.fill(0, payload);
  wire::TcpSegment segment;
  segment.sequence = connection.iss + 1;
  segment.flags.fin = true;
  answer(connection, segment, payload);
  world_.after(kAgain, [this, key = Key{connection.local, connection.remote}, serial = connection.serial] {
    const auto found = connections_.find(key);
    if (found != connections_.end() && found->second.serial == serial) reply(found->second);
  });
}

void GuestServer::answer(const Connection& connection, wire::TcpSegment segment, Bytes payload) {
  segment.source_port = connection.local.port;
  segment.destination_port = connection.remote.port;
  segment.flags.ack = true;
  segment.acknowledgment = connection.next;
  segment.window = 0xffff;
  const Addressing to{kGuestMac, network_.gateway_mac, connection.local.address, connection.remote.address};
  guest_.send(build_tcp(to, segment, payload, false, 0));
}

}  // namespace sf::sim
