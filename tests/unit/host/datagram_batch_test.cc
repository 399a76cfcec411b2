// Many datagrams at once, on this kernel and on ones that lack what makes that fast.
#include <gmock/gmock.h>
#include <netinet/udp.h>

#include <deque>

#include "unit/host/host_fixture.hh"

namespace sf::host {
namespace {

// The kernel, less what the test takes away; counts the calls.
class LesserKernel final : public DatagramCalls {
 public:
  ssize_t sendmsg(int fd, const msghdr& message, int flags) override {
    ++sends;
    if (const int error = refusal(message); error != 0) return fail(error);
    return DatagramCalls::sendmsg(fd, message, flags);
  }
  int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) override {
    ++many_sends;
    if (no_mmsg) return static_cast<int>(fail(ENOSYS));
    for (unsigned i = 0; i < count; ++i) {
      if (const int error = refusal(messages[i].msg_hdr); error != 0) {
        return i > 0 ? DatagramCalls::sendmmsg(fd, messages, i, flags) : static_cast<int>(fail(error));
      }
    }
    return DatagramCalls::sendmmsg(fd, messages, count, flags);
  }
  int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags) override {
    ++many_receives;
    return no_mmsg ? static_cast<int>(fail(ENOSYS)) : DatagramCalls::recvmmsg(fd, messages, count, flags);
  }
  int setsockopt(int fd, int level, int name, const void* value, socklen_t size) override {
    if (no_option && level == SOL_UDP) return static_cast<int>(fail(ENOPROTOOPT));
    return DatagramCalls::setsockopt(fd, level, name, value, size);
  }
  int getsockopt(int fd, int level, int name, void* value, socklen_t* size) override {
    if (no_option && level == SOL_UDP) return static_cast<int>(fail(ENOPROTOOPT));
    return DatagramCalls::getsockopt(fd, level, name, value, size);
  }

  bool no_mmsg = false;
  bool no_option = false;           // neither UDP_SEGMENT nor UDP_GRO
  int segments_error = 0;           // of a message of many segments
  std::size_t refused_size = ~0UL;  // of a message, which meets
  int refused_error = EAGAIN;       // this
  int sends = 0;
  int many_sends = 0;
  int many_receives = 0;

 private:
  static ssize_t fail(int error) {
    errno = error;
    return -1;
  }
  [[nodiscard]] int refusal(const msghdr& message) const {
    std::size_t size = 0;
    for (std::size_t i = 0; i < message.msg_iovlen; ++i) size += message.msg_iov[i].iov_len;
    if (size == refused_size) return refused_error;
    return message.msg_iovlen > 1 ? segments_error : 0;
  }
};

class DatagramBatch : public HostTest {
 protected:
  DatagramBatch() { peer_.set(SOL_SOCKET, SO_RCVBUF, 4'000'000); }
  HostOptions options(bool offload = true) {
    HostOptions options;
    options.offload = offload;
    options.calls = &kernel_;
    options.log = &log_;
    return options;
  }
  // Datagrams of these sizes to the peer; the last of each pair is another port's.
  void send(HostRig& rig, const std::vector<std::size_t>& sizes, DatagramsSent expected) {
    if (socket_ == kNoSocket) socket_ = *rig.host.open_datagram(DatagramKind::udp, v4(), 1);
    std::deque<std::vector<std::uint8_t>> payloads;
    std::vector<OutgoingDatagram> datagrams;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      payloads.push_back(pattern(sizes[i], i));
      datagrams.push_back({peer_.endpoint(), payloads.back(), {}});
    }
    const DatagramsSent done = rig.host.send_datagrams(socket_, datagrams);
    EXPECT_EQ(done.count, expected.count);
    EXPECT_EQ(done.error, expected.error);
  }
  void expect_arrived(const std::vector<std::size_t>& sizes) {
    for (std::size_t i = 0; i < sizes.size(); ++i) ASSERT_EQ(peer_.receive(), pattern(sizes[i], i)) << i;
  }

  LesserKernel kernel_;
  std::vector<std::string> said_;
  Log log_{LogLevel::debug, [this](LogLevel, std::string_view text) { said_.emplace_back(text); }};
  Peer peer_{SOCK_DGRAM, loopback()};
  SocketId socket_ = kNoSocket;
};

INSTANTIATE_TEST_SUITE_P(Version, DatagramBatch, testing::Bool(), version_name);

const std::vector<std::size_t> kEqual{500, 500, 500, 500, 100};
const std::vector<std::size_t> kMixed{500, 500, 300, 700, 0, 0, 900, 900, 900, 20, 20, 1};

