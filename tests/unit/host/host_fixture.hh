// What the tests of the Linux host share: a loop with a host on it, a reactor that notes events, and plain
// blocking sockets that play the other side.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <functional>
#include <map>

#include "host/linux_address.hh"
#include "host/linux_host.hh"
#include "unit/support/version_name.hh"

namespace sf::host {

// Ends the loop when `done` says so, or after five seconds, which no test should take.
class TestReactor final : public Reactor {
 public:
  void on_link_readable(Time) override {}
  void on_socket_event(Token token, Readiness r, Time) override {
    Readiness& seen = events[token];
    seen.readable |= r.readable;
    seen.writable |= r.writable;
    seen.read_closed |= r.read_closed;
    seen.error |= r.error;
    seen.hang_up |= r.hang_up;
  }
  Time end_turn(Time now) override {
    if (give_up_ == kNever) give_up_ = now + 5s;
    finished_ = done();
    timed_out = !finished_ && now >= give_up_;
    return give_up_;
  }
  bool alive() const override { return !finished_ && !timed_out; }

  std::map<Token, Readiness> events;
  std::function<bool()> done;
  bool timed_out = false;

 private:
  bool finished_ = false;
  Time give_up_ = kNever;
};

// One system under test: usable in a TEST_F and in a child process alike.
class HostRig {
 public:
  explicit HostRig(HostOptions options = {}) : host(*loop, std::move(options)) {}

  // Runs the loop until `done`; false where that took too long. Events seen so far stay noted.
  [[nodiscard]] bool run_until(std::function<bool()> done) {
    TestReactor reactor;
    reactor.events = std::move(events);
    reactor.done = [&] {
      events = reactor.events;
      return done();
    };
    const auto ended = loop->run(reactor, -1);
    events = std::move(reactor.events);
    return ended.has_value() && !reactor.timed_out;
  }
  // The outcome of connecting to `to`.
  HostError connect(const Endpoint& to, SocketId& socket, Token token = 1) {
    const auto opened = host.connect_stream(to, token);
    if (!opened) return opened.error();
    socket = *opened;
    HostError outcome = HostError::in_progress;
    const bool known = run_until([&] {
      outcome = host.finish_connect(socket);
      return outcome != HostError::in_progress;
    });
    return known ? outcome : HostError::timed_out;
  }
  // The next datagrams that arrive, copied, until `count` are there.
  struct Received {
    Endpoint from;
    std::vector<std::uint8_t> payload;
    std::uint16_t segment_size;
    std::uint8_t ttl;
    std::uint8_t traffic_class;
  };
  std::vector<Received> receive(SocketId socket, std::size_t count) {
    std::vector<Received> all;
    (void)run_until([&] {
      for (auto batch = host.receive_datagrams(socket); !batch.empty();
           batch = host.receive_datagrams(socket)) {
        for (const ReceivedDatagram& d : batch) {
          all.push_back(
              {d.from, {d.payload.begin(), d.payload.end()}, d.segment_size, d.ttl, d.traffic_class});
        }
      }
      return all.size() >= count;
    });
    return all;
  }

  std::unique_ptr<EventLoop> loop = std::move(*EventLoop::create());
  LinuxHost host;
  std::map<Token, Readiness> events;
};

// A blocking socket of the other side's, with a time limit on everything.
class Peer {
 public:
  Peer(int type, const Address& address, std::uint16_t port = 0)
      : fd_(::socket(address.is_v4() ? AF_INET : AF_INET6, type | SOCK_CLOEXEC, 0)) {
    const timeval limit{.tv_sec = 5, .tv_usec = 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    const SocketAddress local({address, port});
    EXPECT_EQ(::bind(fd_.get(), local.get(), local.size()), 0) << std::strerror(errno);
    if (type == SOCK_STREAM) {
      EXPECT_EQ(::listen(fd_.get(), 8), 0);
    }
  }
  explicit Peer(int fd) : fd_(fd) {
    const timeval limit{.tv_sec = 5, .tv_usec = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  }

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] Endpoint endpoint() const {
    sockaddr_in6 a{};
    socklen_t size = sizeof(a);
    ::getsockname(fd(), reinterpret_cast<sockaddr*>(&a), &size);
    return endpoint_from(&a, size);
  }
  // Of who is at the other end of a connection.
  [[nodiscard]] Endpoint remote() const {
    sockaddr_in6 a{};
    socklen_t size = sizeof(a);
    ::getpeername(fd(), reinterpret_cast<sockaddr*>(&a), &size);
    return endpoint_from(&a, size);
  }
  [[nodiscard]] Peer accept() const { return Peer(::accept4(fd(), nullptr, nullptr, SOCK_CLOEXEC)); }
  void set(int level, int name, int value) const {
    EXPECT_EQ(::setsockopt(fd(), level, name, &value, sizeof(value)), 0) << std::strerror(errno);
  }
  // Up to `size` bytes in one go; empty at the end or on an error, which errno then tells.
  [[nodiscard]] std::vector<std::uint8_t> receive(std::size_t size = 65536) const {
    std::vector<std::uint8_t> bytes(size);
    errno = 0;
    const ssize_t count = ::recv(fd(), bytes.data(), bytes.size(), 0);
    bytes.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return bytes;
  }
  std::vector<std::uint8_t> receive_from(Endpoint& from) const {
    std::vector<std::uint8_t> bytes(65536);
    sockaddr_in6 a{};
    socklen_t size = sizeof(a);
    const ssize_t count =
        ::recvfrom(fd(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&a), &size);
    bytes.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    from = endpoint_from(&a, size);
    return bytes;
  }
  [[nodiscard]] bool send(Bytes bytes) const {
    return ::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  [[nodiscard]] bool send_to(const Endpoint& to, Bytes bytes) const {
    const SocketAddress remote(to);
    return ::sendto(fd(), bytes.data(), bytes.size(), 0, remote.get(), remote.size()) ==
           static_cast<ssize_t>(bytes.size());
  }

 private:
  UniqueFd fd_;
};

// Bytes that differ from their neighbours, so that a piece out of place shows.
inline std::vector<std::uint8_t> pattern(std::size_t size, std::size_t from = 0) {
  std::vector<std::uint8_t> bytes(size);
  for (std::size_t i = 0; i < size; ++i) {
    const std::size_t n = from + i;
    bytes[i] = static_cast<std::uint8_t>(n ^ (n >> 8) * 7 ^ (n >> 16) * 13);
  }
  return bytes;
}

// Parameterized by IP version: true for IPv4.
class HostTest : public testing::TestWithParam<bool> {
 protected:
  static bool v4() { return GetParam(); }
  static Address loopback() { return v4() ? Address::v4(127, 0, 0, 1) : *Address::parse("::1"); }
  void SetUp() override {
    const UniqueFd fd(::socket(v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const SocketAddress local({loopback(), 0});
    if (::bind(fd.get(), local.get(), local.size()) != 0) GTEST_SKIP() << "no such loopback address here";
  }
  HostRig rig_;
};

}  // namespace sf::host
