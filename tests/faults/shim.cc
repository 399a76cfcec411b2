#include "faults/shim.hh"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <initializer_list>
#include <map>

namespace sf::faults {
namespace {

struct Watch {
  int epoll = -1;
  epoll_event event{};
};

struct State {
  bool armed = false;
  bool aside = false;
  int error = 0;
  std::uint64_t left = 0;
  const char* struck = "";
  std::map<int, Watch> watched;
};

State& state() {
  static State instance;
  return instance;
}

// True where this call is the one.
bool strikes(const char* name, std::initializer_list<int> possible) {
  State& s = state();
  if (!s.armed || s.aside || std::ranges::find(possible, s.error) == possible.end()) return false;
  if (--s.left != 0) return false;
  s.armed = false;
  s.struck = name;
  errno = s.error == kShort ? 0 : s.error;
  return true;
}

}  // namespace

void arm(int error, std::uint64_t number) {
  state() = {.armed = true, .error = error, .left = number, .watched = {}};
}
bool disarm() {
  state().armed = false;
  return state().struck[0] != '\0';
}
const char* struck() {
  return state().struck;
}
Aside::Aside() : before_(state().aside) {
  state().aside = true;
}
Aside::~Aside() {
  state().aside = before_;
}

}  // namespace sf::faults

using sf::faults::kShort;
using sf::faults::state;
using sf::faults::strikes;

// What the linker renames: __real_X is the system's X, and calls of X come to __wrap_X.
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {

int __real_epoll_ctl(int epoll, int operation, int fd, epoll_event* event);
int __real_epoll_wait(int epoll, epoll_event* events, int most, int timeout);
int __real_epoll_pwait2(int epoll, epoll_event* events, int most, const timespec* timeout,
                        const sigset_t* mask);
int __real_socket(int domain, int type, int protocol);
int __real_connect(int fd, const sockaddr* to, socklen_t size);
int __real_bind(int fd, const sockaddr* at, socklen_t size);
int __real_listen(int fd, int backlog);
int __real_accept4(int fd, sockaddr* from, socklen_t* size, int flags);
int __real_setsockopt(int fd, int level, int name, const void* value, socklen_t size);
int __real_getsockopt(int fd, int level, int name, void* value, socklen_t* size);
int __real_pipe2(int* fds, int flags);
int __real_fcntl(int fd, int command, ...);
int __real_shutdown(int fd, int how);
ssize_t __real_readv(int fd, const iovec* parts, int count);
ssize_t __real_writev(int fd, const iovec* parts, int count);
ssize_t __real_sendmsg(int fd, const msghdr* message, int flags);
ssize_t __real_recvmsg(int fd, msghdr* message, int flags);
int __real_sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags);
int __real_recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout);
ssize_t __real_send(int fd, const void* bytes, std::size_t size, int flags);
ssize_t __real_recv(int fd, void* bytes, std::size_t size, int flags);
ssize_t __real_splice(int from, off64_t* at, int to, off64_t* there, std::size_t size, unsigned flags);

