// Published ports: listening sockets and their clients, and UDP sockets with a port of their own.
#include <poll.h>

#include "host/linux_datagram_options.hh"
#include "host/linux_host.hh"
#include "host/linux_listen.hh"

namespace sf::host {

tl::expected<SocketId, HostError> LinuxHost::listen_stream(const Endpoint& at, Token token,
                                                           PortSharing sharing) {
  auto fd = listen_at(at, sharing);
  if (!fd) return tl::unexpected(fd.error());
  if (options_.descriptors.kept_back(fd->get())) return tl::unexpected(HostError::no_descriptors);
  return adopt(std::move(*fd), Kind::stream, at.address.is_v4(), token);
}

tl::expected<Accepted, HostError> LinuxHost::accept_stream(SocketId listener) {
  // accept(2), too, says that there is no descriptor before it looks for a client. Nobody is to make room
  // where none waits.
  const auto starved = [&] {
    pollfd waits{.fd = fd_of(listener), .events = POLLIN, .revents = 0};
    return ::poll(&waits, 1, 0) == 0 ? HostError::would_block : HostError::no_descriptors;
  };
  if (!may_accept()) return tl::unexpected(starved());
  Endpoint from;
  auto fd = accept_from(fd_of(listener), from);
  if (!fd) return tl::unexpected(fd.error() == HostError::no_descriptors ? starved() : fd.error());
  return Accepted{adopt_stream(std::move(*fd), from), from};
}

UniqueFd LinuxHost::release_stream(SocketId socket) {
  Slot* slot = find(socket);
  if (slot == nullptr) return {};
  UniqueFd fd = std::move(slot->fd);
  slots_.destroy(slots_.handle_at(static_cast<std::uint32_t>(socket)));
  return fd;
}

SocketId LinuxHost::adopt_stream(UniqueFd fd, const Endpoint& peer) {
  const SocketId socket = keep(std::move(fd), Kind::stream, peer.address.is_v4());
  find(socket)->outcome = HostError::none;
  return socket;
}

bool LinuxHost::watch(SocketId socket, Token token) {
  return loop_.add_socket(fd_of(socket), token) == 0;
}

tl::expected<SocketId, HostError> LinuxHost::bind_datagram(const Endpoint& at, Token token) {
  auto fd = bind_udp_at(at);
  if (!fd) return tl::unexpected(fd.error());
  if (options_.descriptors.kept_back(fd->get())) return tl::unexpected(HostError::no_descriptors);
  const bool v4 = at.address.is_v4();
  set_datagram_options(fd->get(), v4);
  look_for_offloads(fd->get());
  return adopt(std::move(*fd), Kind::udp, v4, token);
}

}  // namespace sf::host
