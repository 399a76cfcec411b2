#include "host/loopback_ports.hh"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

#include "host/linux_address.hh"
#include "host/linux_listen.hh"

namespace sf::host {
namespace {

// What an event is about; the rest of a token is a handle, or a port's id.
enum class Role : std::uint8_t { listener4 = 1, listener6 = 2, client = 3, guest = 4, datagrams = 5 };

Token make_token(Role role, Handle handle) {
  return EventLoop::kSideToken | (static_cast<Token>(role) << 56) | (Token{handle.generation} << 32) |
         handle.index;
}
Role role_of(Token token) {
  return static_cast<Role>((token >> 56) & 0x3f);
}
Handle handle_of(Token token) {
  return {static_cast<std::uint32_t>(token), static_cast<std::uint32_t>(token >> 32) & 0xffffffU};
}

Address loopback(bool v4) {
  return v4 ? Address::v4(127, 0, 0, 1) : Address().plus(1);
}

// A socket holds the guest's namespace. Where the process at its other end is gone and the client stays, the
// kernel inside forgets that end after a minute (net.ipv4.tcp_fin_timeout), and answers a probe with a reset.
void set_keepalive(int fd) {
  constexpr std::array<std::array<int, 3>, 3> kOptions{
      {{SOL_SOCKET, SO_KEEPALIVE, 1}, {IPPROTO_TCP, TCP_KEEPIDLE, 30}, {IPPROTO_TCP, TCP_KEEPINTVL, 15}}};
  for (const auto& [level, name, value] : kOptions) ::setsockopt(fd, level, name, &value, sizeof(value));
}

// Of a listener; its clients inherit it. One that has vanished would keep its connection for ever.
void probe_vanished(int listener) {
  constexpr int kOn = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_KEEPALIVE, &kOn, sizeof(kOn));
}

void reset(UniqueFd& fd) {
  const linger none{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &none, sizeof(none));
  fd.reset();
}

}  // namespace

LoopbackPorts::LoopbackPorts(EventLoop& loop, GuestSockets::Ask ask, unsigned spares, const Limits& limits,
                             const Log& log)
    : loop_(loop),
      sockets_(std::move(ask), spares),
      limits_(limits),
      log_(log),
      datagrams_(loop, sockets_, make_token(Role::datagrams, {0, 0})) {
  loop_.set_side(this);
}

LoopbackPorts::~LoopbackPorts() {
  loop_.set_side(nullptr);
  connections_.for_each([this](Handle, Connection& connection) {
    if (connection.pair) connection.pair->finish(pool_);
    if (connection.client) reset(connection.client);
    if (connection.notes != nullptr) {
      const auto kind = connection.pair ? FlowEvent::Kind::ended : FlowEvent::Kind::refused;
      tell(connection, kind, FlowCause::program_end);
    }
  });
}

tl::expected<void, ListenError> LoopbackPorts::open_sockets(Port& port) const {
  const LoopbackRule rule = port.info.rule;
  for (const bool v4 : {true, false}) {
    if (rule.host_address && rule.host_address->is_v4() != v4) continue;
    const Endpoint at{rule.host_address.value_or(v4 ? Address::v4(0) : Address()), port.info.rule.host_port};
    auto fd = rule.stream ? listen_at(at) : bind_udp_at(at);
    // A host without IPv6 opens what it has.
    if (!fd && !v4 && !rule.host_address &&
        (fd.error() == HostError::net_unreachable || fd.error() == HostError::no_such_address)) {
      continue;
    }
    if (!fd) return tl::unexpected(ListenError{fd.error(), at});
    if (rule.stream) probe_vanished(fd->get());
    if (port.info.rule.host_port == 0) port.info.rule.host_port = local_endpoint_of(fd->get()).port;
    port.sockets[v4 ? 0 : 1] = std::move(*fd);
  }
  return {};
}