// After an EAGAIN or a short count the kernel says again when there is more: so it does after a change of
// what is watched.
static void announce(int fd) {
  const int error = errno;
  const auto found = state().watched.find(fd);
  if (found != state().watched.end())
    __real_epoll_ctl(found->second.epoll, EPOLL_CTL_MOD, fd, &found->second.event);
  errno = error;
}
static int failed(int fd) {
  if (errno == EAGAIN) announce(fd);
  return -1;
}
static bool is_stream(int fd) {
  int type = 0;
  socklen_t size = sizeof(type);
  return __real_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

int __wrap_epoll_ctl(int epoll, int operation, int fd, epoll_event* event) {
  if (operation == EPOLL_CTL_ADD && strikes("epoll_ctl", {ENOMEM, ENOSPC})) return -1;
  if (operation == EPOLL_CTL_ADD && (event->events & EPOLLET) != 0) state().watched[fd] = {epoll, *event};
  return __real_epoll_ctl(epoll, operation, fd, event);
}
int __wrap_epoll_wait(int epoll, epoll_event* events, int most, int timeout) {
  return strikes("epoll_wait", {EINTR}) ? -1 : __real_epoll_wait(epoll, events, most, timeout);
}
int __wrap_epoll_pwait2(int epoll, epoll_event* events, int most, const timespec* timeout,
                        const sigset_t* mask) {
  return strikes("epoll_pwait2", {EINTR, ENOSYS, EPERM})
             ? -1
             : __real_epoll_pwait2(epoll, events, most, timeout, mask);
}
int __wrap_socket(int domain, int type, int protocol) {
  return strikes("socket", {EMFILE, ENFILE, ENOBUFS, ENOMEM}) ? -1 : __real_socket(domain, type, protocol);
}
int __wrap_connect(int fd, const sockaddr* to, socklen_t size) {
  if (strikes("connect", {EADDRNOTAVAIL, ECONNRESET, ENOBUFS, ENOMEM})) return -1;
  // A connect that a signal interrupts goes on (connect(2)).
  if (is_stream(fd) && strikes("connect", {EINTR})) {
    __real_connect(fd, to, size);
    errno = EINTR;
    return -1;
  }
  return __real_connect(fd, to, size);
}
int __wrap_bind(int fd, const sockaddr* at, socklen_t size) {
  return strikes("bind", {EADDRNOTAVAIL, ENOMEM, ENOBUFS}) ? -1 : __real_bind(fd, at, size);
}
int __wrap_listen(int fd, int backlog) {
  return strikes("listen", {EADDRNOTAVAIL, ENOBUFS, ENOMEM}) ? -1 : __real_listen(fd, backlog);
}
int __wrap_accept4(int fd, sockaddr* from, socklen_t* size, int flags) {
  if (strikes("accept4", {EAGAIN, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM, ECONNABORTED})) return failed(fd);
  return __real_accept4(fd, from, size, flags);
}
int __wrap_setsockopt(int fd, int level, int name, const void* value, socklen_t size) {
  return strikes("setsockopt", {ENOBUFS, ENOMEM}) ? -1 : __real_setsockopt(fd, level, name, value, size);
}
int __wrap_getsockopt(int fd, int level, int name, void* value, socklen_t* size) {
  return strikes("getsockopt", {ENOBUFS, ENOMEM}) ? -1 : __real_getsockopt(fd, level, name, value, size);
}
int __wrap_pipe2(int* fds, int flags) {
  return strikes("pipe2", {EMFILE, ENFILE, ENOMEM}) ? -1 : __real_pipe2(fds, flags);
}
int __wrap_fcntl(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  const long value = va_arg(arguments, long);
  va_end(arguments);
  return strikes("fcntl", {ENOMEM}) ? -1 : __real_fcntl(fd, command, value);
}
int __wrap_shutdown(int fd, int how) {
  return strikes("shutdown", {ECONNRESET}) ? -1 : __real_shutdown(fd, how);
}
ssize_t __wrap_sendmsg(int fd, const msghdr* message, int flags) {
  if (strikes("sendmsg", {EAGAIN, EINTR, ENOBUFS, ENOMEM, ECONNRESET})) return failed(fd);
  if (!is_stream(fd) || !strikes("sendmsg", {kShort})) return __real_sendmsg(fd, message, flags);
  const ssize_t sent = __real_send(fd, message->msg_iov[0].iov_base, 1, flags);
  announce(fd);
  return sent;
}
ssize_t __wrap_recvmsg(int fd, msghdr* message, int flags) {
  if ((flags & MSG_ERRQUEUE) == 0 && strikes("recvmsg", {EAGAIN, EINTR, ENOMEM, ECONNRESET}))
    return failed(fd);
  if (!is_stream(fd) || !strikes("recvmsg", {kShort})) return __real_recvmsg(fd, message, flags);
  const ssize_t got = __real_recv(fd, message->msg_iov[0].iov_base, 1, flags);
  announce(fd);
  return got;
}
int __wrap_sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
  if (strikes("sendmmsg", {EAGAIN, EINTR, ENOBUFS, ENOMEM, ECONNRESET})) return failed(fd);
  return __real_sendmmsg(fd, messages, count > 1 && strikes("sendmmsg", {kShort}) ? 1 : count, flags);
}
int __wrap_recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
  if (strikes("recvmmsg", {EAGAIN, EINTR, ENOMEM, ECONNRESET})) return failed(fd);
  return __real_recvmmsg(fd, messages, count, flags, timeout);
}
ssize_t __wrap_readv(int fd, const iovec* parts, int count) {
  return strikes("readv", {EAGAIN, EINTR, ENOBUFS, ENOMEM, EIO}) ? -1 : __real_readv(fd, parts, count);
}
ssize_t __wrap_writev(int fd, const iovec* parts, int count) {
  return strikes("writev", {EAGAIN, EINTR, ENOBUFS, ENOMEM, EIO}) ? -1 : __real_writev(fd, parts, count);
}
ssize_t __wrap_send(int fd, const void* bytes, std::size_t size, int flags) {
  if (strikes("send", {EAGAIN, EINTR, ENOBUFS, ENOMEM, ECONNRESET})) return failed(fd);
  if (!is_stream(fd) || !strikes("send", {kShort})) return __real_send(fd, bytes, size, flags);
  const ssize_t sent = __real_send(fd, bytes, 1, flags);
  announce(fd);
  return sent;
}
ssize_t __wrap_recv(int fd, void* bytes, std::size_t size, int flags) {
  if (strikes("recv", {EAGAIN, EINTR, ENOMEM, ECONNRESET})) return failed(fd);
  if (!is_stream(fd) || !strikes("recv", {kShort})) return __real_recv(fd, bytes, size, flags);
  const ssize_t got = __real_recv(fd, bytes, 1, flags);
  announce(fd);
  return got;
}
// With _FORTIFY_SOURCE.
ssize_t __wrap___recv_chk(int fd, void* bytes, std::size_t size, std::size_t, int flags) {
  return __wrap_recv(fd, bytes, size, flags);
}
ssize_t __wrap_splice(int from, off64_t* at, int to, off64_t* there, std::size_t size, unsigned flags) {
  if (strikes("splice", {EAGAIN, EINTR, ENOMEM, ECONNRESET})) {
    announce(from);
    return failed(to);
  }
  const bool cut = strikes("splice", {kShort});
  const ssize_t moved = __real_splice(from, at, to, there, cut ? 1 : size, flags);
  if (cut) {
    announce(from);
    announce(to);
  }
  return moved;
}

}  // extern "C"
// NOLINTEND(bugprone-reserved-identifier)
