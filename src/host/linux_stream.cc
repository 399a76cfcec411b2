// TCP sockets.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "host/linux_address.hh"
#include "host/linux_errors.hh"
#include "host/linux_host.hh"

namespace sf::host {
namespace {

constexpr std::size_t kMaxPieces = 64;  // of one sendmsg, one recvmsg
constexpr int kKeepAliveIdle = 60;      // seconds
constexpr int kKeepAliveInterval = 15;

bool set_option(int fd, int level, int name, int value) {
  return ::setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

}  // namespace

HostError LinuxHost::bind_outbound_stream(int fd, bool v4) const {
  const std::string& name = options_.outbound_interface;
  if (!name.empty() && ::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name.c_str(),
                                    static_cast<socklen_t>(name.size() + 1)) != 0) {
    return host_error_from(errno);
  }
  if (const auto& address = outbound(v4)) {
    // The port is chosen by connect(), which knows the destination: else 28,000 connections would be all
    // there are.
    set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    const SocketAddress local({*address, 0});
    if (::bind(fd, local.get(), local.size()) != 0) {
      // An address that the machine does not have now is no way out, rather than a lack of ports.
      return errno == EADDRNOTAVAIL ? HostError::net_unreachable : host_error_from(errno);
    }
  }
  return HostError::none;
}

tl::expected<SocketId, HostError> LinuxHost::connect_stream(const Endpoint& to, Token token) {
  const bool v4 = to.address.is_v4();
  UniqueFd fd(::socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return tl::unexpected(host_error_from(errno));
  if (options_.descriptors.kept_back(fd.get())) return tl::unexpected(HostError::no_descriptors);
  // Segments of the guest's are passed on as they come; Nagle's algorithm has had its say inside.
  set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  if (!to.address.is_loopback()) {
    if (const HostError error = bind_outbound_stream(fd.get(), v4); error != HostError::none) {
      return tl::unexpected(error);
    }
  }
  const SocketAddress remote(to);
  // One that a signal interrupts goes on (connect(2)).
  if (::connect(fd.get(), remote.get(), remote.size()) != 0 && errno != EINPROGRESS && errno != EINTR) {
    return tl::unexpected(host_error_from(errno));
  }
  // Only now: an unconnected socket would announce a hang-up.
  return adopt(std::move(fd), Kind::stream, v4, token);
}

std::optional<Duration> LinuxHost::round_trip(SocketId socket) const {
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (::getsockopt(fd_of(socket), IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || info.tcpi_rtt == 0)
    return std::nullopt;
  return std::chrono::microseconds(info.tcpi_rtt);
}

HostError LinuxHost::finish_connect(SocketId socket) {
  Slot* slot = find(socket);
  if (slot == nullptr) return HostError::other;
  if (slot->outcome != HostError::in_progress) return slot->outcome;
  int error = 0;
  socklen_t size = sizeof(error);
  if (::getsockopt(slot->fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) return slot->outcome = host_error_from(error);
  sockaddr_in6 peer{};
  size = sizeof(peer);
  if (::getpeername(slot->fd.get(), reinterpret_cast<sockaddr*>(&peer), &size) == 0)
    slot->outcome = HostError::none;
  return slot->outcome;
}

IoResult LinuxHost::send(SocketId socket, std::span<const Bytes> pieces) {
  const int fd = fd_of(socket);
  IoResult result;
  while (!pieces.empty()) {
    std::array<iovec, kMaxPieces> vectors;
    const std::size_t count = std::min(pieces.size(), vectors.size());
    std::size_t wanted = 0;
    for (std::size_t i = 0; i < count; ++i) {
      vectors[i] = {const_cast<std::uint8_t*>(pieces[i].data()), pieces[i].size()};
      wanted += pieces[i].size();
    }
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = count;
    const ssize_t sent = ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) {
      // What went before is told first; a lasting error comes again with the next call.
      if (result.bytes == 0) result.error = host_error_from(errno);
      return result;
    }
    result.bytes += static_cast<std::size_t>(sent);
    if (static_cast<std::size_t>(sent) < wanted) return result;
    pieces = pieces.subspan(count);
  }
  return result;
}

IoResult LinuxHost::receive(SocketId socket, std::span<const MutBytes> into) {
  const int fd = fd_of(socket);
  std::array<iovec, kMaxPieces> vectors;
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = std::min(into.size(), vectors.size());
  for (std::size_t i = 0; i < message.msg_iovlen; ++i) vectors[i] = {into[i].data(), into[i].size()};
  while (true) {
    const ssize_t count = ::recvmsg(fd, &message, MSG_DONTWAIT);
    if (count >= 0) return {static_cast<std::size_t>(count), HostError::none};
    if (errno != EINTR) return {0, host_error_from(errno)};
  }
}

void LinuxHost::shutdown_send(SocketId socket) {
  ::shutdown(fd_of(socket), SHUT_WR);
}

void LinuxHost::keep_alive(SocketId socket) {
  // As many tries as the kernel's own default; how often is not known of the guest's.
  const int fd = fd_of(socket);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveIdle);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepAliveInterval);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

void LinuxHost::abort(SocketId socket) {
  // A close with a linger time of zero discards what is unsent and resets the peer (RFC 9293 section 3.10.5).
  const linger none{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd_of(socket), SOL_SOCKET, SO_LINGER, &none, sizeof(none));
  close(socket);
}

}  // namespace sf::host
