#include "host/datagram_relay.hh"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "host/linux_address.hh"
#include "host/linux_datagram_options.hh"

namespace sf::host {
namespace {

// Any other error is about the path to the guest's port, which is closed, say. The socket goes then: it holds
// the guest's namespace, and the client's next datagram gets another one.
bool is_passing(int error) {
  return error == EAGAIN || error == EINTR || error == EMSGSIZE || error == ENOBUFS;
}

}  // namespace

DatagramRelay::DatagramRelay(EventLoop& loop, GuestSockets& sockets, Token token, Duration idle)
    : loop_(loop), sockets_(sockets), token_(token), idle_(idle), buffer_(new std::uint8_t[kMaxDatagram]) {}

bool DatagramRelay::from_clients(std::uint32_t port, int port_fd, const Endpoint& guest,
                                 std::uint64_t& clients, Time now) {
  for (int i = 0; i < kBatch; ++i) {
    sockaddr_in6 address{};
    iovec vector{buffer_.get(), kMaxDatagram};
    alignas(cmsghdr) std::array<std::uint8_t, CMSG_SPACE(sizeof(in6_pktinfo))> control;
    msghdr message{};
    message.msg_name = &address;
    message.msg_namelen = sizeof(address);
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = ::recvmsg(port_fd, &message, MSG_DONTWAIT);
    // Anything but an empty queue is an error about an earlier answer, to a client that has gone.
    if (got < 0 && errno == EAGAIN) return false;
    if (got < 0) continue;
    const Endpoint peer = endpoint_from(&address, message.msg_namelen);
    Client* client = client_of(port, port_fd, peer, guest, clients, now);
    if (client == nullptr) continue;
    const auto count = static_cast<std::size_t>(got);
    client->last_active = now;
    client->local = destination_of(message);
    if (client->socket) {
      // A port that is closed inside says so with the next call; what is lost then is lost as on any path.
      if (::send(client->socket.get(), buffer_.get(), count, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
        client->bytes_to_guest += count;
        bytes_to_guest_ += count;
        ++client->packets_to_guest;
      } else if (!is_passing(errno)) {
        forget(by_peer_.at({port, client->peer}), FlowCause::guest_refused);
      }
    } else if (client->held.size() < kMaxHeld) {
      client->held.emplace_back(buffer_.get(), buffer_.get() + got);
    }
  }
  return true;
}

DatagramRelay::Client* DatagramRelay::client_of(std::uint32_t port, int port_fd, const Endpoint& peer,
                                                const Endpoint& guest, std::uint64_t& clients, Time now) {
  if (const auto found = by_peer_.find({port, peer}); found != by_peer_.end()) {
    return &clients_.existing(found->second);
  }
  if (clients_.size() >= kMaxClients) {
    if (refusals_) refusals_->refused_client(FlowProtocol::udp, FlowCause::limit, {guest, peer}, true, now);
    return nullptr;
  }
  const Handle handle = clients_.create();
  by_peer_.emplace(std::pair(port, peer), handle);
  Client& client = clients_.existing(handle);
  client.port = port;
  client.port_fd = port_fd;
  client.peer = peer;
  client.guest = guest;
  client.last_active = now;
  ++clients;
  ++clients_seen_;
  if (watch_ != nullptr) {
    client.notes = std::make_unique<FlowNotes>(watch_->begin(peer.address, now));
    tell(client, FlowEvent::Kind::opened, FlowCause::none);
  }
  if (sweep_at_ == kNever) sweep_at_ = now + idle_;
  sockets_.take({.stream = false, .v4 = guest.address.is_v4()},
                [this, handle](UniqueFd socket) { on_socket(handle, std::move(socket)); });
  return clients_.find(handle);
}

void DatagramRelay::on_socket(Handle handle, UniqueFd socket) {
  Client* client = clients_.find(handle);
  if (client == nullptr) return;
  const SocketAddress to(client->guest);
  // It comes from a process that the guest may have tampered with: whatever it is, this process never waits
  // for it.
  const bool connected = socket && ::fcntl(socket.get(), F_SETFL, O_NONBLOCK) == 0 &&
                         ::connect(socket.get(), to.get(), to.size()) == 0;
  const Token token = token_ | (std::uint64_t{handle.generation} << 32) | handle.index;
  if (!connected || loop_.add_socket(socket.get(), token) != 0) {
    forget(handle, FlowCause::guest_refused);
    return;
  }
  client->socket = std::move(socket);
  for (const auto& datagram : std::exchange(client->held, {})) {
    if (::send(client->socket.get(), datagram.data(), datagram.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
      client->bytes_to_guest += datagram.size();
      bytes_to_guest_ += datagram.size();
      ++client->packets_to_guest;
    } else if (!is_passing(errno)) {
      forget(handle, FlowCause::guest_refused);
      return;
    }
  }
}

void DatagramRelay::on_socket_event(Handle handle, Readiness readiness) {
  Client* client = clients_.find(handle);
  if (client == nullptr || client->waiting || !(readiness.readable || readiness.error)) return;
  client->waiting = true;
  turn_.push_back(handle);
}

bool DatagramRelay::end_turn(Time now) {
  if (sweep_at_ <= now) sweep(now);
  std::vector<Handle> again;
  for (const Handle handle : turn_) {
    Client* client = clients_.find(handle);
    if (client == nullptr) continue;
    client->waiting = false;
    int left = kBatch;
    for (; left > 0; --left) {
      const ssize_t got = ::recv(client->socket.get(), buffer_.get(), kMaxDatagram, MSG_DONTWAIT);
      if (got < 0 && errno == EAGAIN) break;
      if (got < 0 && is_passing(errno)) continue;
      if (got < 0) {
        forget(handle, FlowCause::guest_refused);
        break;
      }
      client->last_active = now;
      const auto count = static_cast<std::size_t>(got);
      if (send_from(client->port_fd, Bytes(buffer_.get(), count), client->peer, client->local)) {
        client->bytes_from_guest += count;
        bytes_from_guest_ += count;
        ++client->packets_from_guest;
      }
    }
    if (left > 0) continue;
    client->waiting = true;
    again.push_back(handle);
  }
  turn_ = std::move(again);
  return !turn_.empty();
}

void DatagramRelay::sweep(Time now) {
  Time next = kNever;
  clients_.for_each([&](Handle handle, Client& client) {
    const Time end = client.last_active + idle_;
    if (end <= now) {
      forget(handle, FlowCause::idle);
    } else {
      next = std::min(next, end);
    }
  });
  sweep_at_ = next;
}

void DatagramRelay::forget_port(std::uint32_t port) {
  clients_.for_each([&](Handle handle, Client& client) {
    if (client.port == port) forget(handle, FlowCause::port_removed);
  });
}

DatagramRelay::~DatagramRelay() {
  clients_.for_each([this](Handle, const Client& client) {
    if (client.notes != nullptr) tell(client, FlowEvent::Kind::ended, FlowCause::program_end);
  });
}

void DatagramRelay::tell(const Client& client, FlowEvent::Kind kind, FlowCause cause) const {
  FlowEvent event;
  event.kind = kind;
  event.protocol = FlowProtocol::udp;
  event.cause = cause;
  event.inbound = event.loopback = true;
  event.guest = client.guest;
  event.remote = client.peer;
  event.at = loop_.now();
  event.id = client.notes->id;
  event.name = client.notes->name;
  event.counts = {client.bytes_from_guest, client.bytes_to_guest, client.packets_from_guest,
                  client.packets_to_guest};
  event.duration = client.last_active - client.notes->opened;
  watch_->on_flow(event);
}

void DatagramRelay::forget(Handle handle, FlowCause cause) {
  const Client& client = clients_.existing(handle);
  if (client.notes != nullptr) tell(client, FlowEvent::Kind::ended, cause);
  by_peer_.erase({client.port, client.peer});
  clients_.destroy(handle);
}

}  // namespace sf::host
