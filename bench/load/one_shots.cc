// A connection for each request: connect, ask, read to the end, close. The server closes first, so that the
// waiting after the end is its own and the client does not run out of ports.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>

#include "common.hh"

namespace sf::load {
namespace {

constexpr std::uint64_t kTooManyFailures = 10'000;

class OneShots {
 public:
  explicit OneShots(const Options& options)
      : to_(options.text("to"), kOneShotPort),
        duration_(static_cast<std::int64_t>(options.real("seconds", 1) * 1e9)),
        shots_(static_cast<std::size_t>(options.number("parallel", 1))),
        epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    check(epoll_, "open an epoll");
    latencies_.reserve(1 << 18);
  }

  int run() {
    const std::int64_t begin = now();
    for (std::size_t i = 0; i < shots_.size(); ++i) open(i);
    std::array<epoll_event, 64> events;
    while (now() < begin + duration_) {
      const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 20);
      if (count < 0 && errno != EINTR) fail("wait for connections");
      for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        advance(event.data.u64, event.events);
      }
    }
    const double seconds = static_cast<double>(now() - begin) / 1e9;
    const auto count = latencies_.size();
    if (count == 0) give_up("no connection was answered");
    std::printf("{\"rate\": %.1f, \"p50\": %.2f, \"p99\": %.2f, \"lost\": %llu, \"count\": %zu}\n",
                static_cast<double>(count) / seconds, percentile(latencies_, 0.5) / 1000,
                percentile(latencies_, 0.99) / 1000, static_cast<unsigned long long>(failures_), count);
    return 0;
  }

 private:
  struct Shot {
    int socket = -1;
    std::int64_t begun = 0;
    std::size_t got = 0;
    bool asked = false;
  };

  void open(std::size_t index) {
    Shot& shot = shots_[index];
    shot = {socket(to_.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), now(), 0, false};
    check(shot.socket, "open a socket");
    if (connect(shot.socket, to_.get(), to_.size) < 0 && errno != EINPROGRESS) fail("connect");
    epoll_event event{};
    event.events = EPOLLOUT;
    event.data.u64 = index;
    check(epoll_ctl(epoll_, EPOLL_CTL_ADD, shot.socket, &event), "watch a socket");
  }

  void advance(std::size_t index, std::uint32_t events) {
    Shot& shot = shots_[index];
    std::array<char, 4096> buffer{};
    if (!shot.asked) {
      if ((events & (EPOLLERR | EPOLLHUP)) != 0) return again(index, false);
      if (send(shot.socket, buffer.data(), kMessage, 0) < 0) return again(index, false);
      shot.asked = true;
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.u64 = index;
      check(epoll_ctl(epoll_, EPOLL_CTL_MOD, shot.socket, &event), "watch a socket");
      return;
    }
    const ssize_t got = recv(shot.socket, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got > 0) {
      shot.got += static_cast<std::size_t>(got);
      return;
    }
    again(index, got == 0 && shot.got == kMessage);
  }

  void again(std::size_t index, bool complete) {
    Shot& shot = shots_[index];
    close(shot.socket);
    if (complete) {
      latencies_.push_back(
          static_cast<std::uint32_t>(std::min<std::int64_t>(now() - shot.begun, UINT32_MAX)));
    } else if (++failures_ > kTooManyFailures) {
      give_up("too many connections failed");
    }
    open(index);
  }

  Address to_;
  std::int64_t duration_;
  std::vector<Shot> shots_;
  int epoll_;
  std::vector<std::uint32_t> latencies_;
  std::uint64_t failures_ = 0;
};

}  // namespace

int one_shots(const Options& options) {
  return OneShots(options).run();
}

}  // namespace sf::load
