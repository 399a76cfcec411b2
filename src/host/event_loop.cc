#include "host/event_loop.hh"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <limits>

namespace sf::host {
namespace {

constexpr Token kLinkToken = EventLoop::kLoopToken;
constexpr int kMaxEvents = 64;

std::chrono::nanoseconds read_clock(clockid_t id) {
  std::timespec t{};
  ::clock_gettime(id, &t);
  return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

Readiness readiness_from(std::uint32_t events) {
  return {.readable = (events & EPOLLIN) != 0,
          .writable = (events & EPOLLOUT) != 0,
          .read_closed = (events & (EPOLLRDHUP | EPOLLPRI)) != 0,
          .error = (events & EPOLLERR) != 0,
          .hang_up = (events & EPOLLHUP) != 0};
}

int add(int epoll, int fd, std::uint32_t events, Token token) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = token;
  return ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

// Rounded up: waking before the deadline would be a turn for nothing.
int to_milliseconds(Duration duration) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
  return static_cast<int>(std::min<std::int64_t>(ms, std::numeric_limits<int>::max()));
}

}  // namespace

std::chrono::nanoseconds unix_time() {
  return read_clock(CLOCK_REALTIME);
}

Time monotonic_time() {
  return Time(read_clock(CLOCK_MONOTONIC));
}

EventLoop::EventLoop(UniqueFd epoll)
    : epoll_(std::move(epoll)), now_(read_clock(CLOCK_MONOTONIC)), next_watch_(kLinkToken + 1) {}

Result<std::unique_ptr<EventLoop>> EventLoop::create() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail("cannot create the event loop: epoll_create1: {}", std::strerror(errno));
  return std::unique_ptr<EventLoop>(new EventLoop(std::move(epoll)));
}

Result<EventLoop::Ended> EventLoop::run(Reactor& reactor, int link_fd) {
  if (link_fd >= 0) {
    if (const int error = add(epoll_.get(), link_fd, EPOLLIN | EPOLLET, kLinkToken); error != 0) {
      return fail("cannot watch the network device: epoll_ctl: {}", std::strerror(error));
    }
  }
  Time deadline = now_;  // the first turn comes at once, for what the reactor wants to do unasked
  std::array<epoll_event, kMaxEvents> events;
  while (true) {
    const int count = wait(deadline, events.data(), kMaxEvents);
    const int error = errno;
    now_ = Time(read_clock(CLOCK_MONOTONIC));
    if (count < 0 && error != EINTR)
      return fail("the event loop failed: epoll_wait: {}", std::strerror(error));
    for (int i = 0; i < count; ++i) dispatch(reactor, events[static_cast<std::size_t>(i)]);
    deadline = reactor.end_turn(now_);
    if (side_ != nullptr) deadline = std::min(deadline, side_->end_turn(now_));
    for (const Callback& hook : turn_end_hooks_) hook();
    const bool alive = reactor.alive();
    if (stopped_ || !alive) {
      if (link_fd >= 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, link_fd, nullptr);
      return Ended{!stopped_, exit_code_};
    }
  }
}

bool EventLoop::stop(int exit_code) {
  if (stopped_) return false;
  stopped_ = true;
  exit_code_ = exit_code;
  return true;
}

Result<void> EventLoop::watch(int fd, Callback callback) {
  const Token token = next_watch_++;
  if (const int error = add(epoll_.get(), fd, EPOLLIN, token); error != 0) {
    return fail("cannot watch file descriptor {}: epoll_ctl: {}", fd, std::strerror(error));
  }
  watched_.emplace(token, Watched{fd, std::make_shared<Callback>(std::move(callback))});
  return {};
}

void EventLoop::unwatch(int fd) {
  const auto found = std::ranges::find_if(watched_, [&](const auto& entry) { return entry.second.fd == fd; });
  if (found == watched_.end()) return;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  watched_.erase(found);
}

int EventLoop::add_socket(int fd, Token token) {
  return add(epoll_.get(), fd, EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET, token & ~kLoopToken);
}

int EventLoop::wait(Time deadline, struct epoll_event* events, int capacity) {
  if (stopped_ || deadline <= now_) return ::epoll_wait(epoll_.get(), events, capacity, 0);
  if (deadline == kNever) return ::epoll_wait(epoll_.get(), events, capacity, -1);
  const Duration left = deadline - now_;
  if (has_pwait2_) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
    const std::timespec timeout{.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
    const int count = ::epoll_pwait2(epoll_.get(), events, capacity, &timeout, nullptr);
    // Linux before 5.11 has no such call, and container runtimes' filters may refuse what they do not know.
    if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count;
    has_pwait2_ = false;
  }
  return ::epoll_wait(epoll_.get(), events, capacity, to_milliseconds(left));
}

void EventLoop::dispatch(Reactor& reactor, const struct epoll_event& event) {
  const Token token = event.data.u64;
  if ((token & kLoopToken) == 0) {
    Reactor* const owner = (token & kSideToken) != 0 ? side_ : &reactor;
    if (owner != nullptr) owner->on_socket_event(token, readiness_from(event.events), now_);
  } else if (token == kLinkToken) {
    // EPOLLERR and EPOLLHUP too: receiving is what finds out that the device is gone.
    reactor.on_link_readable(now_);
  } else if (const auto found = watched_.find(token); found != watched_.end()) {
    const std::shared_ptr<Callback> callback = found->second.callback;
    (*callback)();
  }
}

}  // namespace sf::host
