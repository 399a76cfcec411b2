// Connection: the handshake, and what it agrees on.
#include "unit/tcp/connection_fixture.hh"

namespace sf::tcp {
namespace {

class ConnectionOpen : public ConnectionTest {};

TEST_F(ConnectionOpen, NothingIsSaidBeforeTheHostHasConnected) {
  begin();
  EXPECT_EQ(out(), "");
  EXPECT_EQ(connection().deadline(), kNever);
  EXPECT_EQ(connection().room(0), 0U);
  connection().host_connected(now_);
  EXPECT_EQ(out(), "SA -1:0 0");
  EXPECT_STREQ(connection().state_name(), "SYN-RECEIVED");
}

TEST_F(ConnectionOpen, TheGuestsAckOpensIt) {
  establish();
  EXPECT_STREQ(connection().state_name(), "ESTABLISHED");
  EXPECT_GT(connection().room(0), 0U);
}

TEST_F(ConnectionOpen, TheSynAckSaysWhatTheSynHasOffered) {
  syn_.options.timestamps = wire::TcpTimestamps{1234, 0};
  begin();
  connection().host_connected(now_);
  ASSERT_TRUE(next());
  const wire::TcpOptions& options = last_->header.options;
  EXPECT_EQ(options.mss, kOurMss);
  EXPECT_EQ(options.window_scale, Connection::kWindowScale);
  EXPECT_TRUE(options.sack_permitted);
  ASSERT_TRUE(options.timestamps);
  EXPECT_EQ(options.timestamps->echo_reply, 1234U);
  EXPECT_EQ(last_->header.window, 0xffff) << "never scaled in a SYN (RFC 7323 section 2.2)";
}

TEST_F(ConnectionOpen, TheSynAckEchoesTheSynThatCameLast) {
  syn_.options.timestamps = wire::TcpTimestamps{1234, 0};
  begin();
  syn_.options.timestamps = wire::TcpTimestamps{2234, 0};
  connection().on_segment(syn_, now_);
  connection().host_connected(now_);
  ASSERT_TRUE(next());
  EXPECT_EQ(last_->header.options.timestamps->echo_reply, 2234U);
}

TEST_F(ConnectionOpen, TheSynAckSaysNothingThatTheSynHasNot) {
  syn_.options = {};
  begin();
  connection().host_connected(now_);
  ASSERT_TRUE(next());
  const wire::TcpOptions& options = last_->header.options;
  EXPECT_TRUE(options.mss);
  EXPECT_FALSE(options.window_scale);
  EXPECT_FALSE(options.sack_permitted);
  EXPECT_FALSE(options.timestamps);
  EXPECT_EQ(connection().segment_size(), 536U) << "RFC 9293 section 3.7.1";
}

TEST_F(ConnectionOpen, SegmentsAreTheSmallerMssLessTheOptions) {
  syn_.options.mss = std::uint16_t{1400};
  begin();
  EXPECT_EQ(connection().segment_size(), 1400U);
  syn_.options.mss = std::uint16_t{9000};
  begin();
  EXPECT_EQ(connection().segment_size(), kOurMss);
  syn_.options.timestamps = wire::TcpTimestamps{1, 0};
  begin();
  EXPECT_EQ(connection().segment_size(), kOurMss - 12) << "RFC 6691";
  syn_.options.mss = std::uint16_t{0};
  begin();
  EXPECT_GE(connection().segment_size(), 24U) << "an MSS of nothing may not stop us";
}

TEST_F(ConnectionOpen, TheGuestsWindowIsScaledFromTheFirstAckOn) {
  syn_.options.window_scale = std::uint8_t{7};
  syn_.window = 100;
  begin();
  EXPECT_EQ(connection().transmit().window(), 100U);
  connection().host_connected(now_);
  static_cast<void>(next());
  hear({.window = 1000});
  EXPECT_EQ(connection().transmit().window(), 128'000U);
}

TEST_F(ConnectionOpen, AScaleAbove14Is14) {
  syn_.options.window_scale = std::uint8_t{200};
  begin();
  connection().host_connected(now_);
  static_cast<void>(next());
  hear({.window = 1});
  EXPECT_EQ(connection().transmit().window(), 16384U);
}

TEST_F(ConnectionOpen, TheSynAgainBringsTheSynAckAgain) {
  begin();
  connection().host_connected(now_);
  EXPECT_EQ(out(), "SA -1:0 0");
  EXPECT_EQ(out(), "");
  connection().on_segment(syn_, now_);
  EXPECT_EQ(out(), "SA -1:0 0");
}

TEST_F(ConnectionOpen, TheSynAgainWhileConnectingIsPatience) {
  begin();
  const auto outcome = connection().on_segment(syn_, now_);
  EXPECT_FALSE(outcome.reset || outcome.refuse);
  EXPECT_EQ(out(), "");
}

TEST_F(ConnectionOpen, TheSynAckIsSentAgainAndGivenUp) {
  begin();
  connection().host_connected(now_);
  static_cast<void>(out());
  Duration waited{};
  int sent = 0;
  while (true) {
    const Duration wait = connection().deadline() - now_;
    ASSERT_GT(wait, 0ms);
    waited += wait;
    if (!pass(wait)) break;
    EXPECT_EQ(out(), "SA -1:0 0");
    ASSERT_LT(++sent, 20);
  }
  EXPECT_EQ(sent, 5);
  EXPECT_EQ(waited, 63s);
  EXPECT_EQ(connection().phase(), Phase::closed);
}

TEST_F(ConnectionOpen, AWrongAckIsRefusedAndChangesNothing) {
  begin();
  connection().host_connected(now_);
  static_cast<void>(out());
  EXPECT_TRUE(hear({.ack = 5}).refuse);
  EXPECT_EQ(connection().phase(), Phase::syn_received);
  EXPECT_FALSE(hear({}).refuse);
  EXPECT_EQ(connection().phase(), Phase::open);
}

TEST_F(ConnectionOpen, DataMayComeWithTheAck) {
  begin();
  connection().host_connected(now_);
  static_cast<void>(out());
  hear({.length = 100, .fin = true});
  EXPECT_EQ(grown_, 100U);
  EXPECT_TRUE(connection().guest_finished());
  EXPECT_TRUE(pass(AckTiming::kFinDelay));
  EXPECT_EQ(out(), "A 0:0 101");
}

TEST_F(ConnectionOpen, ARstEndsWhatIsNotYetOpen) {
  begin();
  EXPECT_FALSE(hear({.at = 500, .rst = true}).reset);
  EXPECT_TRUE(hear({.rst = true}).reset);
  EXPECT_EQ(connection().phase(), Phase::closed);

  begin();
  connection().host_connected(now_);
  static_cast<void>(out());
  EXPECT_TRUE(hear({.rst = true}).reset);
  EXPECT_EQ(connection().phase(), Phase::closed);
}

TEST_F(ConnectionOpen, OurRstBeforeAnAnswerIsOneToTheSyn) {
  begin();
  const wire::TcpSegment reset = connection().reset_segment();
  EXPECT_TRUE(reset.flags.rst && reset.flags.ack);
  EXPECT_EQ(reset.sequence, 0U);
  EXPECT_EQ(reset.acknowledgment, kIrs + 1);
}

}  // namespace
}  // namespace sf::tcp
