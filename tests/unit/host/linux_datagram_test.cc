#include <netinet/udp.h>

#include "unit/host/host_fixture.hh"
#include "wire/udp.hh"

namespace sf::host {
namespace {

class LinuxDatagram : public HostTest {
 protected:
  SocketId open(Token token = 1) {
    const auto socket = rig_.host.open_datagram(DatagramKind::udp, v4(), token);
    EXPECT_TRUE(socket);
    return socket.value_or(kNoSocket);
  }
  [[nodiscard]] Peer server() const { return Peer(SOCK_DGRAM, loopback()); }
  // Where nobody listens.
  [[nodiscard]] Endpoint nobody() const {
    const Peer gone = server();
    return gone.endpoint();
  }
  // Where a socket of the host's can be reached.
  [[nodiscard]] Endpoint reachable(SocketId socket) const {
    return {loopback(), rig_.host.local_endpoint(socket).port};
  }
};

INSTANTIATE_TEST_SUITE_P(Version, LinuxDatagram, testing::Bool(), version_name);

TEST_P(LinuxDatagram, GoesThereAndBack) {
  const Peer peer = server();
  const SocketId socket = open();
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{1400}, wire::kUdpMaxPayload}) {
    const auto data = pattern(size);
    ASSERT_EQ(rig_.host.send_datagram(socket, peer.endpoint(), data, {}), HostError::none);
    Endpoint from;
    EXPECT_EQ(peer.receive_from(from), data);
    EXPECT_EQ(from, reachable(socket));
    ASSERT_TRUE(peer.send_to(from, data));
    const auto received = rig_.receive(socket, 1);
    ASSERT_EQ(received.size(), 1U);
    EXPECT_EQ(received[0].payload, data);
    EXPECT_EQ(received[0].from, peer.endpoint());
    EXPECT_EQ(received[0].segment_size, 0);
  }
}

TEST_P(LinuxDatagram, SaysWhetherItHasTakenAll) {
  const Peer peer = server();
  const SocketId socket = open();
  // The first batch is two datagrams; of sizes that are no run, so that the kernel joins none.
  for (const std::size_t size : {std::size_t{1}, std::size_t{2}, std::size_t{3}}) {
    ASSERT_TRUE(peer.send_to(reachable(socket), pattern(size)));
  }
  ASSERT_EQ(rig_.host.receive_datagrams(socket).size(), 2U);
  EXPECT_FALSE(rig_.host.took_all_datagrams());
  ASSERT_EQ(rig_.host.receive_datagrams(socket).size(), 1U);
  EXPECT_TRUE(rig_.host.took_all_datagrams());
  EXPECT_EQ(rig_.host.receive_datagrams(socket).size(), 0U);
  EXPECT_FALSE(rig_.host.took_all_datagrams());
}

TEST_P(LinuxDatagram, ShowsOnePortToEveryone) {
  const Peer first = server();
  const Peer second = server();
  const SocketId socket = open();
  Endpoint from_first;
  Endpoint from_second;
  ASSERT_EQ(rig_.host.send_datagram(socket, first.endpoint(), pattern(1), {}), HostError::none);
  ASSERT_EQ(rig_.host.send_datagram(socket, second.endpoint(), pattern(1), {}), HostError::none);
  ASSERT_EQ(first.receive_from(from_first).size(), 1U);
  ASSERT_EQ(second.receive_from(from_second).size(), 1U);
  EXPECT_EQ(from_first, from_second);
  EXPECT_NE(from_first.port, 0);
  const SocketId other = open(2);
  EXPECT_NE(rig_.host.local_endpoint(other).port, from_first.port);
}

TEST_P(LinuxDatagram, CarriesHopLimitAndTrafficClass) {
  const Peer peer = server();
  peer.set(v4() ? int{IPPROTO_IP} : int{IPPROTO_IPV6}, v4() ? IP_TTL : IPV6_UNICAST_HOPS, 33);
  peer.set(v4() ? int{IPPROTO_IP} : int{IPPROTO_IPV6}, v4() ? IP_TOS : IPV6_TCLASS, 0x28);
  const SocketId near = open(1);
  const SocketId far = open(2);
  ASSERT_TRUE(peer.send_to(reachable(near), pattern(3)));
  auto received = rig_.receive(near, 1);
  ASSERT_EQ(received.size(), 1U);
  EXPECT_EQ(received[0].ttl, 33);
  EXPECT_EQ(received[0].traffic_class, 0x28);
  for (const std::uint8_t ttl : std::to_array<std::uint8_t>({1, 17, 255})) {
    const DatagramOptions options{.ttl = ttl, .traffic_class = 0xb8};
    ASSERT_EQ(rig_.host.send_datagram(near, reachable(far), pattern(3), options), HostError::none);
    received = rig_.receive(far, 1);
    ASSERT_EQ(received.size(), 1U);
    EXPECT_EQ(received[0].ttl, ttl);
    EXPECT_EQ(received[0].traffic_class, 0xb8);
  }
}

