// As many UDP flows as there may be: who makes room for another, through a whole shard.
#include "engine/udp_room.hh"

#include "unit/engine/shard_fixture.hh"

namespace sf::engine {
namespace {

class UdpRoomTest : public ShardTest {
 protected:
  static constexpr std::size_t kFlows = 3;

  UdpRoomTest() {
    config_.limits.udp_flows = kFlows;
    start();
  }
  ~UdpRoomTest() override { shard_.reset(); }

  void udp(std::uint16_t port, std::uint16_t to_port = 7000) {
    EXPECT_EQ(out_.send_udp(kGatewayMac, ip_to(remote(), wire::IpProtocol::udp), port, to_port, {}),
              link::Status::ok);
    frame(built());
  }
  void answered(std::size_t index) {
    auto& socket = host_.sockets.at(index);
    socket.arrived.push_back({{remote(), 7000}, {1, 2, 3}});
    shard_->on_socket_event(socket.token, {.readable = true}, now_);
    turn();
    link_.sent.clear();
  }
  void pass(Duration time) {
    now_ += time;
    turn();
    link_.sent.clear();
  }
  bool open(std::size_t index) { return host_.sockets.at(index).open(); }
  // All flows, and how often they may make room at once. The next port.
  std::uint16_t use_up() {
    constexpr std::size_t kMany = 2 * OpeningBudget::kAtOnce;
    config_.limits.udp_flows = kMany;
    start();
    std::uint16_t port = 1;
    while (port <= kMany) udp(port++);
    pass(1s);
    const std::size_t before = host_.sockets.size();
    for (std::uint32_t i = 0; i < OpeningBudget::kAtOnce + 100; ++i) udp(port++);
    EXPECT_EQ(host_.sockets.size(), before + OpeningBudget::kAtOnce);
    EXPECT_EQ(drops(DropReason::flow_limit), 100U);
    return port;
  }
};

INSTANTIATE_TEST_SUITE_P(Version, UdpRoomTest, testing::Bool(), version_name);

TEST_P(UdpRoomTest, TheOneThatWasIdleForLongest) {
  for (std::uint16_t port = 1; port <= 3; ++port) {
    udp(port);
    pass(100ms);
  }
  udp(1);  // and so it is not the first one
  pass(UdpRoom::kUnansweredIdle);
  udp(100);
  EXPECT_TRUE(link_.sent.empty()) << "nobody is refused";
  EXPECT_TRUE(open(0) && open(2));
  EXPECT_FALSE(open(1));
  EXPECT_EQ(shard_->flow_count(), kFlows);
  EXPECT_EQ(drops(DropReason::flow_limit), 0U);
  udp(101);
  EXPECT_FALSE(open(2));
  udp(102);
  EXPECT_FALSE(open(0));
}

TEST_P(UdpRoomTest, AnsweredOnesLast) {
  for (std::uint16_t port = 1; port <= 3; ++port) udp(port);
  answered(0);
  pass(100ms);
  answered(1);
  pass(1s);
  udp(3);  // the latest, and unanswered
  pass(UdpRoom::kAnsweredIdle);
  udp(100);
  EXPECT_FALSE(open(2));
  EXPECT_TRUE(open(0) && open(1));
  udp(101);
  EXPECT_FALSE(open(0));
}

TEST_P(UdpRoomTest, NobodyWhoIsNotIdleForLongEnough) {
  for (std::uint16_t port = 1; port <= 3; ++port) udp(port);
  answered(0);
  pass(UdpRoom::kUnansweredIdle - 1ms);
  udp(100);
  expect_error(wire::IcmpError::admin_prohibited, remote());
  EXPECT_EQ(drops(DropReason::flow_limit), 1U);
  pass(UdpRoom::kLookAgain);
  udp(101);
  udp(102);
  EXPECT_FALSE(open(1) || open(2));
  pass(UdpRoom::kAnsweredIdle - 1s);
  for (std::uint16_t port = 110; port < 130; ++port) udp(port);
  EXPECT_TRUE(open(0));
}

// Found by an earlier look, and used since.
TEST_P(UdpRoomTest, WhoIsUsedAgainStays) {
  for (std::uint16_t port = 1; port <= 3; ++port) udp(port);
  pass(UdpRoom::kUnansweredIdle);
  udp(100);
  ASSERT_FALSE(open(0));
  udp(2);
  udp(101);
  EXPECT_TRUE(open(1));
  EXPECT_FALSE(open(2));
}

TEST_P(UdpRoomTest, SoOftenASecond) {
  std::uint16_t port = use_up();
  const std::size_t before = host_.sockets.size();
  pass(100ms);
  for (int i = 0; i < 1000; ++i) udp(port++);
  EXPECT_NEAR(static_cast<double>(host_.sockets.size() - before), OpeningBudget::kPerSecond / 10, 2);
}

TEST_P(UdpRoomTest, AndForOnesToWhomHasAnsweredLately) {
  std::uint16_t port = use_up();
  answered(host_.sockets.size() - 1);
  const std::size_t before = host_.sockets.size();
  for (int i = 0; i < 100; ++i) udp(port++);
  EXPECT_EQ(host_.sockets.size(), before + 100);
}

TEST_P(UdpRoomTest, AndForOneThatComesAgain) {
  const std::uint16_t port = use_up();
  const std::size_t before = host_.sockets.size();
  udp(port);
  EXPECT_EQ(host_.sockets.size(), before);
  udp(port);
  EXPECT_EQ(host_.sockets.size(), before + 1);
}

// To another place each, and to one: from whom nobody has answered, and whom somebody has.
TEST_P(UdpRoomTest, DatagramsThatAreScattered) {
  const auto scatter = [&](std::uint16_t port) {
    host_.datagrams.clear();
    for (std::uint16_t i = 0; i <= 2 * OpeningBudget::kAtOnce; ++i)
      udp(port, static_cast<std::uint16_t>(1 + i));
    return host_.datagrams.size();
  };
  // Places are told apart by 15 bits: now and then one seems to be among the last four.
  EXPECT_NEAR(static_cast<double>(scatter(1)), OpeningBudget::kAtOnce, 8);
  EXPECT_NEAR(static_cast<double>(drops(DropReason::rate_limited)), OpeningBudget::kAtOnce, 8);
  host_.datagrams.clear();
  for (int i = 0; i < 100; ++i) udp(2);
  EXPECT_EQ(host_.datagrams.size(), 100U) << "those of another flow, to one place";
  answered(0);
  EXPECT_EQ(scatter(1), 1 + 2 * OpeningBudget::kAtOnce);
  now_ += 100ms;
  EXPECT_NEAR(static_cast<double>(scatter(2)), OpeningBudget::kPerSecond / 10, 2);
}

// Who tells several collectors, and never hears of them.
TEST_P(UdpRoomTest, DatagramsToAFewPlaces) {
  host_.datagrams.clear();
  constexpr std::size_t kMany = 4 * std::size_t{OpeningBudget::kAtOnce};
  for (std::size_t i = 0; i < kMany; ++i) udp(1, static_cast<std::uint16_t>(8000 + i % 4));
  EXPECT_EQ(host_.datagrams.size(), kMany);
}

// A flow of the flood's may have the port that a program chooses.
TEST_P(UdpRoomTest, ScatteredToWhomHasAnsweredLately) {
  udp(1, 53);
  answered(0);  // from port 7000
  for (std::uint16_t i = 0; i <= OpeningBudget::kAtOnce + 100; ++i)
    udp(2, static_cast<std::uint16_t>(10'000 + i));
  host_.datagrams.clear();
  udp(2, 7001);
  EXPECT_EQ(host_.datagrams.size(), 0U);
  udp(2, 7000);
  EXPECT_EQ(host_.datagrams.size(), 1U);
}

TEST_P(UdpRoomTest, AnyNumberMakesRoomOneByOne) {
  config_.limits.udp_flows = 200;
  start();
  for (std::uint16_t port = 1; port <= 200; ++port) udp(port);
  pass(1s);
  for (std::uint16_t port = 1001; port <= 1200; ++port) udp(port);
  EXPECT_EQ(shard_->flow_count(), 200U);
  EXPECT_EQ(drops(DropReason::flow_limit), 0U);
  for (std::size_t i = 0; i < 200; ++i) EXPECT_FALSE(open(i));
}

}  // namespace
}  // namespace sf::engine
