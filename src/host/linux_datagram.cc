// UDP and ping sockets: opening them. linux_datagram_send.cc sends, linux_datagram_receiver.cc receives.
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "host/linux_address.hh"
#include "host/linux_datagram_options.hh"
#include "host/linux_errors.hh"
#include "host/linux_host.hh"
#include "wire/udp.hh"

namespace sf::host {
namespace {

// Asked for; the kernel gives at most net.core.rmem_max and wmem_max.
constexpr int kSocketBuffer = 2 * 1024 * 1024;

bool set_option(int fd, int level, int name, int value) {
  return ::setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

}  // namespace

// Whatever cannot be set is done without: it makes the result less informed or slower, not wrong.
void set_datagram_options(int fd, bool v4) {
  set_option(fd, SOL_SOCKET, SO_RCVBUF, kSocketBuffer);
  set_option(fd, SOL_SOCKET, SO_SNDBUF, kSocketBuffer);
  if (v4) {
    set_option(fd, IPPROTO_IP, IP_RECVERR, 1);
    set_option(fd, IPPROTO_IP, IP_RECVTTL, 1);
    set_option(fd, IPPROTO_IP, IP_RECVTOS, 1);
  } else {
    set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    set_option(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
    set_option(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
    set_option(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
  }
}

void tell_destination(int fd, bool v4) {
  if (v4) {
    set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
  } else {
    set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
  }
}

namespace {

// if_nametoindex(3) opens a Unix socket for this, which the system call filter forbids. 0: there is none.
unsigned interface_index(int fd, const std::string& name) {
  ifreq request{};
  if (name.size() >= sizeof(request.ifr_name)) return 0;
  std::memcpy(request.ifr_name, name.data(), name.size());
  return ::ioctl(fd, SIOCGIFINDEX, &request) == 0 ? static_cast<unsigned>(request.ifr_ifindex) : 0;
}

}  // namespace

void LinuxHost::say_once(Once& once, const char* what, int error, const char* effect) {
  if (options_.log == nullptr || !once.first()) return;
  options_.log->info("{} does not work here ({}): {}", what, std::strerror(error), effect);
}

// Once: what the kernel does not have for one UDP socket, it has for none.
void LinuxHost::look_for_offloads(int fd) {
  if (!options_.offload) return;
  const int on = 1;
  if (calls_.setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof(on)) != 0) {
    say_once(lacks_gro_, "UDP_GRO", errno, "datagrams from outside are received singly");
  }
  if (std::exchange(looked_for_offloads_, true)) return;
  // A kernel that does not know the option ignores it where it goes along with a datagram, and sends one
  // large one.
  int size = 0;
  socklen_t length = sizeof(size);
  if (calls_.getsockopt(fd, SOL_UDP, UDP_SEGMENT, &size, &length) == 0) return;
  segmentation_ = false;
  say_once(lacks_segmentation_, "UDP_SEGMENT", errno, "datagrams are sent singly");
}

tl::expected<SocketId, HostError> LinuxHost::open_datagram(DatagramKind kind, bool v4, Token token) {
  const bool ping = kind == DatagramKind::ping;
  const int protocol = !ping ? IPPROTO_UDP : v4 ? int{IPPROTO_ICMP} : int{IPPROTO_ICMPV6};
  UniqueFd fd(::socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
  if (!fd) {
    // ping_group_range, a security module, or a kernel without the protocol.
    const bool denied = errno == EACCES || errno == EPERM || errno == EPROTONOSUPPORT;
    return tl::unexpected(denied ? HostError::denied : host_error_from(errno));
  }
  if (kind != DatagramKind::query && options_.descriptors.kept_back(fd.get())) {
    return tl::unexpected(HostError::no_descriptors);
  }
  set_datagram_options(fd.get(), v4);
  if (!ping) look_for_offloads(fd.get());
  const Address any = v4 ? Address::v4(0) : Address();
  const SocketAddress local({outbound(v4).value_or(any), 0});
  if (::bind(fd.get(), local.get(), local.size()) != 0) {
    return tl::unexpected(errno == EADDRNOTAVAIL ? HostError::net_unreachable : host_error_from(errno));
  }
  // The interface is named with each datagram rather than bound to, so that those to the loopback still pass.
  const std::string& name = options_.outbound_interface;
  const unsigned index = name.empty() ? 0 : interface_index(fd.get(), name);
  if (!name.empty() && index == 0) return tl::unexpected(HostError::net_unreachable);
  auto socket = adopt(std::move(fd), ping ? Kind::ping : Kind::udp, v4, token);
  if (socket) find(*socket)->interface_index = index;
  return socket;
}

std::span<const ReceivedDatagram> LinuxHost::receive_datagrams(SocketId socket) {
  return receiver_.receive(fd_of(socket));
}

bool LinuxHost::receive_error(SocketId socket, DatagramError& error) {
  const Slot* slot = find(socket);
  if (slot == nullptr || !receiver_.receive_error(slot->fd.get(), slot->v4, error)) return false;
  // What the host itself finds too large it reports without the port, as it has that from connected sockets
  // alone.
  if (error.destination.port == 0 && error.destination.address == slot->too_large_for.address) {
    error.destination.port = slot->too_large_for.port;
  }
  return true;
}

}  // namespace sf::host
