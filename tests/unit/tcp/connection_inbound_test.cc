// Connection: opened from outside, through a published port.
#include "unit/tcp/connection_fixture.hh"

namespace sf::tcp {
namespace {

class ConnectionInbound : public ConnectionTest {
 protected:
  ConnectionInbound() { connection_.emplace(Opening{Seq{kIss}, 77, kOurMss, kOurMss}, now_); }

  // The guest's answer.
  wire::TcpSegment syn_ack() const {
    wire::TcpSegment s = syn_;
    s.flags.ack = true;
    s.acknowledgment = kIss + 1;
    return s;
  }
};

TEST_F(ConnectionInbound, BeginsWithASyn) {
  ASSERT_TRUE(next());
  const wire::TcpSegment& syn = last_->header;
  EXPECT_TRUE(syn.flags.syn);
  EXPECT_FALSE(syn.flags.ack);
  EXPECT_EQ(syn.sequence, kIss);
  EXPECT_EQ(syn.window, 0xffff);
  EXPECT_EQ(syn.options.mss, kOurMss);
  EXPECT_EQ(syn.options.window_scale, Connection::kWindowScale);
  EXPECT_TRUE(syn.options.sack_permitted);
  EXPECT_TRUE(syn.options.timestamps);
  EXPECT_EQ(out(), "");
  EXPECT_STREQ(connection().state_name(), "SYN-SENT");
  EXPECT_EQ(connection().room(0), 0U);
}

TEST_F(ConnectionInbound, TheGuestsSynAckOpensIt) {
  ASSERT_TRUE(next());
  write(100'000);
  EXPECT_EQ(out(), "");
  hear_segment(syn_ack());
  EXPECT_EQ(connection().phase(), Phase::open);
  connection().set_held(0, Connection::kCapacity);
  EXPECT_EQ(out(), "A 0:64000 0; A 64000:1535 0") << "as much as the unscaled window of a SYN-ACK allows";
  EXPECT_EQ(connection().segment_size(), 1460U);
  hear({.length = 1000});
  EXPECT_EQ(grown_, 1000U);
}

TEST_F(ConnectionInbound, AcknowledgesTheSynAckAtOnce) {
  ASSERT_TRUE(next());
  hear_segment(syn_ack());
  EXPECT_EQ(out(), "A 0:0 0");
}

TEST_F(ConnectionInbound, OnlyWhatBothOfferIsUsed) {
  ASSERT_TRUE(next());
  syn_.options = {};
  hear_segment(syn_ack());
  ASSERT_TRUE(next());
  EXPECT_FALSE(last_->header.options.timestamps);
  EXPECT_EQ(connection().segment_size(), 536U) << "RFC 9293 section 3.7.1";
  hear({.at = 1000, .length = 100});
  ASSERT_TRUE(next());
  EXPECT_EQ(last_->header.options.sack_count, 0U);
}

TEST_F(ConnectionInbound, TheSynIsRepeatedAndThenGivenUp) {
  ASSERT_TRUE(next());
  int again = 0;
  while (pass(connection().deadline() - now_)) {
    ASSERT_TRUE(next());
    EXPECT_TRUE(last_->header.flags.syn);
    ASSERT_LT(++again, 20);
  }
  EXPECT_EQ(again, 5);
  EXPECT_EQ(connection().phase(), Phase::closed);
}

TEST_F(ConnectionInbound, ARefusalEndsIt) {
  ASSERT_TRUE(next());
  wire::TcpSegment rst = syn_ack();
  rst.flags.syn = false;
  rst.flags.rst = true;
  EXPECT_TRUE(hear_segment(rst).reset);
  EXPECT_EQ(connection().phase(), Phase::closed);
}

TEST_F(ConnectionInbound, ABlindRstDoesNot) {
  ASSERT_TRUE(next());
  wire::TcpSegment rst = syn_ack();
  rst.flags.syn = false;
  rst.flags.rst = true;
  rst.acknowledgment = kIss + 2;
  SegmentOutcome outcome = hear_segment(rst);
  EXPECT_FALSE(outcome.reset);
  EXPECT_FALSE(outcome.refuse);
  rst.flags.ack = false;
  EXPECT_FALSE(hear_segment(rst).reset);
  EXPECT_EQ(connection().phase(), Phase::syn_sent);
}

TEST_F(ConnectionInbound, AnAckOfSomethingElseIsRefused) {
  ASSERT_TRUE(next());
  wire::TcpSegment other = syn_ack();
  other.acknowledgment = kIss + 5;
  EXPECT_TRUE(hear_segment(other).refuse);
  EXPECT_EQ(connection().phase(), Phase::syn_sent);
}

TEST_F(ConnectionInbound, ItsResetBeforeTheAnswerIsOneThatAListenerAccepts) {
  ASSERT_TRUE(next());
  const wire::TcpSegment reset = connection().reset_segment();
  EXPECT_TRUE(reset.flags.rst);
  EXPECT_FALSE(reset.flags.ack);
  EXPECT_EQ(reset.sequence, kIss + 1);
}

TEST_F(ConnectionInbound, AnEndThatCameBeforeTheAnswerFollowsTheBytes) {
  ASSERT_TRUE(next());
  write(10);
  connection().host_finished();
  hear_segment(syn_ack());
  connection().set_held(0, Connection::kCapacity);
  EXPECT_EQ(out(), "FA 0:10 0");
}

}  // namespace
}  // namespace sf::tcp