tl::expected<LoopbackPort, ListenError> LoopbackPorts::add(const LoopbackRule& rule) {
  Port port;
  port.info.id = next_id_;
  for (int tries = 1;; ++tries) {
    port.info.rule = rule;
    port.sockets = {};
    const auto opened = open_sockets(port);
    if (opened) break;
    // A port that the host has chosen for IPv4 may be taken for IPv6: another one may be free for both.
    const bool again = rule.host_port == 0 && opened.error().error == HostError::in_use;
    if (!again || tries == kChosenPortTries) return tl::unexpected(opened.error());
  }
  for (const bool v4 : {true, false}) {
    const UniqueFd& socket = port.sockets[v4 ? 0 : 1];
    const Token token = make_token(v4 ? Role::listener4 : Role::listener6, {next_id_, 0});
    if (socket && loop_.add_socket(socket.get(), token) != 0) {
      return tl::unexpected(ListenError{HostError::no_memory, {}});
    }
  }
  const LoopbackPort info = port.info;
  ports_.emplace(next_id_++, std::move(port));
  return info;
}

bool LoopbackPorts::remove(LoopbackId id) {
  datagrams_.forget_port(id);
  return ports_.erase(id) > 0;
}

std::vector<LoopbackPort> LoopbackPorts::list() const {
  std::vector<LoopbackPort> all;
  all.reserve(ports_.size());
  for (const auto& [id, port] : ports_) all.push_back(port.info);
  return all;
}

std::vector<LoopbackFlow> LoopbackPorts::flows() {
  std::vector<LoopbackFlow> all;
  all.reserve(connections_.size() + datagrams_.size());
  connections_.for_each([&](Handle, const Connection& connection) {
    LoopbackFlow flow{.stream = true, .guest = connection.to, .client = connection.peer};
    flow.state = "SYN-SENT";
    if (connection.pair) {
      flow.state = connection.pair->guest_finished()    ? "FIN-WAIT-2"
                   : connection.pair->client_finished() ? "CLOSE-WAIT"
                                                        : "ESTABLISHED";
      flow.bytes_from_guest = connection.pair->bytes_from_guest();
      flow.bytes_to_guest = connection.pair->bytes_to_guest();
    }
    all.push_back(flow);
  });
  datagrams_.for_each([&](const DatagramRelay::Client& client) {
    all.push_back({.stream = false,
                   .guest = client.guest,
                   .client = client.peer,
                   .state = "",
                   .bytes_from_guest = client.bytes_from_guest,
                   .bytes_to_guest = client.bytes_to_guest});
  });
  return all;
}

LoopbackTotals LoopbackPorts::totals() {
  LoopbackTotals totals = past_;
  totals.bytes_from_guest += datagrams_.past_from_guest();
  totals.bytes_to_guest += datagrams_.past_to_guest();
  for (const LoopbackFlow& flow : flows()) {
    totals.bytes_from_guest += flow.bytes_from_guest;
    totals.bytes_to_guest += flow.bytes_to_guest;
  }
  totals.flows = connections_.size() + datagrams_.size();
  return totals;
}

void LoopbackPorts::on_socket_event(Token token, Readiness readiness, Time) {
  const Handle handle = handle_of(token);
  switch (role_of(token)) {
    case Role::listener4:
    case Role::listener6:
      if (const auto found = ports_.find(handle.index); found != ports_.end()) mark_busy(found->second);
      return;
    case Role::datagrams:
      datagrams_.on_socket_event(handle, readiness);
      return;
    case Role::client:
    case Role::guest:
      break;
  }
  Connection* connection = connections_.find(handle);
  if (connection == nullptr) return;
  if (!connection->pair) {
    // Only the guest's socket is watched yet.
    if (readiness.writable || readiness.error || readiness.hang_up)
      on_connected(handle, *connection, readiness);
    return;
  }
  const bool client = role_of(token) == Role::client;
  connection->pair->on_event(client ? SplicedPair::Side::client : SplicedPair::Side::guest, readiness);
  if (connection->in_turn) return;
  connection->in_turn = true;
  turn_.push_back(handle);
}

