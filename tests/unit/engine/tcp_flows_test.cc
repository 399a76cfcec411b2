// TcpFlows: from segments, events and deadlines to flows, and the books about them.
#include "engine/tcp_flows.hh"

#include <gtest/gtest.h>

#include "unit/link/fake_link.hh"
#include "unit/support/stream_host.hh"

namespace sf::engine {
namespace {

using host::HostError;
using tcp::Connection;

class TcpFlowsTest : public testing::Test {
 protected:
  static constexpr MacAddress kGatewayMac{{0x52, 0x55, 10, 0, 2, 2}};
  static constexpr MacAddress kGuestMac{{0x02, 0, 0, 0, 0, 1}};
  static constexpr std::size_t kLimit = 6;
  static constexpr std::size_t kHalfOpen = 4;

  TcpFlowsTest() {
    network_.gateway_mac = kGatewayMac;
    network_.prefix4 = *Prefix::parse("10.0.2.0/24");
    network_.gateway4 = Address::v4(10, 0, 2, 2);
  }

  static FlowKey key(std::uint16_t port) {
    return {{Address::v4(10, 0, 2, 100), port}, {Address::v4(198, 51, 100, 7), 80}};
  }
  static wire::TcpSegment syn(std::uint16_t port, std::uint32_t sequence = 1000) {
    wire::TcpSegment s;
    s.source_port = port;
    s.destination_port = 80;
    s.sequence = sequence;
    s.flags.syn = true;
    s.window = 0xffff;
    return s;
  }
  // As the engine does it. False: refused.
  bool hear(std::uint16_t port, const wire::TcpSegment& s) {
    if (flows_.on_segment(key(port), kGuestMac, s, now_)) return true;
    if (!s.flags.syn) return false;
    return flows_.open(key(port), kGuestMac, s, {key(port).remote.address, false}, now_) ==
           TcpFlows::Opened::yes;
  }
  bool open(std::uint16_t port) { return hear(port, syn(port)); }
  host::StreamHost::Socket& socket_of(std::size_t index) { return host_.sockets.at(index); }
  void event(std::size_t index, host::Readiness readiness) {
    flows_.on_host_event(handle_of(socket_of(index).token), readiness, now_);
  }
  void connected(std::size_t index) {
    socket_of(index).connected = HostError::none;
    event(index, {.writable = true});
    turn();
  }
  void turn() {
    for (int i = 0; i < 100; ++i) {
      if (!flows_.end_turn(now_)) return;
    }
    ADD_FAILURE() << "the loop never rests";
  }
  void pass(Duration time) {
    now_ += time;
    for (int i = 0; timers_.next() <= now_; ++i) {
      ASSERT_LT(i, 100) << "a deadline stays in the past";
      flows_.on_timer(handle_of(timers_.pop()), now_);
      turn();
    }
    turn();
  }
  wire::TcpSegment last() const {
    const auto packet = wire::parse_ip(base::drop(link_.sent.back().bytes, wire::kEthernetHeaderSize));
    return *wire::TcpSegment::parse(packet->payload);
  }
  // The guest's next segment in answer to the last frame, which is a SYN-ACK.
  wire::TcpSegment ack(std::uint16_t port) const {
    wire::TcpSegment s = syn(port, 1001);
    s.flags = {};
    s.flags.ack = true;
    s.acknowledgment = last().sequence + 1;
    return s;
  }
  void establish(std::uint16_t port) {
    ASSERT_TRUE(open(port));
    connected(host_.sockets.size() - 1);
    ASSERT_TRUE(last().flags.syn);
    ASSERT_TRUE(hear(port, ack(port)));
    turn();
  }
  // Both FINs, ours first: TIME-WAIT at the end, with our FIN and the guest's acknowledged.
  void close_host_first(std::uint16_t port) {
    wire::TcpSegment fin = ack(port);
    host_.current().ended = true;
    event(host_.sockets.size() - 1, {.readable = true, .read_closed = true});
    turn();
    ASSERT_TRUE(last().flags.fin);
    fin.flags.fin = true;
    fin.acknowledgment = last().sequence + 1;
    ASSERT_TRUE(hear(port, fin));
    turn();
  }

