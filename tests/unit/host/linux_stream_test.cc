#include <sys/resource.h>

#include <numeric>

#include "unit/host/host_fixture.hh"
#include "unit/support/own_namespace.hh"

namespace sf::host {
namespace {

class LinuxStream : public HostTest {
 protected:
  // Connects to a listener; the accepted end is returned.
  Peer connected(const Peer& listener) {
    EXPECT_EQ(rig_.connect(listener.endpoint(), socket_), HostError::none);
    return listener.accept();
  }
  // Everything that the host has to receive, until the end of the stream or an error.
  IoResult receive_all(std::vector<std::uint8_t>& all) {
    IoResult last;
    std::vector<std::uint8_t> buffer(10000);
    EXPECT_TRUE(rig_.run_until([&] {
      while (true) {
        last = rig_.host.receive(socket_, std::array{MutBytes{buffer}.first(1), MutBytes{buffer}.subspan(1)});
        if (last.bytes == 0) return last.error != HostError::would_block;
        all.insert(all.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(last.bytes));
      }
    }));
    return last;
  }

  SocketId socket_ = kNoSocket;
};

INSTANTIATE_TEST_SUITE_P(Version, LinuxStream, testing::Bool(), version_name);

TEST_P(LinuxStream, ConnectsAndTalks) {
  const Peer listener(SOCK_STREAM, loopback());
  const Peer peer = connected(listener);
  EXPECT_EQ(peer.remote(), rig_.host.local_endpoint(socket_));
  const auto data = pattern(30);
  const std::array<Bytes, 3> pieces{take(data, 10), Bytes{}, drop(data, 10)};
  const IoResult sent = rig_.host.send(socket_, pieces);
  EXPECT_EQ(sent.bytes, 30U);
  EXPECT_EQ(sent.error, HostError::none);
  EXPECT_EQ(peer.receive(), data);
  std::vector<std::uint8_t> buffer(100);
  EXPECT_EQ(rig_.host.receive(socket_, std::array{MutBytes{buffer}}).error, HostError::would_block);
  ASSERT_TRUE(peer.send(data));
  ASSERT_TRUE(rig_.run_until([&] { return rig_.events[1].readable; }));
  EXPECT_EQ(rig_.host.receive(socket_, std::array{MutBytes{buffer}}).bytes, 30U);
  EXPECT_EQ(rig_.host.finish_connect(socket_), HostError::none);  // as often as asked
}

TEST_P(LinuxStream, TellsTheRoundTrip) {
  const Peer listener(SOCK_STREAM, loopback());
  const Peer peer = connected(listener);
  const auto round_trip = rig_.host.round_trip(socket_);
  ASSERT_TRUE(round_trip);
  EXPECT_GT(*round_trip, 0us);
  EXPECT_LT(*round_trip, 5s);
  EXPECT_FALSE(rig_.host.round_trip(kNoSocket));
  rig_.host.close(socket_);
  EXPECT_FALSE(rig_.host.round_trip(socket_));
}

TEST_P(LinuxStream, IsRefusedWhereNobodyListens) {
  Endpoint nobody;
  {
    const Peer listener(SOCK_STREAM, loopback());
    nobody = listener.endpoint();
  }
  EXPECT_EQ(rig_.connect(nobody, socket_), HostError::refused);
  if (socket_ != kNoSocket) {
    EXPECT_EQ(rig_.host.finish_connect(socket_), HostError::refused);  // as often as asked
  }
}

TEST_P(LinuxStream, SendsToASlowReader) {
  const Peer listener(SOCK_STREAM, loopback());
  const Peer peer = connected(listener);
  const auto data = pattern(8'000'000);
  std::size_t sent = 0;
  const auto send_more = [&] {
    while (sent < data.size()) {
      // Pieces of growing size, more than go into one system call.
      std::vector<Bytes> pieces;
      Bytes left = drop(data, sent);
      for (std::size_t i = 1; i <= 100; ++i) {
        pieces.push_back(take(left, i * 100));
        left = drop(left, i * 100);
      }
      const IoResult result = rig_.host.send(socket_, pieces);
      if (result.bytes == 0) return result.error;
      sent += result.bytes;
    }
    return HostError::none;
  };
  ASSERT_EQ(send_more(), HostError::would_block);
  ASSERT_LT(sent, data.size());
  std::vector<std::uint8_t> received;
  std::size_t waits = 0;
  while (received.size() < data.size()) {
    const auto some = peer.receive(1'000'000);
    ASSERT_FALSE(some.empty());
    received.insert(received.end(), some.begin(), some.end());
    if (sent == data.size()) continue;
    ++waits;
    // Writable again at some time, by an edge.
    rig_.events.clear();
    if (received.size() >= sent) {
      ASSERT_TRUE(rig_.run_until([&] { return rig_.events[1].writable; }));
    }
    ASSERT_NE(send_more(), HostError::reset);
  }
  EXPECT_GT(waits, 0U);
  EXPECT_EQ(received, data);
}

TEST_P(LinuxStream, ReceivesALargeStream) {
  const Peer listener(SOCK_STREAM, loopback());
  const Peer peer = connected(listener);
  const auto data = pattern(500'000);
  ASSERT_TRUE(peer.send(data));
  ::shutdown(peer.fd(), SHUT_WR);
  std::vector<std::uint8_t> received;
  EXPECT_EQ(receive_all(received).error, HostError::none);
  EXPECT_EQ(received, data);
  EXPECT_TRUE(rig_.run_until([&] { return rig_.events[1].read_closed; }));
}

TEST_P(LinuxStream, ClosesOneHalf) {
  const Peer listener(SOCK_STREAM, loopback());
  const Peer peer = connected(listener);
  const auto data = pattern(10);
  ASSERT_EQ(rig_.host.send(socket_, std::array{Bytes{data}}).bytes, 10U);
  rig_.host.shutdown_send(socket_);
  EXPECT_EQ(peer.receive(), data);
  EXPECT_TRUE(peer.receive().empty());
  EXPECT_EQ(errno, 0);
  ASSERT_TRUE(peer.send(data));
  ::shutdown(peer.fd(), SHUT_WR);
  std::vector<std::uint8_t> received;
  EXPECT_EQ(receive_all(received).error, HostError::none);
  EXPECT_EQ(received, data);
}

TEST_P(LinuxStream, AbortResetsThePeerAndCloseDoesNot) {
  const Peer listener(SOCK_STREAM, loopback());
  {
    const Peer peer = connected(listener);
    rig_.host.abort(socket_);
    EXPECT_TRUE(peer.receive().empty());
    EXPECT_EQ(errno, ECONNRESET);
  }
  {
    const Peer peer = connected(listener);
    rig_.host.close(socket_);
    EXPECT_TRUE(peer.receive().empty());
    EXPECT_EQ(errno, 0);
  }
  EXPECT_EQ(rig_.host.open_sockets(), 0U);
}

TEST_P(LinuxStream, TellsOfAReset) {
  const Peer listener(SOCK_STREAM, loopback());
  {
    const Peer peer = connected(listener);
    const linger none{.l_onoff = 1, .l_linger = 0};
    ASSERT_EQ(::setsockopt(peer.fd(), SOL_SOCKET, SO_LINGER, &none, sizeof(none)), 0);
  }
  ASSERT_TRUE(rig_.run_until([&] { return rig_.events[1].hang_up; }));
  std::vector<std::uint8_t> received;
  EXPECT_EQ(receive_all(received).error, HostError::reset);
  EXPECT_EQ(rig_.host.send(socket_, std::array{Bytes{pattern(1)}}).error,
            HostError::reset);  // and no SIGPIPE
}

TEST_P(LinuxStream, ForgetsClosedSockets) {
  const Peer listener(SOCK_STREAM, loopback());
  const Peer peer = connected(listener);
  const SocketId closed = socket_;
  EXPECT_EQ(rig_.host.open_sockets(), 1U);
  rig_.host.close(closed);
  rig_.host.close(closed);
  rig_.host.abort(closed);
  rig_.host.close(kNoSocket);
  EXPECT_EQ(rig_.host.open_sockets(), 0U);
  std::vector<std::uint8_t> buffer(10);
  EXPECT_EQ(rig_.host.receive(closed, std::array{MutBytes{buffer}}).error, HostError::other);
  EXPECT_EQ(rig_.host.send(closed, std::array{Bytes{buffer}}).error, HostError::other);
  EXPECT_EQ(rig_.host.finish_connect(closed), HostError::other);
  const Peer again = connected(listener);
  EXPECT_EQ(socket_, closed);  // the slot is used again
  EXPECT_EQ(rig_.host.open_sockets(), 1U);
}

TEST_P(LinuxStream, TellsThatDescriptorsHaveRunOut) {
  const Peer listener(SOCK_STREAM, loopback());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few{.rlim_cur = 3, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  const auto stream = rig_.host.connect_stream(listener.endpoint(), 1);
  const auto datagram = rig_.host.open_datagram(DatagramKind::udp, v4(), 1);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_FALSE(stream || datagram);
  EXPECT_EQ(stream.error(), HostError::no_descriptors);
  EXPECT_EQ(datagram.error(), HostError::no_descriptors);
  EXPECT_EQ(rig_.host.open_sockets(), 0U);
}

// --- routes and interfaces, in a namespace of the test's
// --------------------------------------------------------------

TEST(LinuxStreamRoutes, TellsWhatCannotBeReached) {
  test::in_own_namespace([] {
    // Kernels without such a route type leave a destination without any route, which is told apart below.
    const bool prohibit = test::shell("ip route add prohibit 203.0.113.0/24 2>/dev/null");
    HostRig rig;
    SocketId socket = kNoSocket;
    CHILD_EXPECT(rig.connect({Address::v4(198, 51, 100, 1), 80}, socket) == HostError::net_unreachable);
    CHILD_EXPECT(rig.connect({*Address::parse("2001:db8::1"), 80}, socket) == HostError::net_unreachable);
    if (prohibit) {
      CHILD_EXPECT(rig.connect({Address::v4(203, 0, 113, 1), 80}, socket) == HostError::prohibited);
    }
    CHILD_EXPECT(rig.host.open_sockets() == 0);
    return 0;
  });
}

TEST(LinuxStreamRoutes, LeavesFromTheOutboundAddress) {
  test::in_own_namespace([] {
    CHILD_EXPECT(
        test::shell("ip addr add 192.0.2.1/24 dev lo && ip addr add 192.0.2.9/24 dev lo && "
                    "ip addr add 2001:db8::1/64 dev lo nodad && ip addr add 2001:db8::9/64 dev lo nodad") &&
        test::addresses_usable());
    HostRig rig({.outbound4 = Address::v4(192, 0, 2, 9),
                 .outbound6 = Address::parse("2001:db8::9"),
                 .outbound_interface = "lo"});
    SocketId socket = kNoSocket;
    for (const char* text : {"192.0.2.1", "2001:db8::1"}) {
      const Address address = *Address::parse(text);
      const Peer listener(SOCK_STREAM, address);
      CHILD_EXPECT(rig.connect(listener.endpoint(), socket) == HostError::none);
      CHILD_EXPECT(listener.accept().remote().address ==
                   (address.is_v4() ? *Address::parse("192.0.2.9") : *Address::parse("2001:db8::9")));
    }
    // The host's own loopback is not out there.
    const Peer local(SOCK_STREAM, Address::v4(127, 0, 0, 1));
    CHILD_EXPECT(rig.connect(local.endpoint(), socket) == HostError::none);
    CHILD_EXPECT(local.accept().remote().address == Address::v4(127, 0, 0, 1));

    HostRig no_interface({.outbound_interface = "nosuch0"});
    CHILD_EXPECT(no_interface.connect({Address::v4(192, 0, 2, 1), 1}, socket) == HostError::net_unreachable);
    HostRig no_address({.outbound4 = Address::v4(198, 51, 100, 77)});
    CHILD_EXPECT(no_address.connect({Address::v4(192, 0, 2, 1), 1}, socket) == HostError::net_unreachable);
    CHILD_EXPECT(no_address.host.open_datagram(DatagramKind::udp, true, 1).error() ==
                 HostError::net_unreachable);
    return 0;
  });
}

}  // namespace
}  // namespace sf::host
