#include "udp/translator.hh"

#include <algorithm>
#include <functional>
#include <utility>

#include "host/flow_cause.hh"

namespace sf::udp {
namespace {

using host::HostError;

// RFC 4787 REQ-5: at least 2 minutes, 5 minutes recommended. A mapping that never saw an answer gets the
// lesser; one to a well-known port may go earlier (REQ-5 a), and stub resolvers take a new port for every
// query.
constexpr Duration kRepliedIdle = 300s;
constexpr Duration kUnrepliedIdle = 120s;
constexpr Duration kQueryIdle = 30s;
constexpr std::uint16_t kDnsPort = 53;

// Batches per call, so that one busy flow does not hold up the others.
constexpr int kMaxBatches = 8;
// Payload of a super-frame that we put together ourselves; with headers well within 65,535.
constexpr std::size_t kMaxGathered = 60000;

std::size_t datagram_count(Bytes payload, std::uint16_t segment_size) {
  if (segment_size == 0 || payload.empty()) return 1;
  return (payload.size() + segment_size - 1) / segment_size;
}

link::FlowEnds ends(const Flow& flow) {
  return {flow.guest.address, flow.guest_mac, flow.socket};
}

struct QuoteOf {
  const Flow& flow;
  wire::Quote operator()(const wire::IpHeader& header, const host::DatagramError& error) const {
    return wire::Quote::udp(header, flow.guest.port, error.destination.port, error.payload);
  }
};

}  // namespace

const std::string* Flow::server_name(const Endpoint& remote) const {
  const auto known = std::ranges::find(servers, remote, &NamedServer::remote);
  return known != servers.end() ? &known->name : nullptr;
}

void Flow::remember_server(const Endpoint& remote, std::string name) {
  const auto known = std::ranges::find(servers, remote, &NamedServer::remote);
  if (known != servers.end()) {
    known->name = std::move(name);
    return;
  }
  if (servers.size() >= kMaxServers) servers.erase(servers.begin());
  servers.push_back({remote, std::move(name)});
}

HostError Translator::open(Flow& flow, host::Token token, Time now) {
  const auto socket = host_.open_datagram(host::DatagramKind::udp, flow.guest.address.is_v4(), token);
  if (!socket) return socket.error();
  flow.socket = *socket;
  flow.last_active = now;
  ++counters_.opened;
  return HostError::none;
}

void Translator::from_guest(Flow& flow, const wire::IpPacket& packet, const wire::UdpDatagram& datagram,
                            const Address& host_destination, std::uint16_t gso_size, Time now,
                            const std::optional<Address>& source) {
  const Endpoint to{host_destination, datagram.destination_port};
  const bool many = gso_size != 0 && datagram.payload.size() > gso_size;
  const std::size_t headers = packet.whole.size() - packet.payload.size() + wire::kUdpHeaderSize;
  const std::size_t size = many ? headers + gso_size : packet.whole.size();
  host::DatagramOptions options = link::forwarded(packet, size);
  options.segment_size = many ? gso_size : std::uint16_t{0};
  options.source = source;

  flow.last_active = now;
  if (datagram.destination_port != kDnsPort) flow.queries_only = false;
  const Outgoing outgoing{&flow, packet, {to, datagram.payload, options}, flow.audited};
  if (may_wait(outgoing)) {
    waiting_.push_back(outgoing);
    return;
  }
  flush(now);
  const HostError error = host_.send_datagram(flow.socket, to, datagram.payload, options);
  if (error == HostError::none) {
    sent(outgoing, now);
  } else {
    not_sent(outgoing, error, now);
  }
}

bool Translator::may_wait(const Outgoing& outgoing) const {
  // A super-frame is one call already.
  if (outgoing.datagram.options.segment_size != 0 || waiting_memory_.empty()) return false;
  const std::uint8_t* at = outgoing.packet.whole.data();
  const std::less<const std::uint8_t*> before;
  return !before(at, waiting_memory_.data()) && before(at, waiting_memory_.data() + waiting_memory_.size());
}

void Translator::sent(const Outgoing& outgoing, Time now) {
  const std::size_t size = outgoing.datagram.payload.size();
  const std::size_t datagrams =
      datagram_count(outgoing.datagram.payload, outgoing.datagram.options.segment_size);
  counters_.from_guest += datagrams;
  counters_.bytes_from_guest += size;
  outgoing.flow->bytes_from_guest += size;
  if (outgoing.flow->peers == nullptr) return;
  const Endpoint seen{outgoing.packet.destination, outgoing.datagram.to.port};
  outgoing.flow->peers->from_guest(seen, datagrams, size, now, outgoing.audited,
                                   outgoing.flow->server_name(seen));
}

void Translator::not_sent(const Outgoing& outgoing, HostError error, Time now) {
  ++counters_.not_sent;
  const Flow& flow = *outgoing.flow;
  const FlowCause cause = host::unsent_cause(error);
  if (flow.peers != nullptr && cause != FlowCause::none)
    flow.peers->refused({outgoing.packet.destination, outgoing.datagram.to.port}, cause, now);
  forwarding_.on_send_failed(ends(flow), error, outgoing.packet, outgoing.datagram.to.address,
                             outgoing.datagram.options.dont_fragment, QuoteOf{flow}, now);
}

void Translator::flush(Time now) {
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    // Null: it has gone along with an earlier one of its socket's.
    if (waiting_[i].flow != nullptr) flush_socket(waiting_[i].flow->socket, i, now);
  }
  waiting_.clear();
}

