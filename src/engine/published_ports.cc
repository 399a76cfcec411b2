#include "engine/published_ports.hh"

#include <memory>
#include <utility>

#include "engine/shard.hh"
#include "wire/ip.hh"

namespace sf::engine {
namespace {

using host::HostError;

// How many other ports are tried for a client that looks like another one.
constexpr int kPortTries = 64;
// How many ports the host may choose until one is free for both IP versions.
constexpr int kChosenPortTries = 16;

constexpr Address any_address(bool v4) {
  return v4 ? Address::v4(0) : Address();
}

// What a kernel makes of a prefix and its MAC, unless it was told otherwise (RFC 4291 appendix A).
Address address_from_mac(const Prefix& prefix, const MacAddress& mac) {
  auto bytes = prefix.base.bytes();
  const Address link_local = link_local_from(mac);
  std::copy(link_local.bytes().begin() + 8, link_local.bytes().end(), bytes.begin() + 8);
  return Address::v6(bytes);
}

}  // namespace

tl::expected<host::SocketId, PublishError> PublishedPorts::open(const PublishRule& rule, const Endpoint& at,
                                                                host::Token token,
                                                                host::PortSharing sharing) {
  auto socket = rule.transport == Transport::tcp ? host_.listen_stream(at, token, sharing)
                                                 : host_.bind_datagram(at, token);
  if (!socket) return tl::unexpected(PublishError{socket.error(), at});
  return *socket;
}

tl::expected<void, PublishError> PublishedPorts::open_sockets(Port& port, host::PortSharing sharing) {
  const PublishRule& rule = port.info.rule;
  for (const bool v4 : {true, false}) {
    const bool wanted = rule.host_address ? rule.host_address->is_v4() == v4 : v4 || network_.ipv6;
    if (!wanted) continue;
    const Endpoint at{rule.host_address.value_or(any_address(v4)), rule.host_port};
    const auto token = make_token(TokenKind::published, Handle{port.info.id, v4 ? 0U : 1U});
    const auto socket = open(rule, at, token, sharing);
    if (!socket) {
      // A host without IPv6 publishes what it has.
      const HostError error = socket.error().error;
      const bool lacks_ipv6 = error == HostError::net_unreachable || error == HostError::no_such_address;
      if (!v4 && !rule.host_address && lacks_ipv6) continue;
      for (host::SocketId& open_one : port.sockets) {
        if (open_one != host::kNoSocket) host_.close(std::exchange(open_one, host::kNoSocket));
      }
      return tl::unexpected(socket.error());
    }
    port.sockets[v4 ? 0 : 1] = *socket;
    if (rule.host_port == 0) port.info.rule.host_port = host_.local_endpoint(*socket).port;
  }
  return {};
}

tl::expected<PublishedPort, PublishError> PublishedPorts::add(const PublishRule& rule,
                                                              host::PortSharing sharing) {
  Port port;
  port.info.id = next_id_;
  for (int tries = 1;; ++tries) {
    port.info.rule = rule;
    const auto opened = open_sockets(port, sharing);
    if (opened) break;
    // A port that the host has chosen for IPv4 may be taken for IPv6: another one may be free for both.
    const bool again = rule.host_port == 0 && opened.error().error == HostError::in_use;
    if (!again || tries == kChosenPortTries) return tl::unexpected(opened.error());
  }
  const PublishedPort info = port.info;
  ports_.emplace(next_id_++, port);
  return info;
}

bool PublishedPorts::remove(PublishId id) {
  const auto found = ports_.find(id);
  if (found == ports_.end()) return false;
  clients_.for_each([&](Handle, Client& client) {
    if (client.port == id) forget(client, FlowCause::port_removed, now_);
  });
  for (const host::SocketId socket : found->second.sockets) {
    if (socket != host::kNoSocket) host_.close(socket);
  }
  ports_.erase(found);
  return true;
}

std::vector<PublishedPort> PublishedPorts::list() const {
  std::vector<PublishedPort> all;
  all.reserve(ports_.size());
  for (const auto& [id, port] : ports_) all.push_back(port.info);
  return all;
}

void PublishedPorts::close_all() {
  clients_.for_each([&](Handle, Client& client) { forget(client, FlowCause::program_end, now_); });
  while (!ports_.empty()) remove(ports_.begin()->first);
}

void PublishedPorts::mark_busy(Port& port) {
  if (port.busy) return;
  port.busy = true;
  busy_.push_back(port.info.id);
}

void PublishedPorts::on_socket_event(Handle socket, host::Readiness readiness, Time) {
  const auto found = ports_.find(socket.index);
  if (found == ports_.end()) return;
  Port& port = found->second;
  if (readiness.error && port.info.rule.transport == Transport::udp) {
    // A client that has gone: nothing to the guest, whose answers it was not waiting for.
    host::DatagramError error;
    for (int i = 0; i < kAcceptsPerTurn && host_.receive_error(port.sockets[socket.generation & 1], error);
         ++i) {
    }
  }
  if (readiness.readable) mark_busy(port);
}

bool PublishedPorts::end_turn(Time now) {
  now_ = now;
  if (retry_at_ <= now) {
    retry_at_ = kNever;
    for (auto& [id, port] : ports_) mark_busy(port);
  }
  working_.swap(busy_);
  bool more = false;
  for (const PublishId id : working_) {
    const auto found = ports_.find(id);
    if (found == ports_.end()) continue;
    Port& port = found->second;
    port.busy = false;
    for (const host::SocketId socket : port.sockets) {
      if (socket == host::kNoSocket) continue;
      const bool left = port.info.rule.transport == Transport::tcp ? accept_clients(port, socket, now)
                                                                   : receive(port, socket, now);
      if (left) mark_busy(port);
    }
  }
  working_.clear();
  // Where the guest has to answer first, its answers are what brings the next turn.
  if (!busy_.empty() && tcp_.dialling() < limits_.dialling) more = true;
  return more;
}

bool PublishedPorts::accept_clients(Port& port, host::SocketId listener, Time now) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    if (tcp_.dialling() >= limits_.dialling) return true;
    auto accepted = host_.accept_stream(listener);
    const bool starved = !accepted && accepted.error() == HostError::no_descriptors;
    if (starved && make_room_ && make_room_(now)) accepted = host_.accept_stream(listener);
    if (!accepted) {
      if (accepted.error() == HostError::would_block) return false;
      if (!starved && said_.first()) {
        log_.warning("accepting a client of published port {} failed: {}; clients wait until it works again",
                     port.info.rule.host_port, host::to_string(accepted.error()));
      }
      retry_at_ = now + kStarvedRetry;
      return false;
    }
    const auto guest = guest_end(port.info.rule, accepted->peer.address.is_v4());
    if (!guest) {
      const Address inside = port.info.rule.guest_address.value_or(network_.guest4);
      tell_refused(FlowProtocol::tcp, FlowCause::unreachable, {inside, port.info.rule.guest_port},
                   accepted->peer, now);
      host_.abort(accepted->socket);
      continue;
    }
    const FlowKey first{*guest, {shown_address(accepted->peer.address), accepted->peer.port}};
    const unsigned owner = place_.owner_of_tcp(first);
    if (owner == place_.index) {
      if (dial(*accepted, *guest, now)) ++port.info.accepted;
      continue;
    }
    ++port.info.accepted;
    const auto fd = std::make_shared<UniqueFd>(host_.release_stream(accepted->socket));
    place_.mailbox(owner).post([fd, peer = accepted->peer, guest = *guest](Shard& shard, Time then) {
      shard.published().adopt(std::move(*fd), peer, guest, then);
    });
  }
  return true;
}

