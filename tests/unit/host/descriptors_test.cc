#include "host/descriptors.hh"

#include "unit/host/host_fixture.hh"

namespace sf::host {
namespace {

TEST(Descriptors, AFewAreKeptBack) {
  EXPECT_EQ(Descriptors::of(1024, 1).limit, 1024 - 80);
  EXPECT_EQ(Descriptors::of(1 << 20, 4).limit, (1 << 20) - 128);
  EXPECT_EQ(Descriptors::of(96, 1).limit, 72) << "a fourth at most";
  EXPECT_EQ(Descriptors::of(~std::uint64_t{0}, 1).limit, std::numeric_limits<int>::max());
  EXPECT_FALSE(Descriptors{}.kept_back(1 << 30));
}

// As many as that are free now, and no more.
Descriptors only(int count) {
  return {Descriptors{}.next() + count};
}

class FewDescriptors : public HostTest {};

INSTANTIATE_TEST_SUITE_P(Version, FewDescriptors, testing::Bool(), version_name);

TEST_P(FewDescriptors, QueriesHaveSomeWhenFlowsHaveNone) {
  const Peer listener(SOCK_STREAM, loopback());
  HostRig rig({.descriptors = only(3)});  // one is the loop's
  const auto first = rig.host.connect_stream(listener.endpoint(), 1);
  ASSERT_TRUE(first);
  const auto second = rig.host.open_datagram(DatagramKind::udp, v4(), 2);
  ASSERT_TRUE(second);
  EXPECT_EQ(rig.host.connect_stream(listener.endpoint(), 3).error(), HostError::no_descriptors);
  EXPECT_EQ(rig.host.open_datagram(DatagramKind::udp, v4(), 4).error(), HostError::no_descriptors);
  EXPECT_EQ(rig.host.listen_stream({loopback(), 0}, 5, PortSharing::none).error(), HostError::no_descriptors);
  EXPECT_EQ(rig.host.bind_datagram({loopback(), 0}, 6).error(), HostError::no_descriptors);
  EXPECT_TRUE(rig.host.open_datagram(DatagramKind::query, v4(), 7));
  EXPECT_EQ(rig.host.open_sockets(), 3U);
  rig.host.close(*second);
  EXPECT_TRUE(rig.host.connect_stream(listener.endpoint(), 8));
}

TEST_P(FewDescriptors, AClientWaitsUntilThereIsOne) {
  HostRig rig({.descriptors = only(3)});
  const auto listener = rig.host.listen_stream({loopback(), 0}, 1, PortSharing::none);
  ASSERT_TRUE(listener);
  const auto other = rig.host.open_datagram(DatagramKind::udp, v4(), 2);
  ASSERT_TRUE(other);
  const Endpoint at = rig.host.local_endpoint(*listener);
  EXPECT_EQ(rig.host.accept_stream(*listener).error(), HostError::would_block) << "nobody waits";
  const Peer client(::socket(v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const SocketAddress to(at);
  ASSERT_EQ(::connect(client.fd(), to.get(), to.size()), 0);
  EXPECT_EQ(rig.host.accept_stream(*listener).error(), HostError::no_descriptors);
  rig.host.close(*other);
  EXPECT_TRUE(rig.host.accept_stream(*listener));
}

}  // namespace
}  // namespace sf::host
