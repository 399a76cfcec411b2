// The list behind the filter (seccomp.hh), by who needs what once the program is confined. What is done
// before that needs no entry.
//
// To add one: name who needs it, and restrict the arguments as far as that use allows. Never on it: execve,
// clone and fork, ptrace, mount, setns, unshare, prctl, and whatever writes to files by their names.
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <initializer_list>
#include <tuple>

#include "setup/seccomp.hh"

namespace sf::setup {
namespace {

using Calls = std::vector<AllowedCall>;

ArgumentIs is(unsigned number, int value) {
  return {number, 0xffffffff, static_cast<std::uint32_t>(value)};
}

ArgumentIs has_none_of(unsigned number, int bits) {
  return {number, static_cast<std::uint32_t>(bits), 0};
}

void add(Calls& calls, std::initializer_list<const char*> names) {
  for (const char* name : names) calls.push_back({name});
}

// The C and C++ libraries, and the kernel's own (restart_syscall after a stop).
void add_libraries(Calls& calls) {
  add(calls, {"brk",          "munmap",        "mremap",          "madvise",        "futex",
              "futex_time64", "clock_gettime", "clock_gettime64", "gettimeofday",   "time",
              "getrandom",    "getpid",        "gettid",          "rt_sigprocmask", "rt_sigaction",
              "rt_sigreturn", "sigreturn",     "restart_syscall", "exit",           "exit_group"});
  for (const char* name : {"mmap", "mmap2", "mprotect"}) calls.push_back({name, {has_none_of(2, PROT_EXEC)}});
  calls.push_back({"tgkill", {is(0, ::getpid())}});  // abort()
}

// host/event_loop, and the control socket's own epoll and timer.
void add_event_loop(Calls& calls) {
  add(calls,
      {"epoll_wait", "epoll_pwait", "epoll_pwait2", "epoll_ctl", "timerfd_settime", "timerfd_settime64"});
}

// Descriptors that are open: the TAP, the log, --pcap, --ready-fd, signals, timers, published loopback ports.
void add_descriptors(Calls& calls) {
  add(calls, {"read", "readv", "write", "writev", "close", "lseek", "_llseek", "fstat", "fstat64", "pipe2",
              "splice"});
  for (const int command : {F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_SETPIPE_SZ, F_GETPIPE_SZ}) {
    for (const char* name : {"fcntl", "fcntl64"}) calls.push_back({name, {is(1, command)}});
  }
}

// link/bess, which asks whether its peer is there.
void add_bess(Calls& calls) {
  add(calls, {"poll", "ppoll", "ppoll_time64"});
}

// host/linux_resolvers, and the control socket's file, which goes with the process.
void add_files(Calls& calls) {
  // O_TMPFILE writes, and has O_DIRECTORY in it, which nobody here needs either.
  constexpr int kNot = O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | O_TMPFILE | O_PATH;
  calls.push_back({"openat", {is(0, AT_FDCWD), has_none_of(2, kNot)}});
  calls.push_back({"open", {has_none_of(1, kNot)}});
  add(calls, {"stat", "stat64", "newfstatat", "fstatat64", "statx"});
  calls.push_back({"unlinkat", {is(2, 0)}});
}

// host/: the sockets of flows and published ports. No AF_UNIX: services of the host listen there.
void add_sockets(Calls& calls) {
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
        {"socket", {is(0, family), {1, kKind, static_cast<std::uint32_t>(type)}, is(2, protocol)}});
  }
  add(calls, {"connect", "bind", "listen", "accept4", "shutdown", "getsockopt", "getsockname", "getpeername",
              "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg", "recvmmsg_time64"});
}

void add_socket_options(Calls& calls) {
  const auto allow = [&calls](int level, std::initializer_list<int> options) {
    for (const int option : options) calls.push_back({"setsockopt", {is(1, level), is(2, option)}});
  };
  allow(SOL_SOCKET,
        {SO_LINGER, SO_RCVBUF, SO_SNDBUF, SO_REUSEADDR, SO_REUSEPORT, SO_BINDTODEVICE, SO_KEEPALIVE});
  allow(IPPROTO_TCP, {TCP_NODELAY, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_USER_TIMEOUT});
  allow(IPPROTO_UDP, {UDP_GRO});
  allow(IPPROTO_IP,
        {IP_BIND_ADDRESS_NO_PORT, IP_RECVERR, IP_RECVTTL, IP_RECVTOS, IP_MTU_DISCOVER, IP_PKTINFO});
  allow(IPPROTO_IPV6,
        {IPV6_V6ONLY, IPV6_RECVERR, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS, IPV6_DONTFRAG, IPV6_RECVPKTINFO});
  calls.push_back({"ioctl", {is(1, SIOCGIFINDEX)}});  // --outbound-if
}

// setup/inside: the end of the child is waited for.
void add_children(Calls& calls, const SeccompSettings& settings) {
  add(calls, {"wait4", "waitpid"});
  if (settings.may_kill) calls.push_back({"kill", {is(1, SIGKILL)}});
}

#ifdef __SANITIZE_ADDRESS__
// What a sanitizer's report needs, so that it is seen instead of SIGSYS.
void add_sanitizers(Calls& calls) {
  add(calls, {"sigaltstack", "sched_yield", "sched_getaffinity", "readlink", "readlinkat", "getdents64",
              "lstat", "getrlimit", "prlimit64", "getrusage", "pipe", "getcwd", "access", "uname"});
}
#endif

}  // namespace

std::vector<AllowedCall> allowed_calls(const SeccompSettings& settings) {
  Calls calls;
  add_libraries(calls);
  add_event_loop(calls);
  add_descriptors(calls);
  add_bess(calls);
  add_files(calls);
  add_sockets(calls);
  add_socket_options(calls);
  add_children(calls, settings);
#ifdef __SANITIZE_ADDRESS__
  add_sanitizers(calls);
#endif
  return calls;
}

}  // namespace sf::setup