bool PublishedPorts::dial(const host::Accepted& client, const Endpoint& guest, Time now) {
  // Another port for it must not make it another shard's.
  const auto remote = seen(client.peer, guest, [this](const FlowKey& key) {
    return place_.owner_of_tcp(key) != place_.index || tcp_.taken(key);
  });
  if (!remote) {
    tell_refused(FlowProtocol::tcp, FlowCause::limit, guest, client.peer, now);
    host_.abort(client.socket);
    return false;
  }
  return tcp_.dial(FlowKey{guest, *remote}, mac_of(guest.address), client.socket, host_, now);
}

void PublishedPorts::adopt(UniqueFd client, const Endpoint& peer, const Endpoint& guest, Time now) {
  const host::Accepted accepted{host_.adopt_stream(std::move(client), peer), peer};
  // Those who accept stop at the same number of their own, and clients are spread evenly.
  if (tcp_.dialling() >= 2 * limits_.dialling) {
    tell_refused(FlowProtocol::tcp, FlowCause::limit, guest, peer, now);
    return host_.abort(accepted.socket);
  }
  static_cast<void>(dial(accepted, guest, now));
}

bool PublishedPorts::receive(Port& port, host::SocketId socket, Time now) {
  for (int batch = 0; batch < kBatchesPerTurn; ++batch) {
    auto received = host_.receive_datagrams(socket);
    if (received.empty()) return false;
    while (!received.empty()) {
      const std::size_t count = udp_.run_length(received);
      deliver(port, socket, received.first(count), now);
      received = received.subspan(count);
    }
    if (host_.took_all_datagrams()) return false;
  }
  return true;
}

