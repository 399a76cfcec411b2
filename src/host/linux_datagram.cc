// UDP and ping sockets: opening and sending. linux_datagram_receiver.cc receives.
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
// The kernel's UDP_MAX_SEGMENTS of old; newer ones take more.
constexpr std::size_t kMaxSegments = 64;

bool set_option(int fd, int level, int name, int value) {
  return ::setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

}  // namespace

// Whatever cannot be set is done without: it makes the result less informed or slower, not wrong.
void set_datagram_options(int fd, bool ping, bool v4) {
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
  if (!ping) set_option(fd, SOL_UDP, UDP_GRO, 1);
}

void tell_destination(int fd, bool v4) {
  if (v4) {
    set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
  } else {
    set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
  }
}

namespace {

// Collects control messages in a buffer that has room for all that a datagram can need.
class Controls {
 public:
  template <typename T>
  void add(int level, int type, const T& value) {
    auto* header = reinterpret_cast<cmsghdr*>(buffer_.data() + size_);
    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = CMSG_LEN(sizeof(T));
    std::memcpy(CMSG_DATA(header), &value, sizeof(T));
    size_ += CMSG_SPACE(sizeof(T));
  }
  void attach_to(msghdr& message) {
    message.msg_control = buffer_.data();
    message.msg_controllen = size_;
  }

 private:
  static constexpr std::size_t kCapacity = 3 * CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(in6_pktinfo));
  alignas(cmsghdr) std::array<std::uint8_t, kCapacity> buffer_{};
  std::size_t size_ = 0;
};

// `source` has to be named along with an interface: the kernel takes an unspecified one to mean that it may
// choose.
void add_interface(Controls& controls, bool v4, unsigned index, const std::optional<Address>& source) {
  if (v4) {
    in_pktinfo info{};
    info.ipi_ifindex = static_cast<int>(index);
    if (source) info.ipi_spec_dst = to_in_addr(*source);
    controls.add(IPPROTO_IP, IP_PKTINFO, info);
  } else {
    in6_pktinfo info{};
    info.ipi6_ifindex = index;
    if (source) info.ipi6_addr = to_in6_addr(*source);
    controls.add(IPPROTO_IPV6, IPV6_PKTINFO, info);
  }
}

void add_controls(Controls& controls, bool v4, const DatagramOptions& options, std::uint16_t segment_size) {
  const int ttl = std::max<int>(options.ttl, 1);  // 0 is refused
  if (v4) {
    controls.add(IPPROTO_IP, IP_TTL, ttl);
    controls.add(IPPROTO_IP, IP_TOS, int{options.traffic_class});
  } else {
    controls.add(IPPROTO_IPV6, IPV6_HOPLIMIT, ttl);
    controls.add(IPPROTO_IPV6, IPV6_TCLASS, int{options.traffic_class});
  }
  if (segment_size != 0) controls.add(SOL_UDP, UDP_SEGMENT, segment_size);
}

// if_nametoindex(3) opens a Unix socket for this, which the system call filter forbids. 0: there is none.
unsigned interface_index(int fd, const std::string& name) {
  ifreq request{};
  if (name.size() >= sizeof(request.ifr_name)) return 0;
  std::memcpy(request.ifr_name, name.data(), name.size());
  return ::ioctl(fd, SIOCGIFINDEX, &request) == 0 ? static_cast<unsigned>(request.ifr_ifindex) : 0;
}

}  // namespace

bool send_from(int fd, Bytes payload, const Endpoint& to, const std::optional<Address>& source) {
  const SocketAddress remote(to);
  iovec vector{const_cast<std::uint8_t*>(payload.data()), payload.size()};
  msghdr message{};
  message.msg_name = const_cast<sockaddr*>(remote.get());
  message.msg_namelen = remote.size();
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  Controls controls;
  if (source) add_interface(controls, to.address.is_v4(), 0, source);
  controls.attach_to(message);
  return ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
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
  set_datagram_options(fd.get(), ping, v4);
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

int LinuxHost::set_dont_fragment(Slot& slot, bool on) {
  if (slot.dont_fragment == on) return 0;
  // IPv4: DF and an error above the path's MTU, or neither (RFC 1191 section 6.1 leaves datagrams to their
  // senders). IPv6: routers never fragment; what can be chosen is whether the host does.
  const bool set =
      slot.v4 ? set_option(slot.fd.get(), IPPROTO_IP, IP_MTU_DISCOVER, on ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT)
              : set_option(slot.fd.get(), IPPROTO_IPV6, IPV6_DONTFRAG, on ? 1 : 0);
  if (!set) return errno;
  slot.dont_fragment = on;
  return 0;
}

int LinuxHost::send_one(const Slot& slot, const Endpoint& to, Bytes payload, const DatagramOptions& options,
                        std::uint16_t segment_size) const {
  const SocketAddress remote(to);
  iovec vector{const_cast<std::uint8_t*>(payload.data()), payload.size()};
  msghdr message{};
  message.msg_name = const_cast<sockaddr*>(remote.get());
  message.msg_namelen = remote.size();
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  Controls controls;
  add_controls(controls, slot.v4, options, segment_size);
  if (options.source) {
    add_interface(controls, slot.v4, 0, options.source);
  } else if (slot.interface_index != 0 && !to.address.is_loopback()) {
    add_interface(controls, slot.v4, slot.interface_index, outbound(slot.v4));
  }
  controls.attach_to(message);
  // The first error may be an older datagram's, told once; this one has then not been sent. The price: one
  // that is itself above the path's MTU is tried twice, and has two entries in the error queue.
  for (int attempt = 0;; ++attempt) {
    if (::sendmsg(slot.fd.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return 0;
    if (errno != EINTR && (attempt > 0 || !may_be_pending(errno))) return errno;
  }
}

int LinuxHost::send_segments(Slot& slot, const Endpoint& to, Bytes payload, const DatagramOptions& options) {
  const std::size_t size = options.segment_size;
  const std::size_t at_once = std::clamp<std::size_t>(wire::kUdpMaxPayload / size, 1, kMaxSegments) * size;
  bool singly = slot.no_segmentation;
  while (!payload.empty()) {
    const Bytes chunk = take(payload, singly ? size : at_once);
    const bool many = chunk.size() > size;
    const int error = send_one(slot, to, chunk, options, many ? options.segment_size : std::uint16_t{0});
    // A segment above the MTU has to be fragmented, which the kernel does for single datagrams alone.
    if (many && error == EMSGSIZE) {
      singly = true;
      continue;
    }
    // EIO: a route through IPsec, or, in older kernels, a device without checksum offload. EINVAL: a kernel
    // that does not know the option.
    if (many && (error == EIO || error == EINVAL || error == EOPNOTSUPP)) {
      singly = slot.no_segmentation = true;
      continue;
    }
    if (error != 0) return error;
    payload = drop(payload, chunk.size());
  }
  return 0;
}

HostError LinuxHost::send_datagram(SocketId socket, const Endpoint& to, Bytes payload,
                                   const DatagramOptions& options) {
  Slot* slot = find(socket);
  if (slot == nullptr || slot->kind == Kind::stream) return HostError::other;
  if (to.address.is_v4() != slot->v4) return HostError::net_unreachable;
  if (const int error = set_dont_fragment(*slot, options.dont_fragment); error != 0)
    return host_error_from(error);
  const bool many = options.segment_size != 0 && payload.size() > options.segment_size;
  const int error =
      many ? send_segments(*slot, to, payload, options) : send_one(*slot, to, payload, options, 0);
  if (error == EMSGSIZE) slot->too_large_for = to;
  return host_error_from(error);
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
