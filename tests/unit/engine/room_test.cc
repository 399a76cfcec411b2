// Out of descriptors: who makes room for a new flow, through a whole shard.
#include "engine/room.hh"

#include "unit/engine/shard_fixture.hh"

namespace sf::engine {
namespace {

using host::HostError;

class RoomTest : public ShardTest {
 protected:
  RoomTest() { config_.guest.mac = kGuestMac; }
  ~RoomTest() override { shard_.reset(); }

  void udp(std::uint16_t port) {
    EXPECT_EQ(out_.send_udp(kGatewayMac, ip_to(remote(), wire::IpProtocol::udp), port, 7000, {}),
              link::Status::ok);
    frame(built());
  }
  void tcp(std::uint16_t port) {
    wire::TcpSegment s = syn();
    s.source_port = port;
    frame(tcp_frame(ip_to(remote(), wire::IpProtocol::tcp), s));
  }
  void established(std::uint16_t port) {
    tcp(port);
    auto& socket = host_.current();
    socket.connected = HostError::none;
    shard_->on_socket_event(socket.token, {.writable = true}, now_);
    turn();
    ack(port, heard_tcp(link_.sent.size() - 1).sequence + 1);
  }
  void ack(std::uint16_t port, std::uint32_t number) {
    wire::TcpSegment s = syn();
    s.source_port = port;
    s.sequence = 1001;
    s.acknowledgment = number;
    s.flags = {};
    s.flags.ack = true;
    frame(tcp_frame(ip_to(remote(), wire::IpProtocol::tcp), s));
    acked_ = number;
  }
  void ping() { frame(echo_frame(ip_to(remote(), wire::IpProtocol::icmp))); }
  void pass(Duration time) {
    now_ += time;
    turn();
    link_.sent.clear();
  }
  bool open(std::size_t index) { return host_.sockets.at(index).open(); }
  std::size_t lines() const { return said_.size(); }