Time LoopbackPorts::end_turn(Time now) {
  if (retry_at_ <= now || (held_back_ && !full())) {
    if (retry_at_ <= now) retry_at_ = kNever;
    held_back_ = false;
    for (auto& [id, port] : ports_) mark_busy(port);
  }
  for (const LoopbackId id : std::exchange(busy_, {})) {
    const auto found = ports_.find(id);
    if (found == ports_.end()) continue;
    Port& port = found->second;
    port.busy = false;
    for (const UniqueFd& socket : port.sockets) {
      if (!socket) continue;
      const bool v4 = &socket == port.sockets.data();
      const LoopbackRule& rule = port.info.rule;
      const Endpoint guest{rule.guest_address.value_or(loopback(v4)), rule.guest_port};
      const bool more = rule.stream
                            ? accept_clients(port, socket.get(), now)
                            : datagrams_.from_clients(id, socket.get(), guest, port.info.accepted, now);
      if (more) mark_busy(port);
    }
  }
  run_turn();
  const bool more_datagrams = datagrams_.end_turn(now);
  if (!busy_.empty() || !turn_.empty() || more_datagrams || (held_back_ && !full())) return now;
  return std::min(retry_at_, datagrams_.deadline());
}

void LoopbackPorts::run_turn() {
  next_turn_.swap(turn_);
  std::uint64_t moved = 0;
  for (const Handle handle : next_turn_) {
    if (moved >= kTurnBudget) {  // the others come first in the next turn
      turn_.push_back(handle);
      continue;
    }
    Connection* connection = connections_.find(handle);
    if (connection == nullptr) continue;
    connection->in_turn = false;
    const std::uint64_t before = connection->pair->bytes();
    const SplicedPair::Outcome outcome = connection->pair->run(pool_);
    moved += connection->pair->bytes() - before;
    switch (outcome) {
      case SplicedPair::Outcome::waiting:
        break;
      case SplicedPair::Outcome::more:
        connection->in_turn = true;
        again_.push_back(handle);
        break;
      case SplicedPair::Outcome::failed:
        connection->pair->abort();
        // Which side has failed, the pair does not say.
        destroy(handle, FlowCause::none);
        break;
      case SplicedPair::Outcome::done:
        destroy(handle, FlowCause::finished);
        break;
    }
  }
  next_turn_.clear();
  turn_.insert(turn_.end(), again_.begin(), again_.end());
  again_.clear();
}

void LoopbackPorts::mark_busy(Port& port) {
  if (port.busy) return;
  port.busy = true;
  busy_.push_back(port.info.id);
}

bool LoopbackPorts::full() const {
  return connections_.size() >= limits_.connections || sockets_.waiting() >= limits_.waiting;
}

bool LoopbackPorts::accept_clients(Port& port, int listener, Time now) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    if (full()) {
      held_back_ = true;
      return false;
    }
    Endpoint peer;
    auto client = accept_from(listener, peer);
    if (!client) {
      if (client.error() == HostError::would_block) return false;
      if (starved_.first()) {
        log_.warning(
            "accepting a client of loopback port {} failed: {}; clients wait until it works again (raise the "
            "limit with ulimit -n)",
            port.info.rule.host_port, to_string(client.error()));
      }
      retry_at_ = now + kStarvedRetry;
      return false;
    }
    ++port.info.accepted;
    const LoopbackRule& rule = port.info.rule;
    const bool v4 = peer.address.is_v4();
    if (rule.guest_address && rule.guest_address->is_v4() != v4) {
      reset(*client);
      continue;
    }
    const Handle handle = connections_.create();
    Connection& connection = connections_.existing(handle);
    connection.client = std::move(*client);
    connection.peer = peer;
    connection.to = {rule.guest_address.value_or(loopback(v4)), rule.guest_port};
    connection.may_try_other = !rule.guest_address;
    if (watch_ != nullptr) connection.notes = std::make_unique<FlowNotes>(watch_->begin(peer.address, now));
    connect(handle);
  }
  return true;
}

