// Every system call of the links' in turn fails, once: a frame may be lost, as on any link, and nothing else.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "base/unique_fd.hh"
#include "faults/shim.hh"
#include "link/bess.hh"
#include "link/tap.hh"

namespace sf::link {
namespace {

constexpr int kFrames = 5;

struct Outcome {
  int received = 0;
  int arrived = 0;
  int gone = 0;
};

// Some frames each way, between a link and the other end of it.
Outcome exchange(Link& link, int other) {
  Outcome outcome;
  std::vector<std::uint8_t> buffer(kMaxFrame);
  const std::vector<std::uint8_t> frame(100, 7);
  for (int i = 0; i < kFrames; ++i) {
    {
      const faults::Aside aside;
      EXPECT_EQ(::send(other, frame.data(), frame.size(), MSG_NOSIGNAL), 100);
    }
    Frame got;
    // The loop asks again: with the next event, and here at once.
    for (int tries = 0; tries < 3; ++tries) {
      const Status status = link.receive(buffer, got);
      if (status == Status::gone) ++outcome.gone;
      if (status != Status::ok) continue;
      EXPECT_EQ(got.bytes.size(), 100U);
      ++outcome.received;
    }
    const Bytes parts[] = {frame};
    if (link.send(parts, {}) == Status::gone) ++outcome.gone;
    const faults::Aside aside;
    std::array<char, 200> back{};
    if (::recv(other, back.data(), back.size(), MSG_DONTWAIT) == 100) ++outcome.arrived;
  }
  return outcome;
}

template <typename Make>
void fail_each(const Make& run) {
  for (const int error : {EAGAIN, EINTR, ENOBUFS, ENOMEM, EIO}) {
    int times = 0;
    for (std::uint64_t number = 1; number < 100; ++number) {
      faults::arm(error, number);
      const Outcome outcome = run();
      const bool struck = faults::disarm();
      const std::string where =
          fmt::format("call {}, {}: {}", number, faults::struck(), std::strerror(error));
      const int lost = error == EINTR || !struck ? 0 : 1;
      EXPECT_GE(outcome.received, kFrames - lost) << where;
      EXPECT_GE(outcome.arrived, kFrames - lost) << where;
      EXPECT_EQ(outcome.gone, 0) << where;
      if (!struck) break;
      ++times;
    }
    EXPECT_TRUE(times > 0 || error == EIO) << std::strerror(error);
  }
}

TEST(LinkFaults, Tap) {
  fail_each([] {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    const UniqueFd other(fds[1]);
    Tap tap{UniqueFd{fds[0]}, false, Features{}};
    return exchange(tap, other.get());
  });
}

TEST(LinkFaults, Bess) {
  fail_each([] {
    const std::string path = fmt::format("/tmp/sf-faults-{}.sock", ::getpid());
    std::unique_ptr<Bess> bess;
    UniqueFd other;
    {
      const faults::Aside aside;
      bess = std::move(*Bess::listen(path));
      other.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      std::memcpy(address.sun_path, path.data(), path.size());
      EXPECT_EQ(::connect(other.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    }
    return exchange(*bess, other.get());
  });
}

}  // namespace
}  // namespace sf::link