TEST_P(DatagramBatch, EqualNeighboursAreOneMessage) {
  HostRig rig(options());
  send(rig, kEqual, {5, HostError::none});
  expect_arrived(kEqual);
  EXPECT_EQ(kernel_.sends, 1);
  EXPECT_EQ(kernel_.many_sends, 0);
  EXPECT_TRUE(said_.empty());
}

TEST_P(DatagramBatch, OthersAreOneCall) {
  HostRig rig(options());
  send(rig, kMixed, {kMixed.size(), HostError::none});
  expect_arrived(kMixed);
  EXPECT_EQ(kernel_.sends, 0);
  EXPECT_EQ(kernel_.many_sends, 1);
}

TEST_P(DatagramBatch, MoreThanOneCallTakes) {
  HostRig rig(options());
  std::vector<std::size_t> sizes;
  for (std::size_t i = 0; i < 100; ++i) sizes.push_back(i % 7 == 0 ? 200 : 1000);
  send(rig, sizes, {100, HostError::none});
  expect_arrived(sizes);
}

TEST_P(DatagramBatch, DestinationsAndOptionsStayApart) {
  HostRig rig(options());
  const Peer other(SOCK_DGRAM, loopback());
  const SocketId socket = *rig.host.open_datagram(DatagramKind::udp, v4(), 1);
  other.set(v4() ? int{IPPROTO_IP} : int{IPPROTO_IPV6}, v4() ? IP_RECVTTL : IPV6_RECVHOPLIMIT, 1);
  const auto data = pattern(40);
  const DatagramOptions far{.ttl = 9};
  const DatagramOptions whole{.dont_fragment = true};
  const OutgoingDatagram all[] = {{peer_.endpoint(), data, {}},
                                  {other.endpoint(), data, {}},
                                  {other.endpoint(), data, far},
                                  {other.endpoint(), data, whole},
                                  {peer_.endpoint(), data, whole}};
  EXPECT_EQ(rig.host.send_datagrams(socket, all).count, 5U);
  EXPECT_EQ(kernel_.many_sends, 2);  // don't-fragment is the socket's
  for (const int expected : {64, 9, 64}) {
    std::array<std::uint8_t, 64> bytes{};
    iovec vector{bytes.data(), bytes.size()};
    alignas(cmsghdr) std::array<std::uint8_t, 64> control{};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ASSERT_EQ(::recvmsg(other.fd(), &message, 0), 40);
    int ttl = 0;
    std::memcpy(&ttl, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(ttl));
    EXPECT_EQ(ttl, expected);
  }
  EXPECT_EQ(peer_.receive(), data);
  EXPECT_EQ(peer_.receive(), data);
}

TEST_P(DatagramBatch, StopsAtWhatWasNotSentAndSaysWhy) {
  for (const auto& [error, expected] : {std::pair{EAGAIN, HostError::would_block},
                                        {ENOBUFS, HostError::no_memory},
                                        {ENETUNREACH, HostError::net_unreachable}}) {
    HostRig rig(options());
    socket_ = kNoSocket;
    kernel_.refused_size = 77;
    kernel_.refused_error = error;
    send(rig, {10, 20, 77, 90}, {2, expected});
    expect_arrived({10, 20});
  }
}

TEST_P(DatagramBatch, AnOlderErrorLosesNone) {
  HostRig rig(options());
  socket_ = *rig.host.open_datagram(DatagramKind::udp, v4(), 1);
  for (const auto& sizes : {kEqual, kMixed}) {
    const Endpoint gone = Peer(SOCK_DGRAM, loopback()).endpoint();
    rig.events.clear();
    ASSERT_EQ(rig.host.send_datagram(socket_, gone, pattern(1), {}), HostError::none);
    ASSERT_TRUE(rig.run_until([&] { return rig.events[1].error; }));
    send(rig, sizes, {sizes.size(), HostError::none});
    expect_arrived(sizes);
  }
}