// Several flows may share a socket: clients of a published port.
void Translator::flush_socket(host::SocketId socket, std::size_t from, Time now) {
  run_.clear();
  run_datagrams_.clear();
  for (std::size_t i = from; i < waiting_.size(); ++i) {
    if (waiting_[i].flow == nullptr || waiting_[i].flow->socket != socket) continue;
    run_.push_back(i);
    run_datagrams_.push_back(waiting_[i].datagram);
  }
  for (std::size_t at = 0; at < run_.size();) {
    const host::DatagramsSent done = host_.send_datagrams(socket, std::span(run_datagrams_).subspan(at));
    for (std::size_t i = 0; i < done.count; ++i) sent(waiting_[run_[at + i]], now);
    at += done.count;
    if (done.error != HostError::none && at < run_.size()) not_sent(waiting_[run_[at++]], done.error, now);
  }
  for (const std::size_t i : run_) waiting_[i].flow = nullptr;
}

void Translator::on_error(Flow& flow, Time now) {
  forwarding_.pass_errors(ends(flow), QuoteOf{flow}, now);
}

bool Translator::on_readable(Flow& flow, Time now) {
  for (int batch = 0; batch < kMaxBatches; ++batch) {
    Received received = host_.receive_datagrams(flow.socket);
    if (received.empty()) return false;
    while (!received.empty()) {
      const std::size_t count = run_length(received);
      if (deliver(flow, received.first(count), now) == link::Status::gone) return false;
      received = received.subspan(count);
    }
    if (host_.took_all_datagrams()) return false;
  }
  return true;
}

std::size_t Translator::run_length(Received received) const {
  const host::ReceivedDatagram& first = received.front();
  const std::size_t headers = wire::ip_header_size(first.from.address) + wire::kUdpHeaderSize;
  const std::size_t size = first.payload.size();
  // What has to be fragmented cannot be a segment, and would be copied in vain.
  if (first.segment_size != 0 || first.truncated || headers + size > to_guest_.mtu()) return 1;
  std::size_t total = size;
  std::size_t count = 1;
  for (; count < received.size(); ++count) {
    const host::ReceivedDatagram& next = received[count];
    const bool alike = next.from == first.from && next.to == first.to && next.ttl == first.ttl &&
                       next.traffic_class == first.traffic_class && next.segment_size == 0 && !next.truncated;
    if (!alike || next.payload.empty() || next.payload.size() > size) break;
    if (total + next.payload.size() > kMaxGathered) break;
    total += next.payload.size();
    // Only the last segment may be shorter.
    if (next.payload.size() < size) return count + 1;
  }
  return count;
}

Translator::Payload Translator::gather(Received run) {
  const host::ReceivedDatagram& first = run.front();
  if (run.size() == 1) return {first.payload, first.segment_size};
  gathered_.clear();
  for (const host::ReceivedDatagram& datagram : run) {
    gathered_.insert(gathered_.end(), datagram.payload.begin(), datagram.payload.end());
  }
  return {gathered_, static_cast<std::uint16_t>(first.payload.size())};
}

std::size_t Translator::datagrams_in(Received received) {
  const host::ReceivedDatagram& first = received.front();
  return received.size() > 1 ? received.size() : datagram_count(first.payload, first.segment_size);
}

link::Status Translator::deliver(Flow& flow, Received run, Time now) {
  const host::ReceivedDatagram& first = run.front();
  const auto source = forwarding_.source_for_guest(first.from.address);
  if (!source) {
    counters_.filtered += run.size();
    return link::Status::ok;
  }
  if (first.truncated) {
    ++counters_.not_delivered;
    return link::Status::dropped;
  }
  const Payload payload = gather(run);
  const std::size_t datagrams = datagrams_in(run);
  wire::IpHeader header;
  header.source = *source;
  header.destination = flow.guest.address;
  header.ttl = link::forwarded_ttl(first.ttl);
  header.traffic_class = first.traffic_class;
  header.dont_fragment = false;  // it may need to be fragmented to reach the guest
  if (!std::exchange(flow.seen_reply, true) && answered_)
    answered_(flow.guest, {*source, first.from.port}, now);
  flow.last_active = now;
  const link::Status status = to_guest_.send_udp(flow.guest_mac, header, first.from.port, flow.guest.port,
                                                 payload.bytes, payload.segment_size);
  if (status == link::Status::ok) {
    count_to_guest(flow, {*source, first.from.port}, datagrams, payload.bytes.size(), now);
  } else {
    counters_.not_delivered += datagrams;
  }
  return status;
}

Time Translator::deadline(const Flow& flow) {
  if (flow.queries_only) return flow.last_active + kQueryIdle;
  return flow.last_active + (flow.seen_reply ? kRepliedIdle : kUnrepliedIdle);
}

void Translator::close(Flow& flow) {
  if (flow.socket == host::kNoSocket) return;
  host_.close(flow.socket);
  flow.socket = host::kNoSocket;
}

}  // namespace sf::udp
