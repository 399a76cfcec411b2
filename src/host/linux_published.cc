// Published ports: listening sockets and their clients, and UDP sockets with a port of their own.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

#include "host/linux_address.hh"
#include "host/linux_datagram_options.hh"
#include "host/linux_errors.hh"
#include "host/linux_host.hh"

namespace sf::host {
namespace {

// The kernel cuts it to net.core.somaxconn.
constexpr int kBacklog = 65535;

bool set_option(int fd, int level, int name, int value) {
  return ::setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

// Why an address could not be taken; to a caller that asked for it, these are different things.
HostError bind_error(int error) {
  switch (error) {
    case EADDRINUSE:
      return HostError::in_use;
    case EADDRNOTAVAIL:
      return HostError::no_such_address;
    case EACCES:
      return HostError::denied;
    default:
      return host_error_from(error);
  }
}

tl::expected<UniqueFd, HostError> bound(const Endpoint& at, int type) {
  const bool v4 = at.address.is_v4();
  UniqueFd fd(::socket(v4 ? AF_INET : AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return tl::unexpected(host_error_from(errno));
  // Connections of an earlier listener that are still closing do not count; a listener that is there does.
  if (type == SOCK_STREAM) set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (!v4) set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  const SocketAddress local(at);
  if (::bind(fd.get(), local.get(), local.size()) != 0) return tl::unexpected(bind_error(errno));
  return fd;
}

}  // namespace

tl::expected<SocketId, HostError> LinuxHost::listen_stream(const Endpoint& at, Token token) {
  auto fd = bound(at, SOCK_STREAM);
  if (!fd) return tl::unexpected(fd.error());
  // Segments of the guest's are passed on as they come. What is accepted inherits it: a call less per client.
  set_option(fd->get(), IPPROTO_TCP, TCP_NODELAY, 1);
  if (::listen(fd->get(), kBacklog) != 0) return tl::unexpected(bind_error(errno));
  return adopt(std::move(*fd), Kind::stream, at.address.is_v4(), token);
}

tl::expected<Accepted, HostError> LinuxHost::accept_stream(SocketId listener) {
  while (true) {
    sockaddr_in6 peer{};
    socklen_t size = sizeof(peer);
    UniqueFd fd(
        ::accept4(fd_of(listener), reinterpret_cast<sockaddr*>(&peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) {
      // A client that has gone already is not the listener's error (accept(2)).
      if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO) continue;
      return tl::unexpected(host_error_from(errno));
    }
    const Endpoint from = endpoint_from(&peer, size);
    const SocketId socket = keep(std::move(fd), Kind::stream, from.address.is_v4());
    find(socket)->outcome = HostError::none;
    return Accepted{socket, from};
  }
}

bool LinuxHost::watch(SocketId socket, Token token) {
  return loop_.add_socket(fd_of(socket), token) == 0;
}

tl::expected<SocketId, HostError> LinuxHost::bind_datagram(const Endpoint& at, Token token) {
  auto fd = bound(at, SOCK_DGRAM);
  if (!fd) return tl::unexpected(fd.error());
  const bool v4 = at.address.is_v4();
  set_datagram_options(fd->get(), false, v4);
  return adopt(std::move(*fd), Kind::udp, v4, token);
}

}  // namespace sf::host
