#include "services/dns_forwarder.hh"

#include <algorithm>
#include <utility>

#include "base/give_back.hh"
#include "base/sums.hh"
#include "link/network.hh"

namespace sf::services {
namespace {

// What a server says that will not serve us, though another one may.
bool is_refusal(wire::DnsRcode rcode) {
  return rcode == wire::DnsRcode::server_failure || rcode == wire::DnsRcode::not_implemented ||
         rcode == wire::DnsRcode::refused;
}

// Some servers do not repeat the question of a query that they will not look at.
bool answers_question(const wire::DnsHeader& header, Bytes answer, const wire::DnsQuestion& question) {
  if (header.questions == 0) return header.rcode != wire::DnsRcode::no_error;
  const auto message = wire::DnsMessage::parse(answer);
  return message && message->question.matches(question);
}

// "nameserver 0.0.0.0" means this machine; answers come from its loopback address, and have to match.
Endpoint reachable(Endpoint server) {
  if (server.address.is_unspecified()) {
    server.address = server.address.is_v4() ? link::kLoopback4 : link::kLoopback6;
  }
  return server;
}

}  // namespace

void DnsCounters::add(const DnsCounters& other) {
  using C = DnsCounters;
  add_members(*this, other, &C::queries, &C::answers, &C::malformed, &C::duplicates, &C::overflows,
              &C::failures, &C::timeouts, &C::refused, &C::rejected);
}

std::optional<std::size_t> DnsForwarder::Pending::asked_server(const Endpoint& from) const {
  for (std::size_t i = 0; i < server_count; ++i) {
    if ((sent_mask & (1U << i)) != 0 && servers[i] == from) return i;
  }
  return std::nullopt;
}

DnsForwarder::DnsForwarder(host::Host& host, DnsReplySink& sink, Random random, host::Token base_token)
    : host_(host), sink_(sink), random_(std::move(random)), pool_(host, base_token) {}

void DnsForwarder::query(const Endpoint& guest, const MacAddress& guest_mac, const Endpoint& dns_address,
                         Bytes message, Time now) {
  ++counters_.queries;
  const auto header = wire::DnsHeader::parse(message);
  // A response is never answered: two forwarders that answered each other's errors would do so for ever.
  if (!header || header->response) {
    ++counters_.malformed;
    return;
  }
  Pending query;
  query.guest = guest;
  query.guest_mac = guest_mac;
  query.dns_address = dns_address;
  query.guest_id = header->id;
  query.started = now;
  query.message.assign(message.begin(), message.end());
  // One question and no other number of them is what anybody understands (RFC 9619 section 4).
  auto parsed = wire::DnsMessage::parse(message);
  if (!parsed) {
    ++counters_.malformed;
    return reply_error(query, wire::DnsRcode::format_error, now);
  }
  query.question = std::move(parsed->question);
  if (gate_ != nullptr && !admits(query, *header, now)) return;
  if (is_duplicate(query)) {
    ++counters_.duplicates;
    return;
  }
  if (pending_.size() >= kMaxPending || pending_bytes_ + message.size() > kMaxPendingBytes) {
    ++counters_.overflows;
    return reply_error(query, wire::DnsRcode::server_failure, now);
  }
  for (const Endpoint& server : host_.resolvers(now).servers) {
    if (query.server_count == kMaxServers) break;
    query.servers[query.server_count++] = reachable(server);
  }
  const std::uint16_t id = free_id();
  wire::set_dns_id(query.message, id);
  pending_bytes_ += query.message.size();
  advance(pending_.emplace(id, std::move(query)).first, now);
}

bool DnsForwarder::admits(const Pending& query, const wire::DnsHeader& header, Time now) {
  bool audited = false;
  const policy::Gate::Question question = gate_->ask(header, query.question, &audited);
  if (questions_ != nullptr && (audited || question != policy::Gate::Question::passes))
    questions_->refused(query.guest, query.question, audited, now);
  if (question == policy::Gate::Question::passes) return true;
  ++counters_.refused;
  const bool silent = question == policy::Gate::Question::no_such_name;
  reply_error(query, silent ? wire::DnsRcode::name_error : wire::DnsRcode::refused, now);
  return false;
}

bool DnsForwarder::is_duplicate(const Pending& query) const {
  return std::any_of(pending_.begin(), pending_.end(), [&](const auto& entry) {
    const Pending& other = entry.second;
    return other.guest == query.guest && other.guest_id == query.guest_id &&
           other.dns_address == query.dns_address && other.question == query.question;
  });
}

std::uint16_t DnsForwarder::free_id() const {
  // Few of the ids are ever in use, so nearly always the first one is free.
  static_assert(kMaxPending < 65536 / 2);
  auto id = static_cast<std::uint16_t>(random_());
  while (pending_.contains(id)) ++id;
  return id;
}

void DnsForwarder::reply_error(const Pending& query, wire::DnsRcode rcode, Time now) {
  std::array<std::uint8_t, 512> buffer{};
  Writer out{buffer};
  wire::emit_dns_error(out, query.message, rcode);
  wire::set_dns_id(out.written(), query.guest_id);
  sink_.dns_reply(query.guest, query.guest_mac, query.dns_address, out.written(), now);
}

void DnsForwarder::advance(PendingMap::iterator it, Time now) {
  Pending& query = it->second;
  while (query.has_attempts_left() && now < query.started + kMaximumLife) {
    const std::size_t server = query.attempts++ % query.server_count;
    if (!send(query, server)) continue;
    query.deadline = now + kServerTimeout;
    if (!query.has_attempts_left()) query.deadline = std::max(query.deadline, query.started + kMinimumLife);
    return wake_by(query.deadline);
  }
  if (query.awaited_mask == 0 || now >= query.started + kMinimumLife) return give_up(it, now);
  query.deadline = query.started + kMinimumLife;
  wake_by(query.deadline);
}

bool DnsForwarder::send(Pending& query, std::size_t server) {
  const Endpoint& to = query.servers[server];
  const bool v4 = to.address.is_v4();
  std::uint32_t& socket = query.sockets[v4 ? 0 : 1];
  // The same socket for all servers of a family, so that late answers of earlier ones still arrive where they
  // are expected.
  if (socket == kNoIndex) {
    const auto picked = pool_.pick(v4, random_());
    if (!picked) return false;
    socket = *picked;
  }
  const host::HostError error = host_.send_datagram(pool_.at(socket), to, query.message, {});
  // A full socket buffer is a lost packet as any other: the timeout is for that.
  if (error != host::HostError::none && error != host::HostError::would_block) return false;
  query.sent_mask |= 1U << server;
  query.awaited_mask |= 1U << server;
  return true;
}

void DnsForwarder::server_failed(PendingMap::iterator it, std::size_t server, Time now) {
  Pending& query = it->second;
  query.awaited_mask &= ~(1U << server);
  if (query.last_server() == server || query.awaited_mask == 0) advance(it, now);
}

void DnsForwarder::give_up(PendingMap::iterator it, Time now) {
  ++counters_.failures;
  if (it->second.awaited_mask != 0) ++counters_.timeouts;
  const Pending query = finish(it, now);
  reply_error(query, wire::DnsRcode::server_failure, now);
}

DnsForwarder::Pending DnsForwarder::finish(PendingMap::iterator it, Time now) {
  Pending query = std::move(it->second);
  pending_.erase(it);
  pending_bytes_ -= query.message.size();
  idle_since_ = now;
  if (pending_.empty() && pool_.any_open()) wake_by(now + kIdleClose);
  return query;
}

void DnsForwarder::on_socket_event(std::uint32_t socket_index, host::Readiness readiness, Time now) {
  // Looked up anew each time: a callback may have closed it.
  if (readiness.error) {
    host::DatagramError error;
    while (pool_.at(socket_index) != host::kNoSocket && host_.receive_error(pool_.at(socket_index), error)) {
      on_error(socket_index, error, now);
    }
  }
  while (pool_.at(socket_index) != host::kNoSocket) {
    const auto datagrams = host_.receive_datagrams(pool_.at(socket_index));
    if (datagrams.empty()) break;
    const bool all = host_.took_all_datagrams();
    for (const host::ReceivedDatagram& datagram : datagrams) {
      if (datagram.truncated) {
        ++counters_.rejected;
        continue;
      }
      const std::size_t step = datagram.segment_size != 0 ? datagram.segment_size : datagram.payload.size();
      Bytes rest = datagram.payload;
      do {
        on_answer(socket_index, datagram.from, take(rest, step), now);
        rest = drop(rest, step);
      } while (!rest.empty());
    }
    if (all) break;
  }
}

void DnsForwarder::on_answer(std::uint32_t socket_index, const Endpoint& from, Bytes answer, Time now) {
  const auto header = wire::DnsHeader::parse(answer);
  const auto it = header && header->response ? pending_.find(header->id) : pending_.end();
  if (it == pending_.end() || !it->second.waits_on(socket_index)) {
    ++counters_.rejected;
    return;
  }
  Pending& query = it->second;
  const auto server = query.asked_server(from);
  if (!server || !answers_question(*header, answer, query.question)) {
    ++counters_.rejected;
    return;
  }
  // The next server is asked while there is one that was not; then the refusal is the answer.
  if (is_refusal(header->rcode) && query.attempts < query.server_count)
    return server_failed(it, *server, now);

  if (watch_ != nullptr) watch_->on_dns_answer(answer);
  if (gate_ != nullptr && !gate_->learn(answer, now)) {
    // As if there were no such record: clients go on with addresses alone.
    ++counters_.refused;
    return reply_error(finish(it, now), wire::DnsRcode::no_error, now);
  }
  ++counters_.answers;
  scratch_.assign(answer.begin(), answer.end());
  wire::set_dns_id(scratch_, query.guest_id);
  const Pending done = finish(it, now);
  sink_.dns_reply(done.guest, done.guest_mac, done.dns_address, scratch_, now);
}

void DnsForwarder::on_error(std::uint32_t socket_index, const host::DatagramError& error, Time now) {
  // The query is known by its id, which is the first that a quote has; where the host knows nothing of the
  // payload, all that wait for that server are meant.
  std::vector<std::uint16_t> ids;
  if (error.payload.size() >= 2) {
    ids.push_back(wire::dns_id(error.payload));
  } else {
    for (const auto& [id, query] : pending_) ids.push_back(id);
  }
  for (const std::uint16_t id : ids) {
    const auto it = pending_.find(id);
    if (it == pending_.end() || !it->second.waits_on(socket_index)) continue;
    const auto server = it->second.asked_server(error.destination);
    if (server && (it->second.awaited_mask & (1U << *server)) != 0) server_failed(it, *server, now);
  }
}

void DnsForwarder::on_deadline(Time now) {
  if (now < deadline_) return;
  std::vector<std::uint16_t> due;
  deadline_ = kNever;
  for (const auto& [id, query] : pending_) {
    if (query.deadline <= now) {
      due.push_back(id);
    } else {
      wake_by(query.deadline);
    }
  }
  for (const std::uint16_t id : due) {
    // A reply to the guest may have led to anything in between.
    const auto it = pending_.find(id);
    if (it == pending_.end() || it->second.deadline > now) continue;
    if (it->second.has_attempts_left()) {
      advance(it, now);
    } else {
      give_up(it, now);
    }
  }
  if (!pending_.empty() || !pool_.any_open()) return;
  if (now < idle_since_ + kIdleClose) return wake_by(idle_since_ + kIdleClose);
  pool_.close_all();
  give_back_all(scratch_);
}

}  // namespace sf::services