// `run`: as Translator::run_length() has it.
void PublishedPorts::deliver(Port& port, host::SocketId socket, udp::Translator::Received run, Time now) {
  const host::ReceivedDatagram& datagram = run.front();
  if (datagram.truncated) return;
  Client* client = client_of(port, socket, datagram.from, now);
  if (client == nullptr) return;
  client->flow.last_active = now;
  client->local = datagram.to;
  if (client->answered) client->confirmed = true;
  wire::IpHeader header;
  header.source = client->key.remote.address;
  header.destination = client->key.guest.address;
  header.ttl = link::forwarded_ttl(datagram.ttl);
  header.traffic_class = datagram.traffic_class;
  header.dont_fragment = false;  // it may need to be fragmented to reach the guest
  const udp::Translator::Payload payload = udp_.gather(run);
  const auto status = to_guest_.send_udp(mac_of(client->key.guest.address), header, client->key.remote.port,
                                         client->key.guest.port, payload.bytes, payload.segment_size);
  if (status != link::Status::ok) return;
  const std::size_t datagrams = udp::Translator::datagrams_in(run);
  udp_.count_to_guest(client->flow, client->key.remote, datagrams, payload.bytes.size(), now);
}

PublishedPorts::Client* PublishedPorts::client_of(Port& port, host::SocketId socket, const Endpoint& from,
                                                  Time now) {
  const auto guest = guest_end(port.info.rule, from.address.is_v4());
  if (!guest) return nullptr;
  // The same client again has the key that it was given first. Another one that it might have had may have
  // become free since, so all are looked at.
  Client* known = nullptr;
  std::optional<FlowKey> free;
  const auto taken = [&](const FlowKey& key) {
    Client* other = clients_.get(clients_.find(key));
    if (other == nullptr && !free) free = key;
    if (other != nullptr && other->real == from && other->flow.socket == socket) known = other;
    return known == nullptr;
  };
  static_cast<void>(seen(from, *guest, taken));
  if (known != nullptr || !free) return known;
  const FlowKey key = *free;
  if (clients_.size() >= limits_.udp_clients && !forget_unconfirmed(now)) {
    tell_refused(FlowProtocol::udp, FlowCause::limit, *guest, from, now);
    return nullptr;
  }
  const Handle handle = clients_.insert(key, key);
  note_unconfirmed(handle);
  Client& client = clients_.existing(handle);
  client.flow.guest = *guest;
  client.flow.guest_mac = mac_of(guest->address);
  client.flow.socket = socket;
  client.flow.last_active = now;
  client.real = from;
  client.port = port.info.id;
  if (watch_ != nullptr) {
    client.flow.peers = std::make_unique<FlowPeers>(*watch_, FlowProtocol::udp, key.guest);
    client.flow.peers->pin(key.remote, now);
  }
  timers_.set(client.timer, now + kClientIdle, make_token(TokenKind::client, handle));
  ++port.info.accepted;
  ++clients_seen_;
  return &client;
}

void PublishedPorts::tell_refused(FlowProtocol protocol, FlowCause cause, const Endpoint& guest,
                                  const Endpoint& client, Time now) {
  refusals_.refused_client(protocol, cause, {guest, {shown_address(client.address), client.port}}, false,
                           now);
}

