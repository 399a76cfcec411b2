#include "host/system_calls.hh"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <tuple>

namespace sf::host {
namespace {

using Is = ArgumentIs;

// The sockets of flows and published ports. No AF_UNIX: services of the host listen there.
void allow_sockets(AllowedCalls& calls) {
  constexpr std::uint32_t kKind = ~static_cast<std::uint32_t>(SOCK_NONBLOCK | SOCK_CLOEXEC);
  for (const auto& [family, type, protocol] : {std::tuple{AF_INET, int{SOCK_STREAM}, 0},
                                               {AF_INET6, int{SOCK_STREAM}, 0},
                                               {AF_INET, int{SOCK_DGRAM}, 0},
                                               {AF_INET6, int{SOCK_DGRAM}, 0},
                                               {AF_INET, int{SOCK_DGRAM}, int{IPPROTO_UDP}},
                                               {AF_INET6, int{SOCK_DGRAM}, int{IPPROTO_UDP}},
                                               {AF_INET, int{SOCK_DGRAM}, int{IPPROTO_ICMP}},
                                               {AF_INET6, int{SOCK_DGRAM}, int{IPPROTO_ICMPV6}}}) {
    calls.push_back(
        {"socket", {Is::is(0, family), {1, kKind, static_cast<std::uint32_t>(type)}, Is::is(2, protocol)}});
  }
  allow(calls, {"poll", "ppoll", "ppoll_time64", "connect", "bind", "listen", "accept4", "shutdown",
                "getsockopt", "getsockname", "getpeername", "sendto", "sendmsg", "sendmmsg", "recvfrom",
                "recvmsg", "recvmmsg", "recvmmsg_time64"});
}

void allow_socket_options(AllowedCalls& calls) {
  const auto options = [&calls](int level, std::initializer_list<int> names) {
    for (const int name : names) calls.push_back({"setsockopt", {Is::is(1, level), Is::is(2, name)}});
  };
  options(SOL_SOCKET,
          {SO_LINGER, SO_RCVBUF, SO_SNDBUF, SO_REUSEADDR, SO_REUSEPORT, SO_BINDTODEVICE, SO_KEEPALIVE});
  options(IPPROTO_TCP, {TCP_NODELAY, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_USER_TIMEOUT});
  options(IPPROTO_UDP, {UDP_GRO});
  options(IPPROTO_IP,
          {IP_BIND_ADDRESS_NO_PORT, IP_RECVERR, IP_RECVTTL, IP_RECVTOS, IP_MTU_DISCOVER, IP_PKTINFO});
  options(IPPROTO_IPV6,
          {IPV6_V6ONLY, IPV6_RECVERR, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS, IPV6_DONTFRAG, IPV6_RECVPKTINFO});
  calls.push_back({"ioctl", {Is::is(1, SIOCGIFINDEX)}});  // --outbound-if
}

// host/splice: bytes of loopback ports, through pipes.
void allow_splicing(AllowedCalls& calls) {
  allow(calls, {"pipe2", "splice", "read", "write", "close"});
  for (const int command : {F_GETFL, F_SETFL, F_SETPIPE_SZ, F_GETPIPE_SZ}) {
    for (const char* name : {"fcntl", "fcntl64"}) calls.push_back({name, {Is::is(1, command)}});
  }
}

}  // namespace

AllowedCalls allowed_calls(const HostCalls& wanted) {
  AllowedCalls calls;
  allow(calls,
        {"epoll_wait", "epoll_pwait", "epoll_pwait2", "epoll_ctl", "timerfd_settime", "timerfd_settime64"});
  allow_sockets(calls);
  allow_socket_options(calls);
  allow_splicing(calls);
  if (wanted.reads_resolv_conf) {
    // O_TMPFILE writes, and has O_DIRECTORY in it, which nobody here needs either.
    constexpr int kNot = O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | O_TMPFILE | O_PATH;
    calls.push_back({"openat", {Is::is(0, AT_FDCWD), Is::has_none_of(2, kNot)}});
    calls.push_back({"open", {Is::has_none_of(1, kNot)}});
    allow(calls, {"stat", "stat64", "newfstatat", "fstatat64", "statx", "fstat", "fstat64"});
  }
  return calls;
}

}  // namespace sf::host