TEST_P(LinuxDatagram, ReportsThatNobodyListens) {
  const SocketId socket = open();
  const Endpoint destination = nobody();
  const auto data = pattern(100);
  ASSERT_EQ(rig_.host.send_datagram(socket, destination, data, {}), HostError::none);
  ASSERT_TRUE(rig_.run_until([&] { return rig_.events[1].error; }));
  DatagramError error;
  ASSERT_TRUE(rig_.host.receive_error(socket, error));
  EXPECT_EQ(error.error, wire::IcmpError::port_unreachable);
  EXPECT_EQ(error.destination, destination);
  EXPECT_EQ(error.offender, loopback());
  EXPECT_EQ(error.mtu, 0U);
  EXPECT_EQ(std::vector<std::uint8_t>(error.payload.begin(), error.payload.end()), data);
  EXPECT_FALSE(rig_.host.receive_error(socket, error));
}

TEST_P(LinuxDatagram, LosesNoDatagramToAnOlderError) {
  const Peer peer = server();
  const SocketId socket = open();
  const auto data = pattern(10);
  // Errors that nobody has taken off the queue, one after the other.
  for (int i = 0; i < 5; ++i) {
    rig_.events.clear();
    ASSERT_EQ(rig_.host.send_datagram(socket, nobody(), data, {}), HostError::none);
    ASSERT_TRUE(rig_.run_until([&] { return rig_.events[1].error; }));
    ASSERT_EQ(rig_.host.send_datagram(socket, peer.endpoint(), data, {}), HostError::none);
    Endpoint from;
    ASSERT_EQ(peer.receive_from(from), data);
    // Receiving, too.
    rig_.events.clear();
    ASSERT_EQ(rig_.host.send_datagram(socket, nobody(), data, {}), HostError::none);
    ASSERT_TRUE(rig_.run_until([&] { return rig_.events[1].error; }));
    ASSERT_TRUE(peer.send_to(reachable(socket), data));
    ASSERT_TRUE(rig_.run_until([&] { return rig_.events[1].readable; }));
    // At the first call: an empty answer would mean that there is nothing, and no edge would follow.
    ASSERT_EQ(rig_.host.receive_datagrams(socket).size(), 1U);
  }
  DatagramError error;
  int errors = 0;
  while (rig_.host.receive_error(socket, error)) ++errors;
  EXPECT_EQ(errors, 10);
}

TEST_P(LinuxDatagram, SendsManyAtOnce) {
  const Peer peer = server();
  peer.set(SOL_SOCKET, SO_RCVBUF, 4'000'000);
  const SocketId socket = open();
  // Within one super-frame, above its count of segments, and above its size.
  for (const auto& [size, segment] :
       {std::pair{3001U, 1000}, std::pair{200U * 100, 100}, std::pair{150'000U, 1400}}) {
    const auto data = pattern(size);
    const DatagramOptions options{.segment_size = static_cast<std::uint16_t>(segment)};
    ASSERT_EQ(rig_.host.send_datagram(socket, peer.endpoint(), data, options), HostError::none);
    for (Bytes left = data; !left.empty();) {
      const Bytes expected = take(left, static_cast<std::size_t>(segment));
      ASSERT_EQ(peer.receive(), std::vector<std::uint8_t>(expected.begin(), expected.end()));
      left = drop(left, expected.size());
    }
  }
}

TEST_P(LinuxDatagram, ReceivesManyAtOnce) {
  const Peer peer = server();
  peer.set(SOL_UDP, UDP_SEGMENT, 1000);
  const SocketId socket = open();
  const auto data = pattern(30'500);
  ASSERT_TRUE(peer.send_to(reachable(socket), data));
  const auto received = rig_.receive(socket, 1);
  ASSERT_EQ(received.size(), 1U);  // the loopback device hands super-frames through
  EXPECT_EQ(received[0].payload, data);
  EXPECT_EQ(received[0].segment_size, 1000);
}

TEST_P(LinuxDatagram, ReceivesBatchesInOrder) {
  const Peer peer = server();
  const SocketId socket = open();
  for (std::size_t i = 0; i < 50; ++i) ASSERT_TRUE(peer.send_to(reachable(socket), pattern(100 + i, i)));
  const auto received = rig_.receive(socket, 50);
  ASSERT_EQ(received.size(), 50U);
  for (std::size_t i = 0; i < 50; ++i) EXPECT_EQ(received[i].payload, pattern(100 + i, i));
  EXPECT_TRUE(rig_.host.receive_datagrams(socket).empty());
}

TEST_P(LinuxDatagram, RefusesTheOtherVersion) {
  const SocketId socket = open();
  const Endpoint other{v4() ? *Address::parse("::1") : Address::v4(127, 0, 0, 1), 9};
  EXPECT_EQ(rig_.host.send_datagram(socket, other, pattern(1), {}), HostError::net_unreachable);
  rig_.host.close(socket);
  EXPECT_EQ(rig_.host.send_datagram(socket, nobody(), pattern(1), {}), HostError::other);
  EXPECT_TRUE(rig_.host.receive_datagrams(socket).empty());
  DatagramError error;
  EXPECT_FALSE(rig_.host.receive_error(socket, error));
}

}  // namespace
}  // namespace sf::host
