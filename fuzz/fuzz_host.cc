#include "fuzz_host.hh"

#include <utility>

namespace sf::fuzz {

using host::HostError;
using host::SocketId;

host::Readiness FuzzHost::readiness(const Socket& s) {
  host::Readiness now;
  if (s.kind == Kind::listener) {
    now.readable = !s.clients.empty();
    return now;
  }
  if (s.kind == Kind::datagram) {
    now.readable = !s.arrived.empty();
    now.error = !s.errors.empty();
    return now;
  }
  if (s.connected == HostError::in_progress) return now;
  now.writable = s.takes > 0 || s.connected != HostError::none;
  now.readable = s.incoming > 0 || s.ended || s.receive_error != HostError::none;
  now.read_closed = s.ended;
  now.error = s.connected != HostError::none || s.receive_error != HostError::none;
  now.hang_up = now.error || (s.ended && s.shut);
  return now;
}

FuzzHost::Socket& FuzzHost::socket(SocketId id) {
  const auto at = static_cast<std::size_t>(id);
  require(at < sockets.size() && sockets[at].open, "a socket is used that is not open");
  return sockets[at];
}

FuzzHost::Socket& FuzzHost::stream(SocketId id) {
  Socket& s = socket(id);
  require(s.kind == Kind::stream, "a stream's operation on another kind of socket");
  return s;
}

FuzzHost::Socket& FuzzHost::datagram(SocketId id) {
  Socket& s = socket(id);
  require(s.kind == Kind::datagram, "a datagram's operation on another kind of socket");
  return s;
}

bool FuzzHost::fails() {
  if (failing_ == 0) return false;
  --failing_;
  return true;
}

SocketId FuzzHost::add(Socket s) {
  s.port = next_port_++;
  sockets.push_back(std::move(s));
  return SocketId{static_cast<std::uint32_t>(sockets.size() - 1)};
}

tl::expected<SocketId, HostError> FuzzHost::connect_stream(const Endpoint& to, host::Token token) {
  if (fails()) return tl::unexpected(failure_);
  return add({.kind = Kind::stream, .v4 = to.address.is_v4(), .token = token, .to = to});
}

HostError FuzzHost::finish_connect(SocketId id) {
  return stream(id).connected;
}

host::IoResult FuzzHost::send(SocketId id, std::span<const Bytes> pieces) {
  Socket& s = stream(id);
  require(s.connected == HostError::none, "sent before the connection stands");
  require(!s.shut, "sent after shutdown_send()");
  if (s.send_error != HostError::none) return {0, s.send_error};
  std::size_t total = 0;
  for (const Bytes piece : pieces) total += piece.size();
  require(total > 0, "nothing is sent");
  const std::size_t taken = std::min(total, s.takes);
  s.takes -= taken;
  return {taken, taken == 0 ? HostError::would_block : HostError::none};
}

host::IoResult FuzzHost::receive(SocketId id, std::span<const MutBytes> into) {
  Socket& s = stream(id);
  std::size_t room = 0;
  std::size_t done = 0;
  for (const MutBytes part : into) {
    room += part.size();
    const std::size_t count = std::min(part.size(), s.incoming);
    std::fill_n(part.begin(), count, std::uint8_t{0x5a});
    s.incoming -= count;
    done += count;
  }
  require(room > 0, "an empty read looks like the end");
  if (done > 0) return {done, HostError::none};
  if (s.receive_error != HostError::none) return {0, s.receive_error};
  return {0, s.ended ? HostError::none : HostError::would_block};
}

void FuzzHost::shutdown_send(SocketId id) {
  Socket& s = stream(id);
  require(!s.shut, "shutdown_send() twice");
  s.shut = true;
}

tl::expected<SocketId, HostError> FuzzHost::listen_stream(const Endpoint& at, host::Token token,
                                                          host::PortSharing) {
  if (fails()) return tl::unexpected(failure_);
  return add({.kind = Kind::listener, .v4 = at.address.is_v4(), .token = token, .to = at});
}

tl::expected<host::Accepted, HostError> FuzzHost::accept_stream(SocketId id) {
  if (fails()) return tl::unexpected(failure_);
  Socket& s = socket(id);
  require(s.kind == Kind::listener, "accept on what does not listen");
  if (s.clients.empty()) return tl::unexpected(HostError::would_block);
  const Endpoint peer = s.clients.front();
  s.clients.pop_front();
  const bool v4 = s.v4;
  return host::Accepted{
      add({.kind = Kind::stream, .v4 = v4, .watched = false, .to = peer, .connected = HostError::none}),
      peer};
}

bool FuzzHost::watch(SocketId id, host::Token token) {
  if (fails()) return false;
  Socket& s = socket(id);
  s.watched = true;
  s.token = token;
  return true;
}

tl::expected<SocketId, HostError> FuzzHost::bind_datagram(const Endpoint& at, host::Token token) {
  if (fails()) return tl::unexpected(failure_);
  return add({.kind = Kind::datagram, .v4 = at.address.is_v4(), .token = token, .to = at});
}

Endpoint FuzzHost::local_endpoint(SocketId id) const {
  const auto at = static_cast<std::size_t>(id);
  if (at >= sockets.size() || !sockets[at].open) return {};
  const Socket& s = sockets[at];
  return {s.to.address, s.to.port != 0 ? s.to.port : s.port};
}

tl::expected<SocketId, HostError> FuzzHost::open_datagram(host::DatagramKind, bool v4, host::Token token) {
  if (fails()) return tl::unexpected(failure_);
  return add({.kind = Kind::datagram, .v4 = v4, .token = token});
}

HostError FuzzHost::send_datagram(SocketId id, const Endpoint& to, Bytes payload,
                                  const host::DatagramOptions& options) {
  Socket& s = datagram(id);
  require(to.address.is_v4() == s.v4, "an address of the other IP version");
  require(options.segment_size == 0 || payload.size() > options.segment_size, "one datagram as many");
  if (failing_sends_ > 0) {
    --failing_sends_;
    return send_failure_;
  }
  s.last_to = to;
  s.last_sent.assign(payload.begin(), payload.end());
  return HostError::none;
}

std::span<const host::ReceivedDatagram> FuzzHost::receive_datagrams(SocketId id) {
  Socket& s = datagram(id);
  lent_.clear();
  lent_views_.clear();
  while (!s.arrived.empty() && lent_.size() < kDatagramBatch) {
    lent_.push_back(std::move(s.arrived.front()));
    s.arrived.pop_front();
  }
  for (const Datagram& one : lent_) {
    lent_views_.push_back(one.info);
    lent_views_.back().payload = one.bytes;
  }
  return lent_views_;
}

bool FuzzHost::receive_error(SocketId id, host::DatagramError& error) {
  Socket& s = datagram(id);
  if (s.errors.empty()) return false;
  lent_error_ = std::move(s.errors.front());
  s.errors.pop_front();
  error = lent_error_.info;
  error.payload = lent_error_.bytes;
  return true;
}

}  // namespace sf::fuzz