void LoopbackPorts::connect(Handle handle) {
  const bool v4 = connections_.existing(handle).to.address.is_v4();
  sockets_.take({.stream = true, .v4 = v4},
                [this, handle](UniqueFd socket) { on_guest_socket(handle, std::move(socket)); });
}

void LoopbackPorts::on_guest_socket(Handle handle, UniqueFd socket) {
  Connection* connection = connections_.find(handle);
  if (connection == nullptr) return;
  if (!socket) {
    if (no_socket_.first()) {
      log_.warning(
          "no socket could be made inside for a client of a loopback port; clients are reset until it works "
          "again (is the limit of open files reached there?)");
    }
    on_refused(handle, *connection);
    return;
  }
  const SocketAddress to(connection->to);
  // Whatever comes from inside, connecting must not wait. (Who shares the socket could make it blocking
  // again, and splice(2) wait: that process is out of the guest's reach, and it is the guest's own network.)
  const bool begun =
      ::fcntl(socket.get(), F_SETFL, O_NONBLOCK) == 0 &&
      (::connect(socket.get(), to.get(), to.size()) == 0 || errno == EINPROGRESS || errno == EINTR);
  set_keepalive(socket.get());
  if (!begun || loop_.add_socket(socket.get(), make_token(Role::guest, handle)) != 0) {
    on_refused(handle, *connection);
    return;
  }
  connection->guest = std::move(socket);
}

void LoopbackPorts::on_connected(Handle handle, Connection& connection, Readiness readiness) {
  int error = 0;
  socklen_t size = sizeof(error);
  if (::getsockopt(connection.guest.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0 ||
      loop_.add_socket(connection.client.get(), make_token(Role::client, handle)) != 0) {
    on_refused(handle, connection);
    return;
  }
  ++past_.opened;
  connection.pair.emplace(std::move(connection.client), std::move(connection.guest));
  if (connection.notes != nullptr) tell(connection, FlowEvent::Kind::opened, FlowCause::none);
  // A service may have said all it has to say by now: its FIN is not announced again.
  connection.pair->on_event(SplicedPair::Side::guest, readiness);
  connection.in_turn = true;
  turn_.push_back(handle);
}

void LoopbackPorts::on_refused(Handle handle, Connection& connection) {
  connection.guest.reset();
  if (std::exchange(connection.may_try_other, false)) {
    connection.to.address = loopback(!connection.to.address.is_v4());
    connect(handle);
    return;
  }
  reset(connection.client);
  destroy(handle, FlowCause::guest_refused);
}

void LoopbackPorts::tell(const Connection& connection, FlowEvent::Kind kind, FlowCause cause) const {
  FlowEvent event;
  event.kind = kind;
  event.cause = cause;
  event.inbound = event.loopback = true;
  event.guest = connection.to;
  event.remote = connection.peer;
  event.at = loop_.now();
  event.id = connection.notes->id;
  event.name = connection.notes->name;
  if (connection.pair) {
    event.counts.bytes_from_guest = connection.pair->bytes_from_guest();
    event.counts.bytes_to_guest = connection.pair->bytes_to_guest();
  }
  event.counts_packets = false;
  event.duration = event.at - connection.notes->opened;
  watch_->on_flow(event);
}

void LoopbackPorts::destroy(Handle handle, FlowCause cause) {
  const Connection& connection = connections_.existing(handle);
  if (connection.notes != nullptr)
    tell(connection, connection.pair ? FlowEvent::Kind::ended : FlowEvent::Kind::refused, cause);
  if (connection.pair) {
    past_.bytes_from_guest += connection.pair->bytes_from_guest();
    past_.bytes_to_guest += connection.pair->bytes_to_guest();
  }
  connections_.destroy(handle);
}

}  // namespace sf::host
