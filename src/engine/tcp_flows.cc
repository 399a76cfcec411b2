#include "engine/tcp_flows.hh"

#include <utility>

#include "base/give_back.hh"

namespace sf::engine {

using tcp::Connection;
using tcp::Seq;

bool TcpFlows::on_segment(const FlowKey& key, const MacAddress& from, const wire::TcpSegment& segment,
                          Time now) {
  const Handle handle = table_.find(key);
  Entry* entry = table_.get(handle);
  if (entry == nullptr) return false;
  const Connection& connection = entry->flow.connection;
  // RFC 9293 section 3.10.7.4: a SYN beyond the old incarnation may begin a new one in TIME-WAIT. Before
  // anything was answered, a SYN with another number is a guest that has begun again.
  const bool syn = segment.flags.syn && !segment.flags.ack && !segment.flags.rst;
  const Seq seq{segment.sequence};
  const bool over =
      connection.phase() == Connection::Phase::time_wait || connection.phase() == Connection::Phase::closed;
  // The host still has to take what the old one has left; the guest asks again.
  if (syn && over && entry->flow.held > 0) return true;
  if (syn && ((connection.phase() == Connection::Phase::time_wait && seq > connection.receive().next()) ||
              (connection.phase() == Connection::Phase::connecting && seq != connection.irs()))) {
    translator_.forget(entry->flow);
    destroy(*entry, now);
    return false;
  }
  entry->flow.guest_mac = from;
  translator_.on_segment(entry->flow, segment, now);
  settle(handle, *entry, now);
  return true;
}

TcpFlows::Opened TcpFlows::open(const FlowKey& key, const MacAddress& from, const wire::TcpSegment& syn,
                                Destination to, Time now) {
  const OpeningBudget::Charge charge = budget_.admit(key, now);
  if (charge == OpeningBudget::Charge::none) return Opened::lost;
  if (half_open_ >= half_open_limit_) refuse_oldest_half_open(now);
  if (table_.size() >= limit_) {
    translator_.refuse_segment(from, key.guest, key.remote, syn);
    return Opened::full;
  }
  const Handle handle = table_.insert(key, translator_.accept(key.guest, key.remote, syn, now), key, from);
  Entry& entry = table_.existing(handle);
  entry.charge = charge;
  ++half_open_;
  begin_counting(entry);
  note_half_open(handle);
  entry.flow.token = make_token(TokenKind::tcp, handle);
  entry.flow.dns = entry.forwarder = to.dns;
  entry.flow.inspector = std::move(to.inspector);
  if (watch_ != nullptr) {
    begin_notes(entry, now);
    entry.flow.notes->audited = to.audited;
  }
  translator_.connect(entry.flow, Endpoint{to.address, key.remote.port}, now);
  settle(handle, entry, now);
  return Opened::yes;
}

bool TcpFlows::replaceable(const Entry& entry) {
  return entry.flow.held == 0 && entry.flow.connection.phase() == Connection::Phase::time_wait;
}

bool TcpFlows::taken(const FlowKey& key) {
  const Entry* entry = table_.get(table_.find(key));
  return entry != nullptr && !replaceable(*entry);
}

bool TcpFlows::dial(const FlowKey& key, const MacAddress& to, host::SocketId client, host::Host& host,
                    Time now) {
  // The client's kernel has found its port free again.
  if (Entry* old = table_.get(table_.find(key)); old != nullptr && replaceable(*old)) {
    translator_.forget(old->flow);
    destroy(*old, now);
  }
  if (table_.size() >= limit_ || taken(key)) {
    host.abort(client);
    if (watch_ != nullptr) tell_refused(key, now);
    return false;
  }
  const Handle handle = table_.insert(key, translator_.dial(key.guest, key.remote, now), key, to);
  Entry& entry = table_.existing(handle);
  entry.half_open = false;
  entry.inbound = entry.dialling = true;
  if (watch_ != nullptr) begin_notes(entry, now);
  ++dialling_;
  begin_counting(entry);
  entry.flow.token = make_token(TokenKind::tcp, handle);
  translator_.adopt(entry.flow, client);
  if (!host.watch(client, entry.flow.token)) {
    entry.flow.ends_by(FlowCause::host_failed);
    translator_.forget(entry.flow);
    destroy(entry, now);
    return false;
  }
  settle(handle, entry, now);
  return true;
}

std::optional<TcpFlows::Idle> TcpFlows::idle(const Entry& entry) {
  const tcp::Flow& flow = entry.flow;
  if (flow.socket == host::kNoSocket || flow.held > 0 || flow.to_guest.size() > 0) return std::nullopt;
  return Idle{flow.connection.phase() < Connection::Phase::open, flow.connection.last_heard()};
}

std::optional<TcpFlows::Idle> TcpFlows::idle(Handle handle) {
  const Entry* entry = table_.get(handle);
  return entry != nullptr ? idle(*entry) : std::nullopt;
}

std::string TcpFlows::name_of(const FlowKey& key) {
  const Entry* entry = table_.get(table_.find(key));
  return entry != nullptr && entry->flow.notes != nullptr ? entry->flow.notes->name : std::string();
}

void TcpFlows::end(Handle handle, Time now) {
  Entry* entry = table_.get(handle);
  if (entry == nullptr) return;
  translator_.abort(entry->flow, FlowCause::evicted);
  destroy(*entry, now);
}

void TcpFlows::on_host_event(Handle handle, host::Readiness readiness, Time now) {
  Entry* entry = table_.get(handle);
  if (entry == nullptr) return;
  translator_.on_host_event(entry->flow, readiness, now);
  settle(handle, *entry, now);
}

void TcpFlows::on_timer(Handle handle, Time now) {
  Entry* entry = table_.get(handle);
  if (entry == nullptr) return;
  // The heap may be early: it is not told when a deadline moves away.
  if (translator_.deadline(entry->flow) <= now) translator_.on_deadline(entry->flow, now);
  settle(handle, *entry, now);
}

bool TcpFlows::end_turn(Time now) {
  // What flush() leaves over, and flows that become due because of it, wait for the next turn.
  turn_.swap(next_turn_);
  for (const Handle handle : next_turn_) {
    Entry* entry = table_.get(handle);
    if (entry == nullptr) continue;
    entry->in_turn = false;
    const bool more = translator_.flush(entry->flow, now);
    if (tcp::Translator::finished(entry->flow)) {
      destroy(*entry, now);
      continue;
    }
    count_state(*entry);
    if (more) touch(handle, *entry);
    timers_.set(entry->timer, translator_.deadline(entry->flow), entry->flow.token);
  }
  next_turn_.clear();
  give_back(next_turn_);
  return !turn_.empty();
}

void TcpFlows::abort_all(Time now) {
  table_.for_each([this, now](Handle, Entry& entry) {
    timers_.remove(entry.timer);
    translator_.abort(entry.flow, FlowCause::program_end);
    if (entry.flow.notes != nullptr) tell(entry, now);
  });
}

void TcpFlows::touch(Handle handle, Entry& entry) {
  if (entry.in_turn) return;
  entry.in_turn = true;
  turn_.push_back(handle);
}

void TcpFlows::settle(Handle handle, Entry& entry, Time now) {
  if (tcp::Translator::finished(entry.flow)) {
    destroy(entry, now);
    return;
  }
  if (entry.half_open && entry.flow.connection.phase() > Connection::Phase::syn_received) {
    entry.half_open = false;
    --half_open_;
    if (entry.flow.connection.phase() != Connection::Phase::closed)
      budget_.completed(entry.key, entry.charge, now);
  }
  if (entry.dialling && entry.flow.connection.phase() >= Connection::Phase::open) {
    entry.dialling = false;
    --dialling_;
  }
  if (entry.flow.notes != nullptr) tell(entry, now);
  touch(handle, entry);
}

void TcpFlows::begin_notes(Entry& entry, Time now) {
  constexpr std::uint16_t kHttp = 80;
  constexpr std::uint16_t kHttps = 443;
  tcp::Flow& flow = entry.flow;
  flow.notes = std::make_unique<FlowNotes>(watch_->begin(flow.remote.address, now));
  const std::uint16_t port = flow.remote.port;
  flow.notes->awaits_name = !entry.inbound && !flow.dns && (port == kHttp || port == kHttps);
}

// A client that there is no room for.
void TcpFlows::tell_refused(const FlowKey& key, Time now) {
  FlowEvent event;
  event.kind = FlowEvent::Kind::refused;
  event.cause = FlowCause::limit;
  event.inbound = true;
  event.guest = key.guest;
  event.remote = key.remote;
  event.at = now;
  event.id = watch_->begin(key.remote.address, now).id;
  watch_->on_flow(event);
}

// What has become of it since the last time.
void TcpFlows::tell(Entry& entry, Time now) {
  FlowNotes& notes = *entry.flow.notes;
  if (notes.told_ended) return;
  using Phase = Connection::Phase;
  const Phase phase = entry.flow.connection.phase();
  // The client of a published port is there from the beginning: then it is for the guest to answer.
  const bool opened = phase == Phase::syn_received || phase == Phase::open || phase == Phase::time_wait;
  if (opened && !notes.told_opened) {
    notes.told_opened = true;
    tell(entry, FlowEvent::Kind::opened, FlowCause::none, now);
  }
  if (std::exchange(notes.audits_name, false)) tell(entry, FlowEvent::Kind::audited, FlowCause::policy, now);
  // What is left then is to see the last ACK through.
  const bool over = phase == Phase::time_wait && entry.flow.held == 0;
  if (!over && phase != Phase::closed) return;
  notes.told_ended = true;
  const FlowCause cause = entry.flow.cause;
  if (notes.told_opened) {
    tell(entry, FlowEvent::Kind::ended, cause == FlowCause::none ? FlowCause::finished : cause, now);
  } else {
    tell(entry, FlowEvent::Kind::refused, cause == FlowCause::guest_silent ? FlowCause::no_answer : cause,
         now);
  }
}

void TcpFlows::tell(Entry& entry, FlowEvent::Kind kind, FlowCause cause, Time now) {
  const tcp::Flow& flow = entry.flow;
  FlowEvent event;
  event.kind = kind;
  event.cause = cause;
  event.inbound = entry.inbound;
  event.forwarder = entry.forwarder;
  event.audited = flow.notes->audited;
  event.guest = flow.guest;
  event.remote = flow.remote;
  event.at = now;
  event.id = flow.notes->id;
  event.name = flow.notes->name;
  event.server_name = flow.notes->server_name;
  event.counts = {flow.bytes_from_guest, flow.bytes_to_guest, flow.packets_from_guest, flow.packets_to_guest};
  event.duration = now - flow.notes->opened;
  const Duration rtt = flow.connection.transmit().rtt().smoothed();
  if (rtt != Duration::zero()) event.rtt = rtt;
  event.remote_rtt = flow.notes->remote_rtt;
  watch_->on_flow(event);
}

void TcpFlows::note_half_open(Handle handle) {
  const auto is_over = [this](const Handle& old) {
    const Entry* entry = table_.get(old);
    return entry == nullptr || !entry->half_open;
  };
  while (!half_open_order_.empty() && is_over(half_open_order_.front())) half_open_order_.pop_front();
  // One that hangs at the front must not keep all that came and went behind it.
  if (half_open_order_.size() > 2 * half_open_limit_) std::erase_if(half_open_order_, is_over);
  half_open_order_.push_back(handle);
}

void TcpFlows::refuse_oldest_half_open(Time now) {
  while (!half_open_order_.empty()) {
    Entry* entry = table_.get(half_open_order_.front());
    half_open_order_.pop_front();
    if (entry == nullptr || !entry->half_open) continue;
    translator_.abort(entry->flow, FlowCause::evicted);
    destroy(*entry, now);
    return;
  }
}

void TcpFlows::begin_counting(Entry& entry) {
  entry.counted = entry.flow.connection.state();
  ++by_state_[static_cast<std::size_t>(entry.counted)];
}

// Once per turn of the flow's, so that nobody has to look at all flows to know.
void TcpFlows::count_state(Entry& entry) {
  const tcp::State state = entry.flow.connection.state();
  if (state == entry.counted) return;
  --by_state_[static_cast<std::size_t>(entry.counted)];
  ++by_state_[static_cast<std::size_t>(state)];
  entry.counted = state;
}

void TcpFlows::destroy(Entry& entry, Time now) {
  if (entry.flow.notes != nullptr) tell(entry, now);
  --by_state_[static_cast<std::size_t>(entry.counted)];
  if (entry.half_open) --half_open_;
  if (entry.dialling) --dialling_;
  timers_.remove(entry.timer);
  const FlowKey key = entry.key;
  table_.erase(key);
}

}  // namespace sf::engine
