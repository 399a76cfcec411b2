#include "icmp/translator.hh"

#include "host/flow_cause.hh"

namespace sf::icmp {
namespace {

using host::HostError;

// RFC 5508 REQ-1: at least 60 seconds.
constexpr Duration kIdle = 60s;
// Batches per call, so that one busy flow does not hold up the others.
constexpr int kMaxBatches = 8;

std::uint8_t request_type(bool v4) {
  return v4 ? wire::icmpv4::kEchoRequest : wire::icmpv6::kEchoRequest;
}
std::uint8_t reply_type(bool v4) {
  return v4 ? wire::icmpv4::kEchoReply : wire::icmpv6::kEchoReply;
}
std::uint8_t protocol(bool v4) {
  return static_cast<std::uint8_t>(v4 ? wire::IpProtocol::icmp : wire::IpProtocol::icmpv6);
}

link::FlowEnds ends(const Flow& flow) {
  return {flow.guest.address, flow.guest_mac, flow.socket};
}

// The error queue gives the request from its ICMP header on, with the sequence number, which tells traceroute
// to which of its probes the error belongs. What the host reports by itself comes without, and then it is 0.
struct QuoteOf {
  const Flow& flow;
  wire::Quote operator()(const wire::IpHeader& header, const host::DatagramError& error) const {
    const auto request = wire::IcmpMessage::parse(error.payload).value_or(wire::IcmpMessage{});
    return wire::Quote::echo_request(header, flow.guest.port, request.echo_sequence(), request.body);
  }
};

}  // namespace

bool is_echo_request(const wire::IpPacket& packet, const wire::IcmpMessage& message) {
  const bool v4 = packet.source.is_v4();
  return packet.protocol == protocol(v4) && message.type == request_type(v4) && message.code == 0;
}

wire::IpHeader answer_echo(const wire::IpPacket& request, const wire::IcmpMessage& message, Writer& out) {
  const bool v4 = request.source.is_v4();
  wire::IcmpMessage reply = message;
  reply.type = reply_type(v4);
  reply.emit(out, request.destination, request.source);
  wire::IpHeader header;
  header.source = request.destination;
  header.destination = request.source;
  header.protocol = protocol(v4);
  header.traffic_class = request.traffic_class;  // RFC 1122 section 3.2.2.6
  header.dont_fragment = false;
  return header;
}

HostError Translator::open(Flow& flow, host::Token token, const wire::IpPacket& request, Time now) {
  const bool v4 = flow.guest.address.is_v4();
  const auto socket = host_.open_datagram(host::DatagramKind::ping, v4, token);
  if (socket) {
    flow.socket = *socket;
    flow.last_active = now;
    ++counters_.opened;
    return HostError::none;
  }
  const HostError error = socket.error();
  if (error == HostError::denied && denied_.first()) {
    log_.warning(
        "ping from inside does not work: opening a ping socket failed ({}): net.ipv4.ping_group_range leaves "
        "the user's group out; to allow it: sysctl -w net.ipv4.ping_group_range=\"0 2147483647\"",
        host::to_string(error));
  }
  if (const auto icmp = host::icmp_error_for(error)) {
    forwarding_.refuse(flow.guest_mac, request, *icmp, 0, now);
  }
  return error;
}

void Translator::from_guest(Flow& flow, const wire::IpPacket& packet, const Address& host_destination,
                            Time now) {
  const host::DatagramOptions options = link::forwarded(packet, packet.whole.size());
  flow.last_active = now;
  const Endpoint to{host_destination, 0};
  const Endpoint seen{packet.destination, 0};
  const HostError error = host_.send_datagram(flow.socket, to, packet.payload, options);
  if (error == HostError::none) {
    ++counters_.requests;
    if (flow.peers != nullptr) flow.peers->from_guest(seen, 1, packet.payload.size(), now, flow.audited);
  } else {
    ++counters_.not_sent;
    const FlowCause cause = host::unsent_cause(error);
    if (flow.peers != nullptr && cause != FlowCause::none) flow.peers->refused(seen, cause, now);
    forwarding_.on_send_failed(ends(flow), error, packet, host_destination, options.dont_fragment,
                               QuoteOf{flow}, now);
  }
}

void Translator::on_error(Flow& flow, Time now) {
  forwarding_.pass_errors(ends(flow), QuoteOf{flow}, now);
}

bool Translator::on_readable(Flow& flow, Time now) {
  for (int batch = 0; batch < kMaxBatches; ++batch) {
    const auto received = host_.receive_datagrams(flow.socket);
    if (received.empty()) return false;
    for (const host::ReceivedDatagram& datagram : received) {
      if (deliver(flow, datagram, now) == link::Status::gone) return false;
    }
    if (host_.took_all_datagrams()) return false;
  }
  return true;
}

link::Status Translator::deliver(Flow& flow, const host::ReceivedDatagram& datagram, Time now) {
  const bool v4 = flow.guest.address.is_v4();
  const auto source = forwarding_.source_for_guest(datagram.from.address);
  if (!source || source->is_v4() != v4) {
    ++counters_.filtered;
    return link::Status::ok;
  }
  auto reply = wire::IcmpMessage::parse(datagram.payload);
  if (!reply || datagram.truncated || reply->type != reply_type(v4) || reply->code != 0) {
    ++counters_.not_delivered;
    return link::Status::dropped;
  }
  reply->rest = (std::uint32_t{flow.guest.port} << 16) | reply->echo_sequence();
  wire::IpHeader header;
  header.source = *source;
  header.destination = flow.guest.address;
  header.protocol = protocol(v4);
  header.ttl = link::forwarded_ttl(datagram.ttl);
  header.traffic_class = datagram.traffic_class;
  header.dont_fragment = false;  // it may need to be fragmented to reach the guest
  Writer out(scratch(datagram.payload.size()));
  reply->emit(out, header.source, header.destination);
  flow.last_active = now;
  const link::Status status = to_guest_.send_ip(flow.guest_mac, header, out.written());
  ++(status == link::Status::ok ? counters_.replies : counters_.not_delivered);
  if (status == link::Status::ok && flow.peers != nullptr)
    flow.peers->to_guest({*source, 0}, 1, datagram.payload.size(), now);
  return status;
}

void Translator::answer(const MacAddress& to, const wire::IpPacket& request,
                        const wire::IcmpMessage& message) {
  Writer out(scratch(request.payload.size()));
  const wire::IpHeader header = answer_echo(request, message, out);
  const bool sent = out.ok() && to_guest_.send_ip(to, header, out.written()) == link::Status::ok;
  ++(sent ? counters_.answered : counters_.not_delivered);
}

MutBytes Translator::scratch(std::size_t size) {
  if (scratch_.size() < size) scratch_.resize(size);
  return MutBytes{scratch_}.first(size);
}

Time Translator::deadline(const Flow& flow) {
  return flow.last_active + kIdle;
}

void Translator::close(Flow& flow) {
  if (flow.socket == host::kNoSocket) return;
  host_.close(flow.socket);
  flow.socket = host::kNoSocket;
}

}  // namespace sf::icmp
