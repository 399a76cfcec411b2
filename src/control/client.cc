#include "control/client.hh"

#include <poll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace sf::control {
namespace {

// More than any instance has to say.
constexpr std::size_t kMaxReply = std::size_t{64} << 20;

UniqueFd start_timer(Duration duration) {
  UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  if (!timer) return timer;
  const auto seconds = std::chrono::floor<std::chrono::seconds>(duration);
  itimerspec when{};
  when.it_value = {.tv_sec = seconds.count(), .tv_nsec = (duration - seconds).count()};
  if (when.it_value.tv_sec == 0 && when.it_value.tv_nsec == 0) when.it_value.tv_nsec = 1;  // 0 would disarm
  if (::timerfd_settime(timer.get(), 0, &when, nullptr) != 0) timer.reset();
  return timer;
}

tl::unexpected<Error> failed(const std::string& path, const char* doing, int error) {
  const char* remedy = "; slirp-forwarder ls shows which instances there are";
  if (error == EACCES || error == EPERM) remedy = "; only the user that started the instance may";
  return fail("cannot ask the instance at {}: {}: {}{}", path, doing, std::strerror(error), remedy);
}

tl::unexpected<Error> timed_out(const std::string& path) {
  return fail("cannot ask the instance at {}: it does not answer; is it stopped, or is that another program?",
              path);
}

// 0, or the errno. A full backlog makes connect wait for as long as sending may.
int connect_within(int fd, const sockaddr_un& address, Duration timeout) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(timeout);
  const auto micros = std::chrono::floor<std::chrono::microseconds>(timeout - seconds);
  const timeval limit{.tv_sec = seconds.count(), .tv_usec = micros.count()};
  if (::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) != 0) return errno;
  while (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

// False once the timer has run out.
bool wait_for(int fd, short events, int timer) {
  std::array<pollfd, 2> watched{
      {{.fd = fd, .events = events, .revents = 0}, {.fd = timer, .events = POLLIN, .revents = 0}}};
  while (::poll(watched.data(), watched.size(), -1) < 0 && errno == EINTR) {
  }
  return watched[1].revents == 0;
}

}  // namespace

bool make_address(const std::string& path, sockaddr_un& address) {
  address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path) || path.find('\0') != std::string::npos)
    return false;
  std::copy(path.begin(), path.end(), std::begin(address.sun_path));
  return true;
}

Answers probe(const std::string& path) {
  sockaddr_un address;
  if (!make_address(path, address)) return Answers::unknown;
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return Answers::unknown;
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0)
    return Answers::yes;
  if (errno == EAGAIN) return Answers::yes;  // its backlog is full
  if (errno == ECONNREFUSED) return Answers::refused;
  return errno == ENOENT ? Answers::absent : Answers::unknown;
}

Result<std::string> request(const std::string& path, std::string_view text, Duration timeout) {
  sockaddr_un address;
  if (!make_address(path, address)) {
    return fail(
        "cannot ask the instance at '{}': that is not a path of 1 to {} bytes; name the socket by a "
        "shorter one",
        path, sizeof(address.sun_path) - 1);
  }
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return failed(path, "socket", errno);
  const UniqueFd timer = start_timer(timeout);
  if (!timer) return failed(path, "timerfd", errno);
  if (const int error = connect_within(fd.get(), address, timeout); error != 0) {
    return error == EAGAIN ? timed_out(path) : failed(path, "connect", error);
  }
  while (!text.empty()) {
    const ssize_t put = ::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put >= 0) {
      text.remove_prefix(static_cast<std::size_t>(put));
    } else if (errno == EAGAIN) {
      if (!wait_for(fd.get(), POLLOUT, timer.get())) return timed_out(path);
    } else if (errno == EPIPE) {
      break;  // it has heard enough, and may have said why
    } else if (errno != EINTR) {
      return failed(path, "send", errno);
    }
  }
  ::shutdown(fd.get(), SHUT_WR);
  std::string reply;
  std::array<char, 65536> piece;
  for (;;) {
    if (!wait_for(fd.get(), POLLIN, timer.get())) return timed_out(path);
    const ssize_t got = ::recv(fd.get(), piece.data(), piece.size(), MSG_DONTWAIT);
    if (got == 0) break;
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0 && errno == ECONNRESET && !reply.empty())
      break;  // closed before it had read all that we sent
    if (got < 0) return failed(path, "receive", errno);
    reply.append(piece.data(), static_cast<std::size_t>(got));
    if (reply.size() > kMaxReply) {
      return fail("cannot ask the instance at {}: its reply does not end; is that another program?", path);
    }
  }
  if (reply.empty())
    return fail("cannot ask the instance at {}: it closed without a word; is it ending?", path);
  return reply;
}

Interval::Interval(Duration interval) : timer_(start_timer(interval)) {}

void Interval::wait() {
  std::uint64_t expirations = 0;
  while (timer_ && ::read(timer_.get(), &expirations, sizeof(expirations)) < 0 && errno == EINTR) {
  }
}

}  // namespace sf::control
