#include "control/server_events.hh"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace sf::control {
namespace {

// What epoll says of whom; clients are numbered from there on.
constexpr std::uint64_t kListener = 0;
constexpr std::uint64_t kTimer = 1;
constexpr std::uint64_t kFirstClient = 2;

constexpr int kBacklog = 128;
constexpr std::size_t kMaxEvents = 64;  // the rest is said the next time

timespec to_timespec(Duration duration) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(duration);
  return {.tv_sec = seconds.count(), .tv_nsec = (duration - seconds).count()};
}

}  // namespace

bool ServerEvents::open(int family) {
  epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  listener_.reset(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  next_id_ = kFirstClient;
  return epoll_ && timer_ && listener_;
}

bool ServerEvents::listen(Duration tick) {
  if (::listen(listener_.get(), kBacklog) != 0) return false;
  tick_ = tick;
  watch(EPOLL_CTL_ADD, listener_.get(), 0, kListener);
  watch(EPOLL_CTL_ADD, timer_.get(), EPOLLIN, kTimer);
  update(true, false);
  return true;
}

void ServerEvents::dispatch(const Calls& calls) {
  std::array<epoll_event, kMaxEvents> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < count; ++i) {
    const std::uint64_t id = events[static_cast<std::size_t>(i)].data.u64;
    if (id == kListener) {
      calls.accept();
    } else if (id == kTimer) {
      std::uint64_t expirations = 0;
      if (::read(timer_.get(), &expirations, sizeof(expirations)) < 0) continue;
      starved_ = false;
      calls.tick();
    } else {
      calls.client(id);
    }
  }
}

ServerEvents::Accepted ServerEvents::accept() {
  UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd) {
    starved_ = errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS;
    return {};
  }
  const ClientId id = next_id_++;
  watch(EPOLL_CTL_ADD, fd.get(), EPOLLIN, id);
  return {std::move(fd), id};
}

void ServerEvents::update(bool has_room, bool has_clients) {
  const bool listening = has_room && !starved_;
  if (listening != std::exchange(listening_, listening)) {
    watch(EPOLL_CTL_MOD, listener_.get(), listening ? std::uint32_t{EPOLLIN} : 0, kListener);
  }
  const bool ticking = has_clients || starved_;
  if (ticking == std::exchange(ticking_, ticking)) return;
  const Duration period = ticking ? tick_ : Duration::zero();
  arm(timer_.get(), period, period);
}

void ServerEvents::watch(int operation, int fd, std::uint32_t events, ClientId id) const {
  epoll_event event{};
  event.events = events;
  event.data.u64 = id;
  static_cast<void>(::epoll_ctl(epoll_.get(), operation, fd, &event));
}

void ServerEvents::arm(int timer, Duration first, Duration period) {
  const itimerspec times{.it_interval = to_timespec(period), .it_value = to_timespec(first)};
  static_cast<void>(::timerfd_settime(timer, 0, &times, nullptr));
}

}  // namespace sf::control
