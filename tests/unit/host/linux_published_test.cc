// Published ports on the Linux host: listeners, their clients, bound UDP sockets.
#include <array>

#include "unit/host/host_fixture.hh"

namespace sf::host {
namespace {

class LinuxPublished : public HostTest {};

INSTANTIATE_TEST_SUITE_P(Version, LinuxPublished, testing::Bool(), version_name);

TEST_P(LinuxPublished, AcceptsClients) {
  const auto listener = rig_.host.listen_stream({loopback(), 0}, 7, PortSharing::none);
  ASSERT_TRUE(listener);
  EXPECT_EQ(rig_.host.accept_stream(*listener).error(), HostError::would_block);
  SocketId client = kNoSocket;
  ASSERT_EQ(rig_.connect(rig_.host.local_endpoint(*listener), client), HostError::none);
  ASSERT_TRUE(rig_.run_until([&] { return rig_.events[7].readable; }));
  const auto accepted = rig_.host.accept_stream(*listener);
  ASSERT_TRUE(accepted);
  EXPECT_EQ(accepted->peer, rig_.host.local_endpoint(client));
  EXPECT_EQ(rig_.host.finish_connect(accepted->socket), HostError::none);

  // What came before watch() is told as well.
  const std::array<std::uint8_t, 3> hello{1, 2, 3};
  EXPECT_EQ(rig_.host.send(client, std::array{Bytes{hello}}).bytes, 3U);
  ASSERT_TRUE(rig_.host.watch(accepted->socket, 8));
  ASSERT_TRUE(rig_.run_until([&] { return rig_.events[8].readable; }));
  std::array<std::uint8_t, 10> buffer{};
  EXPECT_EQ(rig_.host.receive(accepted->socket, std::array{MutBytes{buffer}}).bytes, 3U);
}

TEST_P(LinuxPublished, SaysWhyItCannotListen) {
  const Peer taken(SOCK_STREAM, loopback());
  const auto again = rig_.host.listen_stream(taken.endpoint(), 1, PortSharing::none);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error(), HostError::in_use);
  const Address elsewhere = *Address::parse(GetParam() ? "198.51.100.77" : "2001:db8:77::1");
  const auto foreign = rig_.host.listen_stream({elsewhere, 0}, 1, PortSharing::none);
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error(), HostError::no_such_address);
  const Peer udp(SOCK_DGRAM, loopback());
  EXPECT_EQ(rig_.host.bind_datagram(udp.endpoint(), 1).error(), HostError::in_use);
  EXPECT_EQ(rig_.host.open_sockets(), 0U);
}

TEST_P(LinuxPublished, BothVersionsShareAPort) {
  const Address any4 = Address::v4(0);
  const auto first = rig_.host.listen_stream({GetParam() ? any4 : Address(), 0}, 1, PortSharing::none);
  ASSERT_TRUE(first);
  const std::uint16_t port = rig_.host.local_endpoint(*first).port;
  EXPECT_TRUE(rig_.host.listen_stream({GetParam() ? Address() : any4, port}, 2, PortSharing::none));
}

TEST_P(LinuxPublished, AUdpPortHearsAndAnswers) {
  const auto socket = rig_.host.bind_datagram({loopback(), 0}, 3);
  ASSERT_TRUE(socket);
  const Peer client(SOCK_DGRAM, loopback());
  const SocketAddress to(rig_.host.local_endpoint(*socket));
  ASSERT_EQ(::sendto(client.fd(), "hello", 5, 0, to.get(), to.size()), 5);
  const auto received = rig_.receive(*socket, 1);
  ASSERT_EQ(received.size(), 1U);
  EXPECT_EQ(received[0].from, client.endpoint());
  const std::array<std::uint8_t, 2> answer{4, 5};
  EXPECT_EQ(rig_.host.send_datagram(*socket, received[0].from, answer, {}), HostError::none);
  EXPECT_EQ(client.receive().size(), 2U);
}

// A client that was connected to one of several addresses takes answers from that one alone.
TEST(LinuxPublishedAddresses, AnswersComeFromTheAddressThatWasAsked) {
  HostRig rig;
  const auto socket = rig.host.bind_datagram({Address::v4(0), 0}, 3);
  ASSERT_TRUE(socket);
  const Peer client(SOCK_DGRAM, Address::v4(127, 0, 0, 1));
  const Endpoint asked{Address::v4(127, 0, 0, 2), rig.host.local_endpoint(*socket).port};
  const SocketAddress to(asked);
  ASSERT_EQ(::connect(client.fd(), to.get(), to.size()), 0);
  ASSERT_EQ(::send(client.fd(), "hello", 5, 0), 5);
  (void)rig.run_until([&] {
    const auto received = rig.host.receive_datagrams(*socket);
    if (received.empty()) return false;
    EXPECT_EQ(received[0].to, asked.address);
    const std::array<std::uint8_t, 2> answer{4, 5};
    EXPECT_EQ(rig.host.send_datagram(*socket, received[0].from, answer, {.source = received[0].to}),
              HostError::none);
    return true;
  });
  EXPECT_EQ(client.receive().size(), 2U);
}

}  // namespace
}  // namespace sf::host