  std::uint32_t acked_ = 0;
  std::vector<std::string> said_;
  Log told_{LogLevel::warning, [this](LogLevel, std::string_view text) { said_.emplace_back(text); }};
  void start_telling() {
    shard_ = std::make_unique<Shard>(config_, link_, host_, told_);
    turn();
    link_.sent.clear();
  }
};

INSTANTIATE_TEST_SUITE_P(Version, RoomTest, testing::Bool(), version_name);

TEST_P(RoomTest, ThatOfTheOldestIdleMapping) {
  start();
  host_.most_sockets = 3;
  for (std::uint16_t port = 1; port <= 3; ++port) {
    udp(port);
    pass(1s);
  }
  pass(Room::kUdpIdle - 3s);
  tcp(100);
  EXPECT_FALSE(open(0));
  EXPECT_TRUE(open(1) && open(2));
  EXPECT_TRUE(link_.sent.empty());
  EXPECT_EQ(shard_->flow_count(), 3U);
}

TEST_P(RoomTest, WithNothingIdleNewFlowsAreRefusedAtOnceAndOneLineSaysSo) {
  start_telling();
  host_.most_sockets = 3;
  for (std::uint16_t port = 1; port <= 3; ++port) udp(port);
  for (std::uint16_t port = 100; port < 110; ++port) tcp(port);
  ASSERT_EQ(link_.sent.size(), 10U);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_TRUE(heard_tcp(i).flags.rst);
  link_.sent.clear();
  udp(4);
  expect_error(wire::IcmpError::admin_prohibited, remote());
  link_.sent.clear();
  ping();
  EXPECT_TRUE(link_.sent.empty());
  EXPECT_EQ(shard_->flow_count(), 3U);
  ASSERT_EQ(lines(), 1U);
  EXPECT_NE(said_[0].find("ulimit -n"), std::string::npos);
}

TEST_P(RoomTest, NameServersAreAskedAllTheSame) {
  host_.configured.servers = {{Address::v4(192, 0, 2, 1), 53}};
  start();
  host_.most_sockets = 1;
  udp(1);
  static constexpr std::array<std::uint8_t, 22> kQuery{0, 9, 1,   0,   0,   1,   0, 0, 0, 0, 0,
                                                       0, 4, 't', 'e', 's', 't', 0, 0, 1, 0, 1};
  const std::size_t before = host_.datagrams.size();
  frame(udp_frame(ip_to(dns(), wire::IpProtocol::udp), 53, kQuery));
  EXPECT_EQ(host_.datagrams.size(), before + 1);
}

TEST_P(RoomTest, WhenDescriptorsComeFreeAllGoesOn) {
  start();
  host_.most_sockets = 1;
  udp(1);
  tcp(100);
  EXPECT_EQ(shard_->flow_count(), 1U);
  host_.most_sockets = 2;
  tcp(100);
  EXPECT_EQ(shard_->flow_count(), 2U);
}

TEST_P(RoomTest, PingsThenTheUnansweredThenMappingsThenConnections) {
  start();
  // The last to go is the oldest: the kind counts first.
  established(1);  // socket 0
  pass(1s);
  udp(2);
  pass(1s);
  tcp(3);
  pass(1s);
  ping();
  ASSERT_EQ(host_.open_sockets(), 4U);
  host_.most_sockets = 4;
  pass(Room::kTcpIdle);
  for (const std::size_t next : {3U, 2U, 1U, 0U}) {
    EXPECT_TRUE(open(next));
    tcp(static_cast<std::uint16_t>(100 + next));
    EXPECT_FALSE(open(next)) << next;
    EXPECT_EQ(host_.open_sockets(), 4U);
  }
  EXPECT_TRUE(host_.sockets[0].aborted);
  EXPECT_EQ(shard_->flow_count(), 4U);
  tcp(200);
  EXPECT_EQ(shard_->flow_count(), 4U) << "those are new";
}

TEST_P(RoomTest, NobodyWhoIsNotIdleForLongEnough) {
  start();
  established(1);
  udp(2);
  tcp(3);
  ping();
  host_.most_sockets = 4;
  pass(Room::kPingIdle - 1ms);
  tcp(100);
  EXPECT_TRUE(open(0) && open(1) && open(2) && open(3));
  pass(1ms + Room::kLookAgain);
  tcp(101);
  EXPECT_FALSE(open(3));
  pass(Room::kUdpIdle - Room::kPingIdle);
  ack(1, acked_);
  pass(Room::kTcpIdle - 1ms);
  for (std::uint16_t port = 110; port < 120; ++port) tcp(port);
  EXPECT_TRUE(open(0)) << "the guest has said something less than 30 s ago";
  EXPECT_FALSE(open(1) || open(2));
}

TEST_P(RoomTest, NotAConnectionThatHoldsBytesForEither) {
  start();
  established(1);
  host_.most_sockets = 1;
  auto& socket = host_.current();
  socket.incoming.assign(100, 'x');
  shard_->on_socket_event(socket.token, {.readable = true}, now_);
  turn();
  // Not acknowledged.
  pass(Room::kTcpIdle + 1s);
  tcp(100);
  EXPECT_TRUE(open(0));
}

TEST_P(RoomTest, TheGuestIsToldOfAConnectionThatMadeRoom) {
  start();
  established(1);
  host_.most_sockets = 1;
  pass(Room::kTcpIdle);
  tcp(100);
  ASSERT_EQ(link_.sent.size(), 1U);
  EXPECT_TRUE(heard_tcp().flags.rst);
  EXPECT_EQ(heard_tcp().destination_port, 1);
}

TEST_P(RoomTest, AsManyAsAreNeeded) {
  start();
  constexpr std::uint16_t kMany = 200;
  for (std::uint16_t port = 1; port <= kMany; ++port) udp(port);
  host_.most_sockets = kMany;
  pass(Room::kUdpIdle);
  for (std::uint16_t port = 1; port <= kMany; ++port) tcp(port);
  EXPECT_TRUE(link_.sent.empty()) << "none was refused";
  EXPECT_EQ(shard_->flow_count(), kMany);
}

// Found idle by an earlier look, and used since.
TEST_P(RoomTest, WhoIsUsedAgainStays) {
  start();
  host_.most_sockets = 3;
  for (std::uint16_t port = 1; port <= 3; ++port) udp(port);
  pass(Room::kUdpIdle);
  tcp(100);
  EXPECT_FALSE(open(0));
  udp(2);
  tcp(101);
  EXPECT_TRUE(open(1));
  EXPECT_FALSE(open(2));
}

// What an earlier episode left does not go before what is idle now.
TEST_P(RoomTest, WhatWasFoundEarlierIsNotKept) {
  start();
  udp(1);
  udp(2);
  pass(Room::kUdpIdle - 1s);
  ping();
  host_.most_sockets = 3;
  pass(1s);
  tcp(100);
  EXPECT_FALSE(open(0));
  pass(Room::kPingIdle - 1s);
  tcp(101);
  EXPECT_FALSE(open(2)) << "pings first";
  EXPECT_TRUE(open(1));
}

TEST_P(RoomTest, WhereAllThatWasFoundIsUsedAgainOthersGo) {
  start();
  constexpr Duration kPart = Room::kLookAgain / 2;
  udp(1);
  udp(2);
  pass(kPart);
  udp(3);
  host_.most_sockets = 3;
  pass(Room::kUdpIdle - kPart);
  tcp(100);
  EXPECT_FALSE(open(0));
  udp(2);
  pass(kPart);
  tcp(101);
  EXPECT_TRUE(link_.sent.empty()) << "it is not refused";
  EXPECT_TRUE(open(1));
  EXPECT_FALSE(open(2));
}

TEST_P(RoomTest, ForAClientOfAPublishedPort) {
  start();
  const PublishRule rule{Transport::tcp, v4() ? Address::v4(0) : Address(), 8080, guest(), 80};
  ASSERT_TRUE(shard_->published().add(rule));
  udp(1);
  host_.most_sockets = 2;
  const auto comes = [&] {
    host_.sockets[0].clients.push_back({remote(), 5555});
    shard_->on_socket_event(host_.sockets[0].token, {.readable = true}, now_);
    turn();
  };
  comes();
  EXPECT_EQ(host_.sockets[0].clients.size(), 1U) << "it waits";
  EXPECT_EQ(deadline_, now_ + PublishedPorts::kStarvedRetry);
  pass(Room::kUdpIdle);
  EXPECT_TRUE(host_.sockets[0].clients.empty());
  EXPECT_FALSE(open(1));
}

}  // namespace
}  // namespace sf::engine
