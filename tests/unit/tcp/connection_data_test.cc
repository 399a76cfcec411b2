// Connection: bytes both ways, ACKs, windows, probes.
#include "unit/tcp/connection_fixture.hh"

namespace sf::tcp {
namespace {

class ConnectionData : public ConnectionTest {
 protected:
  ConnectionData() { establish(); }
  void hold(std::uint32_t held) { connection().set_held(held, Connection::kCapacity); }
};

TEST_F(ConnectionData, OneAckForWhatCameInATurn) {
  hear({.length = 1000});
  hear({.at = 1000, .length = 1000});
  EXPECT_EQ(connection().unacknowledged(), 2000U);
  EXPECT_EQ(out(), "A 0:0 2000");
  EXPECT_EQ(connection().unacknowledged(), 0U);
}

TEST_F(ConnectionData, AnAckRidesOnData) {
  hear({.length = 1000});
  write(500);
  EXPECT_EQ(out(), "A 0:500 1000");
  EXPECT_TRUE(last_->header.flags.psh);
}

TEST_F(ConnectionData, GapsAreReportedMostRecentFirst) {
  hear({.at = 1000, .length = 100});
  hear({.at = 3000, .length = 100});
  EXPECT_EQ(out(), "A 0:0 0");
  const wire::TcpOptions& options = last_->header.options;
  ASSERT_EQ(options.sack_count, 2U);
  EXPECT_EQ(options.sack[0].left, kIrs + 1 + 3000);
  EXPECT_EQ(options.sack[0].right, kIrs + 1 + 3100);
  EXPECT_EQ(options.sack[1].left, kIrs + 1 + 1000);
}

// RFC 6691: a segment of full size has no room for blocks, so those get an ACK of their own.
TEST_F(ConnectionData, BlocksDoNotMakeSegmentsTooLarge) {
  hear({.at = 1000, .length = 100});
  write(5000);
  ASSERT_TRUE(next());
  EXPECT_EQ(last_->length, 5000U);
  EXPECT_EQ(last_->header.options.sack_count, 0U);
  ASSERT_TRUE(next());
  EXPECT_EQ(last_->length, 0U);
  EXPECT_EQ(last_->header.options.sack_count, 1U);
  EXPECT_EQ(out(), "");
}

TEST_F(ConnectionData, NoBlocksForAGuestThatDoesNotKnowThem) {
  syn_.options.sack_permitted = false;
  establish();
  hear({.at = 1000, .length = 100});
  ASSERT_TRUE(next());
  EXPECT_EQ(last_->header.options.sack_count, 0U);
}

TEST_F(ConnectionData, TheWindowShrinksByWhatTheHostDoesNotTake) {
  hold(100'000);
  hear({.length = 1});
  ASSERT_TRUE(next());
  EXPECT_EQ(std::uint32_t{last_->header.window} << Connection::kWindowScale,
            (Connection::kCapacity - 100'000) & ~15U);
}

TEST_F(ConnectionData, AWindowThatOpensIsToldAtOnce) {
  std::uint32_t at = 0;
  for (; connection().receive().right_edge() != connection().receive().next(); at += 32'768) {
    hear({.at = at, .length = 32'768});
    hold(grown_);
    static_cast<void>(out());
    ASSERT_LE(grown_, Connection::kCapacity + 15) << "more than there is memory for";
  }
  EXPECT_EQ(last_->header.window, 0U);
  hold(grown_ - 1000);
  EXPECT_EQ(out(), "") << "less than a segment: silly";
  hold(grown_ - 1460);
  ASSERT_TRUE(next());
  EXPECT_EQ(last_->header.window, 1460 >> Connection::kWindowScale);
}

TEST_F(ConnectionData, AProbeOfTheShutWindowIsAnswered) {
  while (connection().receive().right_edge() != connection().receive().next()) {
    hear({.at = grown_, .length = 32'768});
    hold(grown_);
    static_cast<void>(out());
  }
  const std::uint32_t full = grown_;
  hear({.at = full, .length = 1});
  EXPECT_EQ(grown_, full);
  EXPECT_EQ(out(), "A 0:0 " + std::to_string(full));
  hear({.at = full - 1});
  EXPECT_EQ(out(), "A 0:0 " + std::to_string(full));
}

TEST_F(ConnectionData, BytesWithoutMemoryAreAskedForAgain) {
  const SegmentOutcome outcome = connection().on_segment(segment({.length = 1000}), now_);
  EXPECT_EQ(connection().commit(outcome.plan, 400, now_), 400U);
  EXPECT_EQ(out(), "A 0:0 400");
}

TEST_F(ConnectionData, AShutGuestWindowIsProbedFromOneByteBack) {
  hear({.window = 0});
  write(1000);
  EXPECT_EQ(out(), "");
  connection().set_blocked(true, now_);
  EXPECT_TRUE(pass(TransmitHalf::kPersistFirst));
  EXPECT_EQ(out(), "A -1:0 0");
  hear({.window = 0});
  connection().set_blocked(true, now_);
  EXPECT_TRUE(pass(2 * TransmitHalf::kPersistFirst));
  EXPECT_EQ(out(), "A -1:0 0");
  hear({.window = 5000});
  EXPECT_EQ(out(), "A 0:1000 0");
}

TEST_F(ConnectionData, LossesAreSentAgain) {
  write(3000);
  EXPECT_EQ(out(), "A 0:3000 0");
  EXPECT_TRUE(pass(1s));
  EXPECT_EQ(out(), "A 0:1460 0");
  hear({.ack = 3000});
  EXPECT_EQ(queued_, 0U);
}

TEST_F(ConnectionData, AGuestThatAnswersNothingIsGivenUp) {
  write(1000);
  static_cast<void>(out());
  for (int i = 0; i < 100; ++i) {
    const Duration wait = connection().deadline() - now_;
    ASSERT_GT(wait, 0ms);
    if (!pass(wait)) break;
    static_cast<void>(out());
  }
  EXPECT_EQ(connection().phase(), Phase::closed);
  EXPECT_LT(now_ - Time{1000s}, 10min);
}

// --- keep-alive

TEST_F(ConnectionData, AnIdleConnectionIsLeftAloneForHours) {
  EXPECT_EQ(connection().deadline(), now_ + Connection::kKeepAliveOpen);
}

TEST_F(ConnectionData, AnAnsweredKeepAliveBeginsAnew) {
  EXPECT_TRUE(pass(Connection::kKeepAliveOpen));
  EXPECT_EQ(out(), "A -1:0 0");
  hear({});
  EXPECT_EQ(connection().deadline(), now_ + Connection::kKeepAliveOpen);
}

TEST_F(ConnectionData, AVanishedGuestIsNoticed) {
  EXPECT_TRUE(pass(Connection::kKeepAliveOpen));
  int probes = 0;
  for (; probes < 100; ++probes) {
    EXPECT_EQ(out(), "A -1:0 0");
    const Duration wait = connection().deadline() - now_;
    ASSERT_GT(wait, 0ms);
    if (!pass(wait)) break;
  }
  EXPECT_EQ(probes, Connection::kKeepAliveProbes - 1);
  EXPECT_EQ(connection().phase(), Phase::closed);
  EXPECT_GT(now_ - Time{1000s}, 2h + 4min) << "RFC 5382 REQ-5";
}

// The guest drops a probe after answering it, and with it the ACK that rode on it.
TEST_F(ConnectionData, AProbeDoesNotStandForAnAck) {
  ASSERT_TRUE(pass(Connection::kKeepAliveOpen));
  hear({.length = 1000});
  EXPECT_EQ(out(), "A -1:0 1000; A 0:0 1000");
}

}  // namespace
}  // namespace sf::tcp