// What routes through IPsec and devices without checksum offload say; and what paths say whose MTU is less.
TEST_P(DatagramBatch, SegmentsThatAreRefusedGoSingly) {
  for (const int error : {EIO, EOPNOTSUPP, EINVAL, EMSGSIZE}) {
    HostRig rig(options());
    socket_ = kNoSocket;
    kernel_.segments_error = error;
    for (int turn = 0; turn < 3; ++turn) {
      kernel_.sends = 0;
      send(rig, kEqual, {5, HostError::none});
      expect_arrived(kEqual);
      // Learned at the first turn.
      if (turn > 0) {
        EXPECT_EQ(kernel_.sends, 0) << std::strerror(error);
      }
    }
    const bool for_good = error == EIO || error == EOPNOTSUPP;
    EXPECT_EQ(said_.size(), for_good ? 1U : 0U);
    said_.clear();
    // Smaller ones may fit the path.
    kernel_.segments_error = 0;
    kernel_.sends = 0;
    kernel_.many_sends = 0;
    send(rig, {400, 400, 400}, {3, HostError::none});
    expect_arrived({400, 400, 400});
    EXPECT_EQ(kernel_.sends, for_good ? 0 : 1) << std::strerror(error);
    EXPECT_EQ(kernel_.many_sends, for_good ? 1 : 0);
  }
}

TEST_P(DatagramBatch, ASuperFrameAmongThemKeepsItsPlace) {
  HostRig rig(options());
  socket_ = *rig.host.open_datagram(DatagramKind::udp, v4(), 1);
  const auto one = pattern(100);
  const auto many = pattern(250, 1);
  const OutgoingDatagram all[] = {{peer_.endpoint(), one, {}},
                                  {peer_.endpoint(), one, {}},
                                  {peer_.endpoint(), many, {.segment_size = 100}},
                                  {peer_.endpoint(), one, {}}};
  EXPECT_EQ(rig.host.send_datagrams(socket_, all).count, 4U);
  for (const auto& expected :
       {pattern(100), pattern(100), pattern(100, 1), pattern(100, 101), pattern(50, 201), pattern(100)}) {
    EXPECT_EQ(peer_.receive(), expected);
  }
}

TEST_P(DatagramBatch, WithoutMmsg) {
  kernel_.no_mmsg = true;
  HostRig rig(options());
  for (int turn = 0; turn < 2; ++turn) {
    send(rig, kMixed, {kMixed.size(), HostError::none});
    expect_arrived(kMixed);
  }
  EXPECT_EQ(kernel_.many_sends, 1);  // asked once
  const Endpoint here{loopback(), rig.host.local_endpoint(socket_).port};
  for (std::size_t i = 0; i < 40; ++i) ASSERT_TRUE(peer_.send_to(here, pattern(50 + i, i)));
  const auto received = rig.receive(socket_, 40);
  ASSERT_EQ(received.size(), 40U);
  for (std::size_t i = 0; i < 40; ++i) {
    EXPECT_EQ(received[i].payload, pattern(50 + i, i));
    EXPECT_EQ(received[i].from, peer_.endpoint());
    EXPECT_EQ(received[i].ttl, 64);
  }
  EXPECT_EQ(kernel_.many_receives, 1);
  EXPECT_THAT(said_, testing::UnorderedElementsAre(testing::HasSubstr("sendmmsg(2)"),
                                                   testing::HasSubstr("recvmmsg(2)")));
}

TEST_P(DatagramBatch, WithoutSegmentsAndGro) {
  kernel_.no_option = true;
  kernel_.segments_error = EBADF;  // none must be tried: such a kernel sends one large datagram
  HostRig rig(options());
  send(rig, kEqual, {5, HostError::none});
  expect_arrived(kEqual);
  const auto many = pattern(250);
  ASSERT_EQ(rig.host.send_datagram(socket_, peer_.endpoint(), many, {.segment_size = 100}), HostError::none);
  for (const std::size_t at : {0U, 100U, 200U}) EXPECT_EQ(peer_.receive(), pattern(at == 200 ? 50 : 100, at));
  const auto second = rig.host.open_datagram(DatagramKind::udp, v4(), 2);
  ASSERT_TRUE(second);
  EXPECT_THAT(
      said_, testing::UnorderedElementsAre(testing::HasSubstr("UDP_SEGMENT"), testing::HasSubstr("UDP_GRO")));
}

TEST_P(DatagramBatch, NotWanted) {
  kernel_.segments_error = EBADF;
  HostRig rig(options(false));
  send(rig, kEqual, {5, HostError::none});
  expect_arrived(kEqual);
  peer_.set(SOL_UDP, UDP_SEGMENT, 100);
  ASSERT_TRUE(peer_.send_to({loopback(), rig.host.local_endpoint(socket_).port}, pattern(300)));
  EXPECT_EQ(rig.receive(socket_, 3).size(), 3U);
  EXPECT_TRUE(said_.empty());
}

}  // namespace
}  // namespace sf::host