  Time now_{1000s};
  link::Network network_;
  link::FakeLink link_{link::kAllFeatures};
  link::ToGuest to_guest_{link_, kGatewayMac, 1500};
  host::StreamHost host_;
  PiecePool pool_{64};
  tcp::Translator translator_{host_, to_guest_, network_, pool_, SipKey{1, 2}};
  TimerHeap timers_;
  TcpFlows flows_{translator_, timers_, SipKey{3, 4}, kLimit, kHalfOpen};
};

TEST_F(TcpFlowsTest, ASynOpensOneFlow) {
  EXPECT_TRUE(open(1));
  EXPECT_TRUE(open(1)) << "the same SYN again";
  EXPECT_EQ(flows_.size(), 1U);
  EXPECT_EQ(host_.connects, 1);
  EXPECT_TRUE(open(2));
  EXPECT_EQ(flows_.size(), 2U);
}

TEST_F(TcpFlowsTest, ASegmentOfNoFlowIsNobodys) {
  EXPECT_FALSE(flows_.on_segment(key(1), kGuestMac, syn(1), now_));
  EXPECT_EQ(flows_.size(), 0U);
}

TEST_F(TcpFlowsTest, EachSocketsEventReachesItsFlow) {
  open(1);
  open(2);
  connected(1);
  ASSERT_EQ(link_.sent.size(), 1U);
  EXPECT_EQ(last().destination_port, 2);
}

TEST_F(TcpFlowsTest, AFlowThatEndsAtOnceLeavesNothing) {
  host_.connect_error = HostError::refused;
  EXPECT_TRUE(open(1));
  EXPECT_EQ(flows_.size(), 0U);
  turn();
  EXPECT_EQ(timers_.size(), 0U);
}

TEST_F(TcpFlowsTest, ALateEventOfAFlowThatIsGone) {
  open(1);
  const host::Token token = socket_of(0).token;
  socket_of(0).connected = HostError::refused;
  event(0, {.error = true});
  EXPECT_EQ(flows_.size(), 0U);
  open(2);
  EXPECT_NE(socket_of(1).token, token) << "the same slot, another generation";
  flows_.on_host_event(handle_of(token), {.writable = true, .error = true}, now_);
  flows_.on_timer(handle_of(token), now_);
  turn();
  EXPECT_EQ(flows_.size(), 1U);
}

TEST_F(TcpFlowsTest, DeadlinesAreKept) {
  open(1);
  connected(0);
  EXPECT_EQ(timers_.next(), now_ + 1s);
  for (int i = 0; i < 100 && flows_.size() > 0; ++i) pass(timers_.next() - now_);
  EXPECT_EQ(flows_.size(), 0U);
  EXPECT_EQ(timers_.size(), 0U);
  EXPECT_EQ(host_.open_sockets(), 0U);
}

TEST_F(TcpFlowsTest, ADeadlineThatMovedAwayIsAskedForAgain) {
  establish(1);
  ASSERT_LT(timers_.next(), now_ + Connection::kKeepAliveOpen) << "still that of the SYN-ACK";
  pass(timers_.next() - now_);
  EXPECT_EQ(timers_.next(), Time{1000s} + Connection::kKeepAliveOpen);
  EXPECT_EQ(flows_.size(), 1U);
}

// --- limits

TEST_F(TcpFlowsTest, TheOldestHalfOpenMakesRoom) {
  for (std::uint16_t port = 1; port <= kHalfOpen; ++port) open(port);
  EXPECT_TRUE(open(100));
  EXPECT_EQ(flows_.size(), kHalfOpen);
  EXPECT_TRUE(socket_of(0).aborted);
  EXPECT_TRUE(socket_of(1).open());
  EXPECT_TRUE(last().flags.rst) << "and its guest was told";
  EXPECT_EQ(last().destination_port, 1);
}

// What a flood costs is bounded; a later SYN finds room again.
TEST_F(TcpFlowsTest, SoManySynsThatNobodyAnswersAreTaken) {
  for (std::uint16_t port = 1; port <= kHalfOpen; ++port) ASSERT_TRUE(open(port));
  std::uint32_t opened = 0;
  for (std::uint16_t port = 100; port < 30100; ++port) opened += open(port) ? 1U : 0U;
  EXPECT_EQ(opened + kHalfOpen, OpeningBudget::kAtOnce);
  EXPECT_EQ(flows_.size(), kHalfOpen);
  now_ += 1ms;
  EXPECT_TRUE(open(40000));
}

TEST_F(TcpFlowsTest, SoManyThatAreRefusedAreTaken) {
  std::uint32_t opened = 0;
  for (std::uint16_t port = 1; port <= 10'000; ++port) {
    if (!open(port)) continue;
    ++opened;
    socket_of(host_.sockets.size() - 1).connected = HostError::refused;
    event(host_.sockets.size() - 1, {.error = true});
  }
  EXPECT_EQ(flows_.size(), 0U);
  EXPECT_EQ(opened, OpeningBudget::kAtOnce);
}

TEST_F(TcpFlowsTest, AnyNumberThatIsCompletedIsTaken) {
  for (std::uint16_t port = 1; port <= 2 * OpeningBudget::kAtOnce; ++port) {
    establish(port);
    wire::TcpSegment reset = syn(port, 1001);
    reset.flags = {};
    reset.flags.rst = true;
    ASSERT_TRUE(hear(port, reset));
    host_.current().closed = true;
  }
  EXPECT_EQ(flows_.size(), 0U);
}

// The host's answer alone says nothing of the guest: whoever forges its SYNs gets that as well.
TEST_F(TcpFlowsTest, OneThatTheGuestResetsInsteadIsNotCompleted) {
  std::uint32_t opened = 0;
  for (std::uint16_t port = 1; port <= 10'000; ++port) {
    if (!open(port)) continue;
    ++opened;
    connected(host_.sockets.size() - 1);
    wire::TcpSegment reset = syn(port, 1001);
    reset.flags = {};
    reset.flags.rst = true;
    ASSERT_TRUE(hear(port, reset));
  }
  EXPECT_EQ(flows_.size(), 0U);
  EXPECT_EQ(opened, OpeningBudget::kAtOnce);
}

TEST_F(TcpFlowsTest, AnEstablishedOneIsNotHalfOpen) {
  establish(1);
  for (std::uint16_t port = 2; port <= 1 + kHalfOpen; ++port) EXPECT_TRUE(open(port));
  EXPECT_EQ(flows_.size(), 1 + kHalfOpen);
  EXPECT_TRUE(open(200));
  EXPECT_TRUE(socket_of(0).open());
  EXPECT_TRUE(socket_of(1).aborted);
}

TEST_F(TcpFlowsTest, HalfOpenOnesThatEndAreCountedOut) {
  for (std::uint16_t port = 1; port <= 50; ++port) {
    const std::size_t index = host_.sockets.size();
    open(port);
    socket_of(index).connected = HostError::refused;
    event(index, {.error = true});
  }
  EXPECT_EQ(flows_.size(), 0U);
  for (std::uint16_t port = 100; port < 100 + kHalfOpen; ++port) open(port);
  EXPECT_EQ(flows_.size(), kHalfOpen) << "none had to make room";
}

TEST_F(TcpFlowsTest, NoMoreFlowsThanTheLimit) {
  for (std::uint16_t port = 1; port <= kLimit; ++port) establish(port);
  EXPECT_EQ(flows_.size(), kLimit);
  link_.sent.clear();
  EXPECT_FALSE(open(100));
  EXPECT_TRUE(last().flags.rst);
  EXPECT_EQ(last().destination_port, 100);
  EXPECT_EQ(flows_.size(), kLimit);
}

// --- a SYN in the place of an older flow

TEST_F(TcpFlowsTest, ANewSynWhileConnectingBeginsAgain) {
  open(1);
  EXPECT_TRUE(hear(1, syn(1, 5000)));
  EXPECT_EQ(flows_.size(), 1U);
  EXPECT_TRUE(socket_of(0).aborted);
  connected(1);
  EXPECT_EQ(last().acknowledgment, 5001U);
}

TEST_F(TcpFlowsTest, ANewSynInTimeWaitBeginsAgain) {
  establish(1);
  close_host_first(1);
  EXPECT_EQ(flows_.size(), 1U);
  EXPECT_TRUE(hear(1, syn(1, 1002))) << "not beyond the old one: an ACK";
  EXPECT_EQ(host_.connects, 1);
  EXPECT_TRUE(hear(1, syn(1, 90'000)));
  EXPECT_EQ(flows_.size(), 1U);
  EXPECT_EQ(host_.connects, 2);
  connected(1);
  EXPECT_EQ(last().acknowledgment, 90'001U);
}

TEST_F(TcpFlowsTest, TimeWaitEnds) {
  establish(1);
  close_host_first(1);
  pass(Connection::kTimeWait);
  EXPECT_EQ(flows_.size(), 0U);
  EXPECT_EQ(timers_.size(), 0U);
}

TEST_F(TcpFlowsTest, ANewSynDoesNotCostWhatTheHostHasNotTaken) {
  establish(1);
  socket_of(0).takes = 10;
  wire::TcpSegment data = ack(1);
  const std::vector<std::uint8_t> payload = link::pattern(1000);
  data.payload = payload;
  ASSERT_TRUE(hear(1, data));
  turn();
  socket_of(0).ended = true;
  event(0, {.readable = true, .read_closed = true});
  turn();
  ASSERT_TRUE(last().flags.fin);
  wire::TcpSegment fin = data;
  fin.payload = {};
  fin.sequence += 1000;
  fin.flags.fin = true;
  fin.acknowledgment = last().sequence + 1;
  ASSERT_TRUE(hear(1, fin));
  turn();

  for (int i = 0; i < 3; ++i) {  // in TIME-WAIT, then after it
    EXPECT_TRUE(hear(1, syn(1, 90'000)));
    wire::TcpSegment reset = fin;  // what the guest says to an ACK that fits nothing
    reset.sequence += 1;
    reset.flags = {};
    reset.flags.rst = true;
    EXPECT_TRUE(hear(1, reset));
    turn();
    ASSERT_FALSE(socket_of(0).aborted);
    pass(Connection::kTimeWait);
  }
  socket_of(0).takes = host::StreamHost::kAll;
  event(0, {.writable = true});
  turn();
  EXPECT_EQ(socket_of(0).taken, payload);
  EXPECT_TRUE(socket_of(0).closed);
  EXPECT_EQ(flows_.size(), 0U);
  EXPECT_TRUE(hear(1, syn(1, 90'000)));
  EXPECT_EQ(host_.connects, 2);
}

TEST_F(TcpFlowsTest, AbortAllTellsEveryGuest) {
  establish(1);
  establish(2);
  open(3);
  link_.sent.clear();
  flows_.abort_all(now_);
  EXPECT_EQ(link_.sent.size(), 3U);
  EXPECT_EQ(host_.open_sockets(), 0U);
  EXPECT_EQ(timers_.size(), 0U);
}

}  // namespace
}  // namespace sf::engine
