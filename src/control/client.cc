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
constexpr std::size_t kMaxReply = std::size_t{32} << 20;
// Each has a descriptor, of which there are often 1,024.
constexpr std::size_t kAskedAtOnce = 500;

tl::unexpected<Error> failed(const std::string& path, const char* doing, int error) {
  const char* remedy = "; slirp-forwarder ls shows which instances there are";
  if (error == EACCES || error == EPERM) remedy = "; only the user that started the instance may";
  return fail("cannot ask the instance at {}: {}: {}{}", path, doing, std::strerror(error), remedy);
}

tl::unexpected<Error> bad_path(const std::string& path) {
  return fail(
      "cannot ask the instance at '{}': that is not a path of 1 to {} bytes; name the socket by a shorter "
      "one",
      path, sizeof(sockaddr_un{}.sun_path) - 1);
}

tl::unexpected<Error> timed_out(const std::string& path) {
  return fail("cannot ask the instance at {}: it does not answer; is it stopped, or is that another program?",
              path);
}

// One request on its way. Nothing in it waits.
class Exchange {
 public:
  Exchange(const std::string& path, std::string_view text) : path_(path), rest_(text) {
    if (!make_address(path, address_)) {
      finish(bad_path(path));
      return;
    }
    fd_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd_) finish(failed(path, "socket", errno));
  }

  [[nodiscard]] bool done() const { return doing_ == Doing::nothing; }
  [[nodiscard]] int fd() const { return fd_.get(); }
  // What to wait for; nothing while the backlog is full, of whose end no event tells.
  [[nodiscard]] short events() const {
    return doing_ == Doing::connecting ? 0 : doing_ == Doing::sending ? POLLOUT : POLLIN;
  }
  [[nodiscard]] Result<std::string> take_reply() { return std::move(reply_); }

  // As far as it goes.
  void go_on() {
    if (doing_ == Doing::connecting) connect();
    if (doing_ == Doing::sending) send();
    if (doing_ == Doing::receiving) receive();
  }
  void time_out() {
    if (!done()) finish(timed_out(path_));
  }

 private:
  enum class Doing { connecting, sending, receiving, nothing };

  void finish(Result<std::string> reply) {
    doing_ = Doing::nothing;
    reply_ = std::move(reply);
    fd_.reset();
  }
  void connect() {
    if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address_), sizeof(address_)) == 0) {
      doing_ = Doing::sending;
    } else if (errno != EAGAIN && errno != EINTR) {
      finish(failed(path_, "connect", errno));
    }
  }
  void send() {
    while (!rest_.empty()) {
      const ssize_t put = ::send(fd_.get(), rest_.data(), rest_.size(), MSG_NOSIGNAL);
      if (put >= 0) {
        rest_.remove_prefix(static_cast<std::size_t>(put));
      } else if (errno == EAGAIN || errno == EINTR) {
        return;
      } else if (errno == EPIPE) {
        break;  // it has heard enough, and may have said why
      } else {
        return finish(failed(path_, "send", errno));
      }
    }
    ::shutdown(fd_.get(), SHUT_WR);
    doing_ = Doing::receiving;
  }
  void receive() {
    std::array<char, 65536> piece;
    for (;;) {
      const ssize_t got = ::recv(fd_.get(), piece.data(), piece.size(), 0);
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
      // Reset: closed before it had read all that we sent.
      if (got < 0 && errno != ECONNRESET) return finish(failed(path_, "receive", errno));
      if (got <= 0) break;
      heard_.append(piece.data(), static_cast<std::size_t>(got));
      if (heard_.size() > kMaxReply) {
        return finish(
            fail("cannot ask the instance at {}: its reply does not end; is that another program?", path_));
      }
    }
    if (!heard_.empty()) return finish(std::move(heard_));
    finish(fail("cannot ask the instance at {}: it closed without a word; is it ending?", path_));
  }

  std::string path_;
  std::string_view rest_;  // of the request
  sockaddr_un address_{};
  UniqueFd fd_;
  Doing doing_ = Doing::connecting;
  std::string heard_;
  Result<std::string> reply_;
};

// False once the timer has run out.
bool wait_for_any(const std::vector<Exchange>& exchanges, int timer) {
  constexpr int kTryAgainMs = 20;
  std::vector<pollfd> watched{{.fd = timer, .events = POLLIN, .revents = 0}};
  bool connecting = false;
  for (const Exchange& exchange : exchanges) {
    if (exchange.done()) continue;
    if (exchange.events() == 0) {
      connecting = true;
    } else {
      watched.push_back({.fd = exchange.fd(), .events = exchange.events(), .revents = 0});
    }
  }
  while (::poll(watched.data(), watched.size(), connecting ? kTryAgainMs : -1) < 0 && errno == EINTR) {
  }
  return watched[0].revents == 0;
}

void run(std::vector<Exchange>& exchanges, Duration timeout) {
  const UniqueFd timer = start_timer(timeout);
  const auto is_done = [](const Exchange& exchange) { return exchange.done(); };
  for (;;) {
    for (Exchange& exchange : exchanges) exchange.go_on();
    if (std::ranges::all_of(exchanges, is_done)) return;
    if (!timer || !wait_for_any(exchanges, timer.get())) break;
  }
  for (Exchange& exchange : exchanges) exchange.time_out();
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
  // cppcheck-suppress returnStdMoveLocal; front() is a reference, which only a move empties
  return std::move(request_all({path}, text, timeout).front());
}

std::vector<Result<std::string>> request_all(const std::vector<std::string>& paths, std::string_view text,
                                             Duration timeout) {
  std::vector<Result<std::string>> replies;
  replies.reserve(paths.size());
  while (replies.size() < paths.size()) {
    std::vector<Exchange> exchanges;
    const std::size_t end = std::min(paths.size(), replies.size() + kAskedAtOnce);
    for (std::size_t at = replies.size(); at < end; ++at) exchanges.emplace_back(paths[at], text);
    run(exchanges, timeout);
    for (Exchange& exchange : exchanges) replies.push_back(exchange.take_reply());
  }
  return replies;
}

Result<UniqueFd> connect_and_send(const std::string& path, std::string_view text, Duration timeout) {
  sockaddr_un address;
  if (!make_address(path, address)) return bad_path(path);
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return failed(path, "socket", errno);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(timeout);
  const timeval limit{.tv_sec = seconds.count(), .tv_usec = (timeout - seconds) / 1us};
  static_cast<void>(::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return errno == EAGAIN ? timed_out(path) : failed(path, "connect", errno);
  }
  while (!text.empty()) {
    const ssize_t put = ::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
    if (put < 0 && errno == EAGAIN) return timed_out(path);
    if (put < 0 && errno == EPIPE) break;  // it has heard enough, and may have said why
    if (put < 0 && errno != EINTR) return failed(path, "send", errno);
    if (put > 0) text.remove_prefix(static_cast<std::size_t>(put));
  }
  return fd;
}

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

Interval::Interval(Duration interval) : timer_(start_timer(interval)) {}

void Interval::wait() {
  std::uint64_t expirations = 0;
  while (timer_ && ::read(timer_.get(), &expirations, sizeof(expirations)) < 0 && errno == EINTR) {
  }
}

}  // namespace sf::control
