#include "tcp/translator.hh"

#include <array>

#include "host/flow_cause.hh"

namespace sf::tcp {
namespace {

using host::HostError;

constexpr std::uint32_t kFrameUnit = 65536;  // what a flush counts as one frame
// Parts of one read, and of one super-frame: pieces may be entered anywhere, and be left half-filled.
constexpr std::size_t kMaxParts = link::Link::kMaxParts - 1;
static_assert(link::kMaxBigTcpPacket / (PieceQueue::kRoom - PieceQueue::kWorthwhile) + 2 <= kMaxParts);

wire::IpHeader ip_header(const Flow& flow) {
  wire::IpHeader ip;
  ip.source = flow.remote.address;
  ip.destination = flow.guest.address;
  ip.protocol = static_cast<std::uint8_t>(wire::IpProtocol::tcp);
  return ip;
}

}  // namespace

void Translator::on_segment(Flow& flow, const wire::TcpSegment& segment, Time now) {
  const bool dialling = flow.connection.phase() == Connection::Phase::syn_sent;
  const bool connecting = flow.connection.phase() == Connection::Phase::connecting;
  ++flow.packets_from_guest;
  if (!flow.keeps_alive) keep_alive_as_guest(flow, segment);
  const SegmentOutcome outcome = flow.connection.on_segment(segment, now);
  if (outcome.reset) {
    ++counters_.resets_from_guest;
    // In TIME-WAIT both streams were whole: what the guest was told has arrived still goes to the host.
    if (flow.held > 0 && flow.connection.guest_finished() && flow.connection.fin_acked())
      return linger(flow, now);
    flow.ends_by(dialling     ? FlowCause::guest_refused
                 : connecting ? FlowCause::withdrawn
                              : FlowCause::guest_reset);
    end(flow, true);
    return;
  }
  if (outcome.refuse) {
    refuse_segment(flow.guest_mac, flow.guest, flow.remote, segment);
    return;
  }
  if (dialling && flow.connection.phase() == Connection::Phase::open) update_window(flow);
  if (outcome.acked > 0) flow.to_guest.release(outcome.acked);
  if (outcome.plan.take > 0 || outcome.plan.fin) take_payload(flow, segment, outcome.plan, now);
  if (finished(flow)) {
    end(flow, false);
    return;
  }
  linger(flow, now);
  if (flow.connection.unacknowledged() >= Connection::kCapacity / 2) {
    while (flow.connection.ack_pending() && emit(flow, now).has_value()) {
    }
  }
}

// The guest's probes are answered here, and so say nothing of the far end: what they ask for, the host's own
// do.
void Translator::keep_alive_as_guest(Flow& flow, const wire::TcpSegment& segment) {
  const Connection& connection = flow.connection;
  // RFC 9293 section 3.8.4. Probes of a shut window look the same.
  const bool probe = connection.phase() == Connection::Phase::open && segment.payload.empty() &&
                     !segment.flags.syn && !segment.flags.fin && !segment.flags.rst &&
                     Seq{segment.sequence} + 1 == connection.receive().next() && flow.held == 0;
  if (!probe || flow.socket == host::kNoSocket) return;
  flow.keeps_alive = true;
  host_.keep_alive(flow.socket);
}

void Translator::take_payload(Flow& flow, const wire::TcpSegment& segment, const ReceivePlan& plan,
                              Time now) {
  const Bytes payload = take(base::drop(segment.payload, plan.skip), plan.take);
  if (flow.notes != nullptr && flow.notes->awaits_name && flow.inspector == nullptr && plan.offset == 0)
    note_server_name(flow, payload);
  std::uint32_t stored = plan.take;
  std::uint32_t passed = 0;  // straight on to the host
  if (flow.host_failed) {
    passed = plan.offset == 0 ? plan.take : 0;
    flow.from_guest.advance(passed);
  } else {
    if (plan.offset == 0 && flow.held == 0 && flow.host_writable && !payload.empty() &&
        flow.inspector == nullptr && flow.replay == nullptr) {
      const Bytes piece[] = {payload};
      const host::IoResult result = host_.send(flow.socket, piece);
      if (result.error != HostError::none && result.error != HostError::would_block) {
        host_stream_failed(flow, result.error);
        passed = plan.take;
      } else {
        passed = static_cast<std::uint32_t>(result.bytes);
        flow.host_writable = passed == payload.size();
      }
      flow.from_guest.advance(passed);
    }
    if (passed < plan.take) {
      const std::uint32_t at = flow.held + plan.offset;
      stored =
          passed + static_cast<std::uint32_t>(flow.from_guest.store(pool_, at, base::drop(payload, passed)));
    }
  }
  const std::uint32_t grown = flow.connection.commit(plan, stored, now);
  if (flow.host_failed) {
    // Whatever was held out of order behind a gap is of no use to anybody now.
    flow.from_guest.advance(grown > passed ? grown - passed : 0);
    flow.held = 0;
  } else {
    flow.held += grown - passed;
  }
  flow.bytes_from_guest += grown;
  counters_.bytes_from_guest += grown;
  if (flow.inspector != nullptr && !flow.host_failed && !inspect(flow, now)) return;
  drain_to_host(flow);
  await_answer(flow, now);
  update_window(flow);
}

// What waits to be seen, as much of it as an inspector sees at once.
void Translator::gather_uninspected(Flow& flow) {
  std::array<Bytes, TailBuffer::kMaxSlices> slices;
  const std::size_t count = flow.from_guest.slices(flow.held, slices);
  std::size_t passed = flow.inspector->cleared;
  inspected_.clear();
  for (std::size_t i = 0; i < count; ++i) {
    const Bytes waiting = base::drop(slices[i], passed);
    passed -= slices[i].size() - waiting.size();
    const Bytes part = take(waiting, Inspector::kMaxSeen - inspected_.size());
    inspected_.insert(inspected_.end(), part.begin(), part.end());
  }
}

void Translator::note_audit(Flow& flow) {
  flow.notes->audited = flow.notes->audits_name = true;
  if (const auto name = flow.inspector->server_name(); !name.empty()) flow.notes->server_name = name;
}

bool Translator::inspect(Flow& flow, Time now) {
  Inspector::Verdict verdict;
  do {
    gather_uninspected(flow);
    if (flow.notes != nullptr && flow.notes->awaits_name) note_server_name(flow, inspected_);
    verdict = flow.inspector->from_guest(inspected_, now);
    flow.inspector->cleared += verdict.passes;
    if (verdict.audited && flow.notes != nullptr) note_audit(flow);
  } while (verdict.passes > 0 && !verdict.done && !verdict.refused && flow.inspector->cleared < flow.held);
  // What is not whole when the guest has ended its stream never will be.
  const bool cut_short =
      flow.connection.guest_finished() && !verdict.done && flow.inspector->cleared < flow.held;
  if (verdict.refused || cut_short) {
    flow.ends_by(FlowCause::policy);
    reset_guest(flow);
    return false;
  }
  if (verdict.done) flow.inspector.reset();
  return true;
}

void Translator::drain_to_host(Flow& flow) {
  if (flow.host_writable && !say_again(flow)) return;
  while (sendable(flow) > 0 && flow.host_writable && !flow.host_failed) {
    std::array<Bytes, TailBuffer::kMaxSlices> slices;
    const std::uint32_t most = sendable(flow);
    const std::size_t count = flow.from_guest.slices(most, slices);
    const host::IoResult result = host_.send(flow.socket, {slices.data(), count});
    if (result.error != HostError::none && result.error != HostError::would_block) {
      host_stream_failed(flow, result.error);
      break;
    }
    const auto taken = static_cast<std::uint32_t>(result.bytes);
    remember(flow, std::span(slices).first(count), taken);
    flow.from_guest.advance(taken);
    flow.held -= taken;
    if (flow.inspector != nullptr) flow.inspector->cleared -= taken;
    if (taken < most) flow.host_writable = false;
  }
  pass_fin_on(flow);
}

void Translator::pass_fin_on(Flow& flow) {
  if (!flow.connection.guest_finished() || flow.held > 0 || flow.send_shut || flow.socket == host::kNoSocket)
    return;
  if (flow.host_connecting || (flow.replay != nullptr && flow.replay->again > 0)) return;
  flow.send_shut = true;
  host_.shutdown_send(flow.socket);
  if (flow.host_ended) close_socket(flow);
}

void Translator::update_window(Flow& flow) {
  // A piece stays until its last byte has passed; a flow that holds nothing gives it back earlier.
  if (flow.held == 0 && flow.connection.receive().out_of_order().empty()) flow.from_guest.clear();
  flow.connection.set_held(flow.held, capacity());
}

std::uint32_t Translator::capacity() const {
  return pool_.pressed() ? Connection::kPressedCapacity : Connection::kCapacity;
}

// The inspector sees what was received. False: the guest must not.
bool Translator::show(Flow& flow, std::span<const MutBytes> parts, std::size_t bytes, Time now) {
  for (const MutBytes part : parts) {
    const Bytes seen = take(part, bytes);
    bytes -= seen.size();
    if (!seen.empty() && !flow.inspector->to_guest(seen, now)) return false;
  }
  return true;
}

bool Translator::read_from_host(Flow& flow, Time now) {
  const bool silent_may = flow.replay != nullptr && flow.replay->silent.readable;
  if (!silent_may && (!flow.host_readable || flow.host_ended || flow.socket == host::kNoSocket)) return false;
  const std::uint32_t most = std::min(flow.connection.room(flow.to_guest.size()), max_payload(flow));
  if (most == 0) return false;
  std::array<MutBytes, kMaxParts> parts;
  const std::size_t count = flow.to_guest.room(pool_, most, parts);
  if (count == 0) {
    // With something in flight its ACK comes back here; without, only time can bring memory.
    if (flow.to_guest.size() == 0) flow.retry_at = now + kStarvedRetry;
    return false;
  }
  flow.retry_at = kNever;
  const std::span<const MutBytes> into(parts.data(), count);
  host::IoResult result = hear_silent(flow, into);
  if (result.bytes == 0) {
    if (!flow.host_readable) return false;
    result = host_.receive(flow.socket, into);
  }
  if (flow.inspector != nullptr && !show(flow, into, result.bytes, now)) {
    flow.ends_by(FlowCause::policy);
    reset_guest(flow);
    return false;
  }
  flow.to_guest.append(result.bytes);
  if (result.bytes > 0) {
    if (flow.replay != nullptr) decide_server(flow);
    flow.bytes_to_guest += result.bytes;
    counters_.bytes_to_guest += result.bytes;
    // Edge-triggered: a short read has emptied the socket, unless its end is near.
    std::size_t asked = 0;
    for (const MutBytes part : into) asked += part.size();
    if (result.bytes < asked && !flow.host_closing) flow.host_readable = false;
    return true;
  }
  if (result.error == HostError::would_block && !flow.host_failed) {
    flow.host_readable = false;
    return false;
  }
  if (!flow.host_failed && has_other_server(flow, now)) {  // it ends without an answer
    connect_next_server(flow, HostError::reset, now);
    return flow.host_readable;
  }
  if (result.error != HostError::none || flow.host_failed) {
    while (emit(flow, now).has_value()) {  // what came before it is the guest's
    }
    flow.ends_by(host::end_cause(result.error));
    reset_guest(flow);
    return false;
  }
  flow.host_ended = true;
  flow.connection.host_finished();
  if (flow.send_shut) close_socket(flow);
  return true;
}

// The host takes nothing any more. What it had sent before is still the guest's, so that is read first; the
// RST follows when reading says how it ended.
void Translator::host_stream_failed(Flow& flow, HostError error) {
  flow.ends_by(host::end_cause(error));  // reading may not tell it once more
  flow.host_failed = true;
  flow.host_writable = false;
  flow.from_guest.advance(flow.held);
  flow.held = 0;
  flow.from_guest.clear();
  flow.host_readable = true;
  flow.host_closing = true;
  if (!flow.host_ended) return;
  reset_guest(flow);
}

void Translator::on_host_event(Flow& flow, host::Readiness readiness, Time now) {
  if (flow.socket == host::kNoSocket) return;
  // They have the same token: which of them has something to say, asking tells.
  if (flow.replay != nullptr) flow.replay->silent.readable = flow.replay->silent.socket != host::kNoSocket;
  if (flow.connection.phase() == Connection::Phase::connecting || flow.host_connecting) {
    const HostError error = host_.finish_connect(flow.socket);
    if (error == HostError::in_progress) return;
    if (error != HostError::none) {
      connect_failed(flow, error, now);
      return;
    }
    flow.connect_deadline = kNever;
    flow.host_writable = true;
    if (!std::exchange(flow.host_connecting, false)) flow.connection.host_connected(now);
    update_window(flow);
  }
  if (readiness.read_closed || readiness.hang_up || readiness.error) flow.host_closing = true;
  if (readiness.readable || flow.host_closing) flow.host_readable = true;
  const bool dialling = flow.connection.phase() == Connection::Phase::syn_sent;
  if (readiness.error && (flow.host_ended || dialling)) {
    // Nothing is left to read that would tell; or the client has gone before the guest answered.
    flow.ends_by(dialling ? FlowCause::withdrawn : FlowCause::remote_reset);
    reset_guest(flow);
    return;
  }
  if (readiness.writable && !flow.host_failed) {
    flow.host_writable = true;
    drain_to_host(flow);
    await_answer(flow, now);
    if (!finished(flow)) update_window(flow);
  }
}

bool Translator::flush(Flow& flow, Time now) {
  if (finished(flow)) return false;
  std::uint32_t budget = kFramesPerFlush;
  while (budget > 0) {
    const bool progress = read_from_host(flow, now);
    // Where the end is near: the FIN goes in one frame with the last bytes, and has one ACK with them.
    if (progress && flow.host_closing && !finished(flow)) static_cast<void>(read_from_host(flow, now));
    if (finished(flow)) return false;
    bool sent = false;
    while (budget > 0) {
      const auto length = emit(flow, now);
      if (!length) break;
      sent = true;
      budget -= std::min(budget, 1 + *length / kFrameUnit);
    }
    if (!progress && !sent) break;
  }
  const TransmitHalf& transmit = flow.connection.transmit();
  const bool waiting = (flow.host_readable && !flow.host_ended) ||
                       flow.to_guest.size() > transmit.in_flight() ||
                       (flow.host_ended && !transmit.fin_sent());
  flow.connection.set_blocked(waiting && budget > 0 && flow.retry_at == kNever, now);
  return budget == 0;
}

std::optional<std::uint32_t> Translator::emit(Flow& flow, Time now) {
  auto emission = flow.connection.next(flow.to_guest.size(), max_payload(flow), now);
  if (!emission) return std::nullopt;
  send_segment(flow, emission->header, emission->offset, emission->length);
  return emission->length;
}

void Translator::send_segment(Flow& flow, wire::TcpSegment& header, std::uint32_t offset,
                              std::uint32_t length) {
  header.source_port = flow.remote.port;
  header.destination_port = flow.guest.port;
  ++flow.packets_to_guest;
  std::array<Bytes, kMaxParts> pieces;
  const std::size_t count = flow.to_guest.slices(offset, length, pieces);
  // A frame that the link does not take is one lost on the way: retransmission has the answer.
  static_cast<void>(to_guest_.send_tcp(flow.guest_mac, ip_header(flow), header, {pieces.data(), count},
                                       static_cast<std::uint16_t>(flow.connection.segment_size())));
}

std::uint32_t Translator::max_payload(const Flow& flow) const {
  const auto headers =
      static_cast<std::uint32_t>(wire::ip_header_size(flow.guest.address) + wire::kTcpMaxHeaderSize);
  const std::uint32_t segment = flow.connection.segment_size();
  const std::uint32_t packet =
      flow.connection.transmit().big_is_cut() ? link::ToGuest::kMaxIpPacket : to_guest_.max_tcp_packet();
  return std::max(segment, (packet - headers) / segment * segment);
}

void Translator::on_deadline(Flow& flow, Time now) {
  if (flow.connect_deadline <= now) {
    connect_next_server(flow, HostError::timed_out, now);
    return;
  }
  if (flow.retry_at <= now) flow.retry_at = kNever;  // flush() tries again
  if (!flow.connection.on_deadline(now)) {
    ++counters_.given_up;
    flow.ends_by(FlowCause::guest_silent);
    reset_guest(flow);
  } else if (finished(flow)) {
    end(flow, false);
  } else if (flow.linger_at <= now && flow.held == flow.linger_held) {
    ++counters_.given_up;
    flow.ends_by(FlowCause::no_answer);
    end(flow, true);
  } else {
    linger(flow, now);
  }
}

void Translator::linger(Flow& flow, Time now) {
  if (flow.connection.phase() != Connection::Phase::closed) return;
  if (flow.linger_at != kNever && flow.linger_at > now) return;
  flow.linger_at = now + kLinger;
  flow.linger_held = flow.held;
}

Time Translator::deadline(const Flow& flow) {
  return std::min({flow.connection.deadline(), flow.connect_deadline, flow.retry_at, flow.linger_at});
}

}  // namespace sf::tcp
