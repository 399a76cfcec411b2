#include "engine/tcp_flows.hh"

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
    destroy(*entry);
    return false;
  }
  entry->flow.guest_mac = from;
  translator_.on_segment(entry->flow, segment, now);
  settle(handle, *entry, now);
  return true;
}

bool TcpFlows::open(const FlowKey& key, const MacAddress& from, const wire::TcpSegment& syn, Destination to,
                    Time now) {
  if (half_open_ >= half_open_limit_) {
    // Each costs several system calls. In a faster flood the rest of the SYNs is lost, and the flows that
    // there are go on; a program that means it sends its SYN again.
    if (!room_.admit(now)) return false;
    refuse_oldest_half_open();
  }
  if (table_.size() >= limit_) {
    translator_.refuse_segment(from, key.guest, key.remote, syn);
    return false;
  }
  const Handle handle = table_.insert(key, translator_.accept(key.guest, key.remote, syn, now), key, from);
  Entry& entry = table_.existing(handle);
  ++half_open_;
  note_half_open(handle);
  entry.flow.token = make_token(TokenKind::tcp, handle);
  entry.flow.dns = to.dns;
  entry.flow.inspector = std::move(to.inspector);
  translator_.connect(entry.flow, Endpoint{to.address, key.remote.port}, now);
  settle(handle, entry, now);
  return true;
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
    destroy(*old);
  }
  if (table_.size() >= limit_ || taken(key)) {
    host.abort(client);
    return false;
  }
  const Handle handle = table_.insert(key, translator_.dial(key.guest, key.remote, now), key, to);
  Entry& entry = table_.existing(handle);
  entry.half_open = false;
  entry.inbound = entry.dialling = true;
  ++dialling_;
  entry.flow.token = make_token(TokenKind::tcp, handle);
  translator_.adopt(entry.flow, client);
  if (!host.watch(client, entry.flow.token)) {
    translator_.forget(entry.flow);
    destroy(entry);
    return false;
  }
  settle(handle, entry, now);
  return true;
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
      destroy(*entry);
      continue;
    }
    if (more) touch(handle, *entry);
    timers_.set(entry->timer, translator_.deadline(entry->flow), entry->flow.token);
  }
  next_turn_.clear();
  return !turn_.empty();
}

void TcpFlows::abort_all() {
  table_.for_each([this](Handle, Entry& entry) {
    timers_.remove(entry.timer);
    translator_.abort(entry.flow);
  });
}

void TcpFlows::touch(Handle handle, Entry& entry) {
  if (entry.in_turn) return;
  entry.in_turn = true;
  turn_.push_back(handle);
}

void TcpFlows::settle(Handle handle, Entry& entry, Time now) {
  (void)now;
  if (tcp::Translator::finished(entry.flow)) {
    destroy(entry);
    return;
  }
  if (entry.half_open && entry.flow.connection.phase() > Connection::Phase::syn_received) {
    entry.half_open = false;
    --half_open_;
  }
  if (entry.dialling && entry.flow.connection.phase() >= Connection::Phase::open) {
    entry.dialling = false;
    --dialling_;
  }
  touch(handle, entry);
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

void TcpFlows::refuse_oldest_half_open() {
  while (!half_open_order_.empty()) {
    Entry* entry = table_.get(half_open_order_.front());
    half_open_order_.pop_front();
    if (entry == nullptr || !entry->half_open) continue;
    translator_.abort(entry->flow);
    destroy(*entry);
    return;
  }
}

void TcpFlows::destroy(Entry& entry) {
  if (entry.half_open) --half_open_;
  if (entry.dialling) --dialling_;
  timers_.remove(entry.timer);
  const FlowKey key = entry.key;
  table_.erase(key);
}

}  // namespace sf::engine
