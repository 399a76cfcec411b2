#include "host/linux_listen.hh"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

#include "host/linux_address.hh"
#include "host/linux_datagram_options.hh"
#include "host/linux_errors.hh"

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

tl::expected<UniqueFd, HostError> bound(const Endpoint& at, int type, bool joins) {
  const bool v4 = at.address.is_v4();
  UniqueFd fd(::socket(v4 ? AF_INET : AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return tl::unexpected(host_error_from(errno));
  // Connections of an earlier listener that are still closing do not count; a listener that is there does.
  if (type == SOCK_STREAM) set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (joins) set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1);
  if (!v4) set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  const SocketAddress local(at);
  if (::bind(fd.get(), local.get(), local.size()) != 0) return tl::unexpected(bind_error(errno));
  return fd;
}

}  // namespace

tl::expected<UniqueFd, HostError> listen_at(const Endpoint& at, PortSharing sharing) {
  auto fd = bound(at, SOCK_STREAM, sharing == PortSharing::joins);
  if (!fd) return fd;
  // Only now may others join: bind() was to fail where anybody listens, even one that would share.
  if (sharing == PortSharing::first) set_option(fd->get(), SOL_SOCKET, SO_REUSEPORT, 1);
  // Bytes are passed on as they come. What is accepted inherits it: a call less per client.
  set_option(fd->get(), IPPROTO_TCP, TCP_NODELAY, 1);
  if (::listen(fd->get(), kBacklog) != 0) return tl::unexpected(bind_error(errno));
  return fd;
}

tl::expected<UniqueFd, HostError> bind_udp_at(const Endpoint& at) {
  auto fd = bound(at, SOCK_DGRAM, false);
  if (fd) tell_destination(fd->get(), at.address.is_v4());
  return fd;
}

tl::expected<UniqueFd, HostError> accept_from(int listener, Endpoint& peer) {
  while (true) {
    sockaddr_in6 address{};
    socklen_t size = sizeof(address);
    UniqueFd fd(
        ::accept4(listener, reinterpret_cast<sockaddr*>(&address), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) {
      // A client that has gone already is not the listener's error (accept(2)).
      if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO) continue;
      return tl::unexpected(host_error_from(errno));
    }
    peer = endpoint_from(&address, size);
    return fd;
  }
}

Endpoint local_endpoint_of(int fd) {
  sockaddr_in6 address{};
  socklen_t size = sizeof(address);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  return endpoint_from(&address, size);
}

}  // namespace sf::host