void PublishedPorts::from_guest(const FlowKey& key, const MacAddress& from, const wire::IpPacket& packet,
                                const wire::UdpDatagram& datagram, std::uint16_t segment_size, Time now) {
  Client* client = clients_.get(clients_.find(key));
  if (client == nullptr) return;
  client->flow.guest_mac = from;
  client->answered = true;
  wire::UdpDatagram to_client = datagram;
  to_client.destination_port = client->real.port;
  udp_.from_guest(client->flow, packet, to_client, client->real.address, segment_size, now, client->local);
}

void PublishedPorts::on_client_timer(Handle handle, Time now) {
  Client* client = clients_.get(handle);
  if (client == nullptr) return;
  const Time deadline = client->flow.last_active + kClientIdle;
  if (deadline > now) {
    timers_.set(client->timer, deadline, make_token(TokenKind::client, handle));
  } else {
    forget(*client, FlowCause::idle, now);
  }
}

// Sources of datagrams can be forged, and whoever forges them hears no answer, even where the guest answers
// everybody. So only those count that go on after one: a flood of others takes the room of one another.
bool PublishedPorts::forget_unconfirmed(Time now) {
  while (!unconfirmed_.empty()) {
    Client* client = clients_.get(unconfirmed_.front());
    unconfirmed_.pop_front();
    if (client == nullptr || client->confirmed) continue;
    forget(*client, FlowCause::evicted, now);
    return true;
  }
  return false;
}

void PublishedPorts::note_unconfirmed(Handle client) {
  const auto is_over = [this](const Handle& handle) {
    const Client* other = clients_.get(handle);
    return other == nullptr || other->confirmed;
  };
  while (!unconfirmed_.empty() && is_over(unconfirmed_.front())) unconfirmed_.pop_front();
  // One that stays at the front must not keep all that came and went behind it.
  if (unconfirmed_.size() > 2 * limits_.udp_clients) std::erase_if(unconfirmed_, is_over);
  unconfirmed_.push_back(client);
}

void PublishedPorts::forget(Client& client, FlowCause cause, Time now) {
  if (client.flow.peers != nullptr) client.flow.peers->end(cause, now);
  timers_.remove(client.timer);
  const FlowKey key = client.key;
  clients_.erase(key);
}

std::optional<Endpoint> PublishedPorts::guest_end(const PublishRule& rule, bool v4) const {
  if (rule.guest_address) {
    if (rule.guest_address->is_v4() != v4) return std::nullopt;
    return Endpoint{*rule.guest_address, rule.guest_port};
  }
  if (v4) return Endpoint{network_.guest4, rule.guest_port};
  if (!network_.ipv6) return std::nullopt;
  if (guest_.address6) return Endpoint{*guest_.address6, rule.guest_port};
  const auto latest = neighbours_.latest_of(network_.prefix6);
  return Endpoint{latest.value_or(address_from_mac(network_.prefix6, guest_.mac)), rule.guest_port};
}

MacAddress PublishedPorts::mac_of(const Address& guest) const {
  return neighbours_.find(guest).value_or(guest_.mac);
}

Address PublishedPorts::shown_address(const Address& address) const {
  const bool v4 = address.is_v4();
  const bool hidden = address.is_loopback() || address.is_link_local() || address.is_unspecified() ||
                      (v4 ? network_.prefix4 : network_.prefix6).contains(address);
  return hidden ? network_.gateway(v4) : address;
}

template <typename Taken>
std::optional<Endpoint> PublishedPorts::seen(const Endpoint& client, const Endpoint& guest,
                                             const Taken& taken) const {
  // A client that is not hidden may meet itself: it has come through another published port to the same one
  // of the guest's, or uses its port again before the guest has seen its last connection end.
  Endpoint shown{shown_address(client.address), client.port};
  for (int i = 0; i < kPortTries; ++i) {
    if (!taken(FlowKey{guest, shown})) return shown;
    shown.port = static_cast<std::uint16_t>(1024 + (shown.port * 31U + 7919U) % 64512U);
  }
  return std::nullopt;
}

}  // namespace sf::engine
