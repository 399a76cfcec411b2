#include "setup/guest_helper.hh"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "setup/listeners.hh"
#include "setup/posix.hh"

namespace sf::setup {
namespace {

// In the guest's network namespace, for as long as this lives.
class Visit {
 public:
  Visit(bool elsewhere, int tap, int own) : own_(own) {
    if (!elsewhere) {
      inside_ = true;
      own_ = -1;
      return;
    }
    const UniqueFd guest(::ioctl(tap, kTapNamespaceRequest));
    if (!guest && (errno == EINVAL || errno == ENOTTY)) {
      why_ = "this kernel does not tell a TAP's namespace (TUNGETDEVNETNS, Linux 5.11)";
      own_ = -1;
      return;
    }
    inside_ = own >= 0 && guest && ::setns(guest.get(), CLONE_NEWNET) == 0;
    if (inside_) return;
    why_ = "the namespace cannot be entered: " + reason(errno);
    own_ = -1;
  }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;
  ~Visit() {
    // Staying would hold the guest's namespace; without the right to leave it, ending is all that is left.
    if (own_ >= 0 && ::setns(own_, CLONE_NEWNET) != 0) ::_exit(1);
  }
  [[nodiscard]] bool inside() const { return inside_; }
  // For people, where it is not.
  [[nodiscard]] const std::string& why() const { return why_; }

 private:
  int own_;
  bool inside_ = false;
  std::string why_;
};

}  // namespace

std::string SocketRequest::describe() const {
  return fmt::format("{}{} {}", stream ? 's' : 'd', v4 ? '4' : '6', count);
}

std::optional<SocketRequest> SocketRequest::parse(const std::string& text) {
  if (text.size() < 4 || text.size() > 5 || text[2] != ' ') return std::nullopt;
  SocketRequest request;
  request.stream = text[0] == 's';
  request.v4 = text[1] == '4';
  request.count = 0;
  for (const char c : text.substr(3)) {
    if (c < '0' || c > '9') return std::nullopt;
    request.count = request.count * 10 + static_cast<unsigned>(c - '0');
  }
  return request;
}

std::optional<std::vector<KeptFile>> wait_for_release(const Channel& channel) {
  std::vector<KeptFile> files;
  for (;;) {
    auto message = channel.receive();
    if (!message) return std::nullopt;
    if (message->kind == MessageKind::release) return files;
    if (message->kind != MessageKind::keep) continue;
    if (auto file = KeptFile::from(std::move(*message))) files.push_back(std::move(*file));
  }
}

GuestHelper::GuestHelper(UniqueFd tap)
    : elsewhere_(true), tap_(std::move(tap)), own_(open_fd("/proc/thread-self/ns/net", O_RDONLY)) {}

void GuestHelper::obey(const Message& message, const Channel& channel) {
  if (message.kind == MessageKind::sockets) make_sockets(message.text, channel);
  if (message.kind == MessageKind::listeners) begin_looking(channel);
}

void GuestHelper::make_sockets(const std::string& kind_and_count, const Channel& channel) {
  auto request = SocketRequest::parse(kind_and_count);
  if (!request) return;
  const int type = (request->stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
  std::vector<UniqueFd> sockets;
  std::vector<int> numbers;
  std::string why;
  {
    const Visit visit(elsewhere_, tap_.get(), own_.get());
    why = visit.why();
    while (visit.inside() && sockets.size() < std::min(request->count, kMostSockets)) {
      UniqueFd socket(::socket(request->v4 ? AF_INET : AF_INET6, type, 0));
      if (!socket) why = reason(errno);
      if (!socket) break;
      const int on = 1;
      if (request->stream) ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      numbers.push_back(socket.get());
      sockets.push_back(std::move(socket));
    }
  }
  request->count = static_cast<unsigned>(numbers.size());
  static_cast<void>(channel.send(MessageKind::sockets, request->describe(), numbers));
  if (!numbers.empty() || std::exchange(told_why_, true)) return;
  static_cast<void>(
      channel.send(MessageKind::failed, "cannot make a socket inside for loopback ports: " + why));
}

void GuestHelper::begin_looking(const Channel& channel) {
  timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  itimerspec period{};
  period.it_interval.tv_nsec = period.it_value.tv_nsec = kLookEveryMs * 1'000'000;
  if (timer_) static_cast<void>(::timerfd_settime(timer_.get(), 0, &period, nullptr));
  look(channel);
}

void GuestHelper::look(const Channel& channel) {
  std::uint64_t expirations = 0;
  static_cast<void>(::read(timer_.get(), &expirations, sizeof(expirations)) < 0);
  auto listeners = [this]() -> Result<std::vector<Listener>> {
    const Visit visit(elsewhere_, tap_.get(), own_.get());
    if (!visit.inside()) {
      return fail("cannot find out who listens inside: {}", visit.why());
    }
    return find_listeners();
  }();
  if (!listeners) {
    // What has worked before fails for the moment, or because the namespace is gone, which the TAP tells the
    // program of.
    if (told_) return;
    timer_.reset();
    static_cast<void>(channel.send(MessageKind::failed, listeners.error().message));
    return;
  }
  std::string text = describe(*listeners, Channel::kMaxText);
  if (text == told_) return;
  static_cast<void>(channel.send(MessageKind::listeners, text));
  told_ = std::move(text);
}

void GuestHelper::serve(const Channel& channel) {
  for (;;) {
    std::array<pollfd, 2> ready{{{channel.fd(), POLLIN, 0}, {timer_.get(), POLLIN, 0}}};
    if (::poll(ready.data(), ready.size(), -1) < 0 && errno != EINTR) return;
    if (ready[1].revents != 0) look(channel);
    if (ready[0].revents == 0) continue;
    const auto message = channel.receive();
    if (!message) return;
    obey(*message, channel);
  }
}

}  // namespace sf::setup
