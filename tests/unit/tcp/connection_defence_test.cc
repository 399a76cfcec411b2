// Connection: segments that are not what they seem (RFC 5961, RFC 7323 section 5, RFC 9293 section 3.10.7.4).
#include "unit/tcp/connection_fixture.hh"

namespace sf::tcp {
namespace {

class ConnectionDefence : public ConnectionTest {
 protected:
  ConnectionDefence() { establish(); }
};

TEST_F(ConnectionDefence, ARstAtTheExactPlaceResets) {
  hear({.length = 100});
  EXPECT_TRUE(hear({.at = 100, .rst = true}).reset);
  EXPECT_EQ(connection().phase(), Phase::closed);
  EXPECT_EQ(connection().deadline(), kNever);
}

TEST_F(ConnectionDefence, ARstElsewhereInTheWindowIsChallenged) {
  EXPECT_FALSE(hear({.at = 1, .rst = true}).reset);
  EXPECT_EQ(connection().phase(), Phase::open);
  EXPECT_EQ(out(), "A 0:0 0");
}

TEST_F(ConnectionDefence, ARstOutsideTheWindowIsIgnored) {
  hear({.length = 100});
  static_cast<void>(out());
  EXPECT_FALSE(hear({.at = 99, .rst = true}).reset);
  EXPECT_FALSE(hear({.at = 5'000'000, .rst = true}).reset);
  EXPECT_EQ(out(), "");
}

TEST_F(ConnectionDefence, ASynIsChallengedWhereverItStands) {
  for (const std::uint32_t at : {0xffffffffU, 0U, 10U, 5'000'000U}) {
    const auto outcome = hear({.at = at, .syn = true});
    EXPECT_FALSE(outcome.reset || outcome.refuse);
    EXPECT_EQ(out(), "A 0:0 0") << at;
    pass(Connection::kChallengeInterval);
  }
}

TEST_F(ConnectionDefence, ChallengesAreLimited) {
  for (int i = 0; i < 100; ++i) hear({.at = 1, .rst = true});
  EXPECT_EQ(out(), "A 0:0 0");
  for (int i = 0; i < 100; ++i) hear({.at = 10, .syn = true});
  EXPECT_EQ(out(), "");
  pass(Connection::kChallengeInterval - 1ms);
  hear({.at = 10, .syn = true});
  EXPECT_EQ(out(), "");
  pass(1ms);
  hear({.at = 10, .syn = true});
  EXPECT_EQ(out(), "A 0:0 0");
}

TEST_F(ConnectionDefence, AnAckOfWhatWasNotSentIsChallengedAndItsDataIgnored) {
  hear({.ack = 1, .length = 10});
  EXPECT_EQ(grown_, 0U);
  EXPECT_EQ(out(), "A 0:0 0");
}

TEST_F(ConnectionDefence, ASegmentWithoutAckIsIgnored) {
  hear({.length = 10, .no_ack = true});
  EXPECT_EQ(grown_, 0U);
  EXPECT_EQ(out(), "");
}

TEST_F(ConnectionDefence, OldDataIsAcknowledgedAgain) {
  hear({.length = 100});
  static_cast<void>(out());
  hear({.length = 100});
  EXPECT_EQ(grown_, 100U);
  EXPECT_EQ(out(), "A 0:0 100");
}

TEST_F(ConnectionDefence, AKeepAliveIsAnswered) {
  hear({.at = 0xffffffffU});
  EXPECT_EQ(out(), "A 0:0 0");
}

TEST_F(ConnectionDefence, ABareAckIsNotAnswered) {
  hear({});
  EXPECT_EQ(out(), "");
}

TEST_F(ConnectionDefence, AfterTheEndSegmentsAreRefused) {
  connection().close();
  EXPECT_TRUE(hear({}).refuse);
  EXPECT_FALSE(hear({.rst = true}).refuse) << "never a RST for a RST";
}

// --- PAWS

class ConnectionTimestamps : public ConnectionTest {
 protected:
  ConnectionTimestamps() : ConnectionTest(true) { establish(); }
  wire::TcpSegment stamped(std::uint32_t value, const Say& say) const {
    wire::TcpSegment s = segment(say);
    s.options.timestamps = wire::TcpTimestamps{value, 0};
    return s;
  }
  std::uint32_t echoed() {
    hear_segment(
        stamped(timestamp_ + 1'000'000, {.at = 0xfffffff0U}));  // asks for an ACK, and counts for nothing
    EXPECT_TRUE(next());
    return last_->header.options.timestamps ? last_->header.options.timestamps->echo_reply : 0;
  }
};

TEST_F(ConnectionTimestamps, AnOlderTimestampIsOfAnotherTime) {
  hear_segment(stamped(timestamp_ - 1, {.length = 100}));
  EXPECT_EQ(grown_, 0U);
  EXPECT_EQ(out(), "A 0:0 0");
  hear_segment(stamped(timestamp_, {.length = 100}));
  EXPECT_EQ(grown_, 100U);
}

TEST_F(ConnectionTimestamps, TimestampsWrap) {
  hear_segment(stamped(timestamp_ + 0x7fffffff, {.length = 10}));
  static_cast<void>(out());
  hear_segment(stamped(timestamp_ + 0xfffffffe, {.at = 10, .length = 10}));
  EXPECT_EQ(grown_, 20U);
}

TEST_F(ConnectionTimestamps, ARstNeedsNone) {
  EXPECT_TRUE(hear_segment(stamped(timestamp_ - 1000, {.rst = true})).reset);
}

TEST_F(ConnectionTimestamps, EchoesTheOneOfTheSegmentThatMovedTheAck) {
  hear_segment(stamped(timestamp_ + 10, {.length = 100}));
  hear_segment(stamped(timestamp_ + 20, {.at = 100, .length = 100}));
  ASSERT_TRUE(next());
  EXPECT_EQ(last_->header.options.timestamps->echo_reply, timestamp_ + 10)
      << "RFC 7323 section 4.3: of the first of those that one ACK covers";
}

// RFC 7323 section 4.3 (2) comes after the check of the sequence number.
TEST_F(ConnectionTimestamps, WhatIsNotAcceptableBringsNoTimestamp) {
  EXPECT_EQ(echoed(), timestamp_);
  hear_segment(stamped(timestamp_ + 10, {.length = 100}));
  EXPECT_EQ(grown_, 100U) << "and so an old segment with a timestamp from the future stops nothing";
}

TEST_F(ConnectionTimestamps, OursTickWithTheClock) {
  hear({.length = 1});
  ASSERT_TRUE(next());
  const std::uint32_t before = last_->header.options.timestamps->value;
  pass(250ms);
  hear({.at = 1, .length = 1});
  ASSERT_TRUE(next());
  EXPECT_EQ(last_->header.options.timestamps->value - before, 250U);
}

}  // namespace
}  // namespace sf::tcp
