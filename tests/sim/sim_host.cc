#include "sim/sim_host.hh"

#include <algorithm>
#include <utility>

namespace sf::sim {
namespace {

using host::HostError;
using host::SocketId;

constexpr std::size_t kEventsPerTurn = 64;

}  // namespace

SimHost::SimHost(World& world, const Plan& plan) : world_(world), plan_(plan) {
  for (const DatagramServer& server : plan.datagram_servers) {
    if (server.service == DatagramService::name_server) resolvers_.servers.push_back(server.at);
  }
}

// --- events
// --------------------------------------------------------------------------------------------------------

std::vector<SimHost::Event> SimHost::take_events() {
  std::vector<Event> events;
  if (world_.random().chance(plan_.host.spurious) && !slots_.empty()) {
    const std::size_t at = world_.random().below(slots_.size());
    if (slots_[at].serial != 0) edges_[at] = slots_[at].serial;
  }
  while (!edges_.empty() && events.size() < kEventsPerTurn) {
    const auto it =
        std::next(edges_.begin(), static_cast<std::ptrdiff_t>(world_.random().below(edges_.size())));
    const Slot& slot = slots_[it->first];
    const bool current = slot.serial == it->second;
    edges_.erase(it);
    if (!current) continue;
    const host::Readiness now = slot.listens  ? host::Readiness{.readable = !slot.clients.empty()}
                                : slot.stream ? slot.stream->readiness()
                                              : slot.datagram->readiness();
    if (now.readable || now.writable || now.read_closed || now.error || now.hang_up) {
      events.push_back({slot.token, now});
    }
  }
  return events;
}

std::function<void()> SimHost::edge_of(std::size_t at) {
  return [this, at, serial = slots_[at].serial] {
    if (slots_[at].serial == serial) edges_[at] = serial;
  };
}

std::string SimHost::describe_open() const {
  std::string list;
  for (const Slot& slot : slots_) {
    if (slot.serial == 0) continue;
    if (list.size() > 200) return list + " and more";
    list += (list.empty() ? "" : ", ") + slot.what;
  }
  return list;
}

// --- slots
// ---------------------------------------------------------------------------------------------------------

std::size_t SimHost::take_slot(host::Token token, std::string what) {
  const auto free = std::ranges::find(slots_, std::uint64_t{0}, &Slot::serial);
  const auto at = static_cast<std::size_t>(free - slots_.begin());
  if (free == slots_.end()) slots_.emplace_back();
  Slot& slot = slots_[at];
  slot.serial = next_serial_++;
  slot.token = token;
  slot.what = std::move(what);
  slot.ledger = nullptr;
  ++open_;
  return at;
}

void SimHost::free_slot(Slot& slot) {
  // The world's pending events refer to them, so they live as long as the host.
  if (slot.stream) closing_.push_back(std::move(slot.stream));
  if (slot.datagram) closed_datagrams_.push_back(std::move(slot.datagram));
  if (slot.ledger != nullptr) slot.ledger->socket_open = false;
  slot.ledger = nullptr;
  slot.at = {};
  slot.listens = false;
  slot.clients.clear();
  slot.serial = 0;
  --open_;
}

SimHost::Slot* SimHost::find(SocketId socket, const char* operation) {
  ++activity_;
  const auto at = static_cast<std::size_t>(socket);
  if (at < slots_.size() && slots_[at].serial != 0) return &slots_[at];
  world_.violation("socket-use", "{} on a socket that is not open", operation);
  return nullptr;
}

SimStream* SimHost::stream(SocketId socket, const char* operation) {
  Slot* slot = find(socket, operation);
  if (slot == nullptr) return nullptr;
  if (!slot->stream) world_.violation("socket-use", "{} on a datagram socket", operation);
  return slot->stream.get();
}

SimDatagram* SimHost::datagram(SocketId socket, const char* operation) {
  Slot* slot = find(socket, operation);
  if (slot == nullptr) return nullptr;
  if (!slot->datagram) world_.violation("socket-use", "{} on a stream socket", operation);
  return slot->datagram.get();
}

// --- streams
// -------------------------------------------------------------------------------------------------------

// The flow that a connection to `to` belongs to; null where it is one that an old SYN has opened once more.
Ledger* SimHost::flow_for(const Endpoint& to) {
  const auto it = flows_.find(to);
  if (it == flows_.end()) return nullptr;
  Ledger& ledger = *it->second;
  if (ledger.socket_open) {
    world_.violation("second-connect", "{} while the first socket is open", to.to_string());
    return nullptr;
  }
  const bool over = ledger.outcome != GuestOutcome::pending && ledger.outcome != GuestOutcome::vanished;
  if (ledger.handshake_reached_stack || over) {
    ++ledger.ghosts;
    return nullptr;
  }
  ledger.connected = ledger.connect_failed = ledger.peer_saw_reset = false;
  return &ledger;
}

tl::expected<SocketId, HostError> SimHost::connect_stream(const Endpoint& to, host::Token token) {
  ++activity_;
  if (open_ >= plan_.host.max_sockets) return tl::unexpected(HostError::no_descriptors);
  const auto known = flows_.find(to);
  Ledger* ledger = flow_for(to);
  PeerPlan peer;
  if (ledger != nullptr) {
    peer = ledger->plan.peer;
  } else {
    peer.close = PeerClose::after_guest_fin;
    if (known != flows_.end()) peer.outcome = known->second->plan.peer.outcome;
  }
  if (peer.outcome == ConnectOutcome::failed_at_once || peer.outcome == ConnectOutcome::no_descriptors) {
    if (ledger != nullptr) ledger->connect_failed = true;
    return tl::unexpected(peer.outcome == ConnectOutcome::failed_at_once ? HostError::host_unreachable
                                                                         : HostError::no_descriptors);
  }
  const std::size_t at = take_slot(token, fmt::format("stream to {}", to.to_string()));
  if (known != flows_.end()) ++known->second->connects;
  if (ledger != nullptr) {
    slots_[at].ledger = ledger;
    ledger->socket_open = true;
  }
  slots_[at].stream = std::make_unique<SimStream>(world_, peer, ledger, edge_of(at));
  slots_[at].stream->start();
  world_.note("host: socket {} connects to {}{}", at, to.to_string(), ledger == nullptr ? " (no flow)" : "");
  return SocketId{static_cast<std::uint32_t>(at)};
}

HostError SimHost::finish_connect(SocketId socket) {
  SimStream* const found = stream(socket, "finish_connect");
  return found != nullptr ? found->finish_connect() : HostError::other;
}

host::IoResult SimHost::send(SocketId socket, std::span<const Bytes> pieces) {
  SimStream* const found = stream(socket, "send");
  return found != nullptr ? found->send(pieces) : host::IoResult{0, HostError::other};
}

host::IoResult SimHost::receive(SocketId socket, std::span<const MutBytes> into) {
  SimStream* const found = stream(socket, "receive");
  return found != nullptr ? found->receive(into) : host::IoResult{0, HostError::other};
}

void SimHost::shutdown_send(SocketId socket) {
  world_.note("host: socket {} shutdown", static_cast<std::uint32_t>(socket));
  if (SimStream* const found = stream(socket, "shutdown_send"); found != nullptr) found->shutdown_send();
}

void SimHost::abort(SocketId socket) {
  world_.note("host: socket {} abort", static_cast<std::uint32_t>(socket));
  SimStream* const found = stream(socket, "abort");
  if (found == nullptr) return;
  found->abort();
  free_slot(slots_[static_cast<std::size_t>(socket)]);
}

void SimHost::close(SocketId socket) {
  world_.note("host: socket {} close", static_cast<std::uint32_t>(socket));
  Slot* const slot = find(socket, "close");
  if (slot == nullptr) return;
  if (slot->stream) slot->stream->close();
  if (slot->datagram) slot->datagram->close();
  free_slot(*slot);
}

void SimHost::keep_alive(SocketId socket) {
  if (SimStream* const found = stream(socket, "keep_alive"); found != nullptr) found->keep_alive();
}

// --- published ports
// -----------------------------------------------------------------------------------------------

SimHost::Slot* SimHost::bound_to(const Endpoint& at, bool listens) {
  const auto found = std::ranges::find_if(
      slots_, [&](const Slot& slot) { return slot.serial != 0 && slot.at == at && slot.listens == listens; });
  return found == slots_.end() ? nullptr : &*found;
}

tl::expected<SocketId, HostError> SimHost::listen_stream(const Endpoint& at, host::Token token,
                                                         host::PortSharing /*sharing*/) {
  ++activity_;
  if (bound_to(at, true) != nullptr) return tl::unexpected(HostError::in_use);
  const std::size_t slot = take_slot(token, fmt::format("listener at {}", at.to_string()));
  slots_[slot].at = at;
  slots_[slot].listens = true;
  return SocketId{static_cast<std::uint32_t>(slot)};
}

tl::expected<SocketId, HostError> SimHost::bind_datagram(const Endpoint& at, host::Token token) {
  ++activity_;
  if (bound_to(at, false) != nullptr) return tl::unexpected(HostError::in_use);
  const std::size_t slot = take_slot(token, fmt::format("UDP port at {}", at.to_string()));
  slots_[slot].at = at;
  slots_[slot].datagram = std::make_unique<SimDatagram>(world_, plan_, host::DatagramKind::udp,
                                                        at.address.is_v4(), at.port, edge_of(slot));
  return SocketId{static_cast<std::uint32_t>(slot)};
}

void SimHost::connect_client(const Endpoint& port, Ledger& ledger) {
  Slot* const listener = bound_to(port, true);
  if (listener == nullptr) return;
  listener->clients.push_back(&ledger);
  edge_of(static_cast<std::size_t>(listener - slots_.data()))();
}

void SimHost::send_to_port(const Endpoint& port, const Endpoint& from, FrameBytes payload) {
  if (Slot* const bound = bound_to(port, false)) bound->datagram->arrive(from, std::move(payload));
}

tl::expected<host::Accepted, HostError> SimHost::accept_stream(SocketId socket) {
  Slot* const listener = find(socket, "accept_stream");
  if (listener == nullptr || !listener->listens) return tl::unexpected(HostError::other);
  if (listener->clients.empty()) return tl::unexpected(HostError::would_block);
  Ledger* const ledger = listener->clients.front();
  listener->clients.pop_front();
  const Endpoint peer = ledger->plan.server;
  const std::size_t at = take_slot(0, fmt::format("client {}", peer.to_string()));
  slots_[at].ledger = ledger;
  ledger->socket_open = ledger->connected = true;
  slots_[at].stream = std::make_unique<SimStream>(world_, ledger->plan.peer, ledger, edge_of(at));
  return host::Accepted{SocketId{static_cast<std::uint32_t>(at)}, peer};
}

bool SimHost::watch(SocketId socket, host::Token token) {
  SimStream* const found = stream(socket, "watch");
  if (found == nullptr) return false;
  slots_[static_cast<std::size_t>(socket)].token = token;
  found->start_accepted();
  return true;
}

// --- datagrams
// -----------------------------------------------------------------------------------------------------

tl::expected<SocketId, HostError> SimHost::open_datagram(host::DatagramKind kind, bool v4,
                                                         host::Token token) {
  ++activity_;
  if (open_ >= plan_.host.max_sockets) return tl::unexpected(HostError::no_descriptors);
  const bool udp = kind != host::DatagramKind::ping;
  const std::size_t at = take_slot(token, fmt::format("{} socket, IPv{}", udp ? "UDP" : "ping", v4 ? 4 : 6));
  const auto port = static_cast<std::uint16_t>(world_.random().between(1024, 65535));
  slots_[at].datagram = std::make_unique<SimDatagram>(world_, plan_, kind, v4, port, edge_of(at));
  world_.note("host: socket {} is a {}", at, slots_[at].what);
  return SocketId{static_cast<std::uint32_t>(at)};
}

HostError SimHost::send_datagram(SocketId socket, const Endpoint& to, Bytes payload,
                                 const host::DatagramOptions& options) {
  SimDatagram* const found = datagram(socket, "send_datagram");
  if (found == nullptr) return HostError::other;
  const HostError error = found->send(to, payload, options);
  // Endpoint-independent mapping (RFC 4787 section 4.1).
  for (const Slot& slot : slots_) {
    if (slot.serial != 0 && slot.datagram && slot.datagram.get() != found && found->owner() &&
        slot.datagram->owner() == found->owner()) {
      world_.violation("mapping", "one socket of the guest's has two on the host");
    }
  }
  return error;
}

std::span<const host::ReceivedDatagram> SimHost::receive_datagrams(SocketId socket) {
  SimDatagram* const found = datagram(socket, "receive_datagrams");
  return found != nullptr ? found->receive() : std::span<const host::ReceivedDatagram>{};
}

bool SimHost::receive_error(SocketId socket, host::DatagramError& error) {
  SimDatagram* const found = datagram(socket, "receive_error");
  return found != nullptr && found->receive_error(error);
}

const host::Resolvers& SimHost::resolvers(Time /*now*/) {
  return resolvers_;
}

}  // namespace sf::sim
