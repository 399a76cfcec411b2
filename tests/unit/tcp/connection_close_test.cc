// Connection: the ways to end.
#include "unit/tcp/connection_fixture.hh"

namespace sf::tcp {
namespace {

class ConnectionClose : public ConnectionTest {
 protected:
  ConnectionClose() { establish(); }
};

TEST_F(ConnectionClose, TheGuestFirst) {
  hear({.length = 10, .fin = true});
  EXPECT_STREQ(connection().state_name(), "CLOSE-WAIT");
  EXPECT_TRUE(pass(AckTiming::kFinDelay));
  EXPECT_EQ(out(), "A 0:0 11");
  write(500);
  EXPECT_EQ(out(), "A 0:500 11") << "its other half is still open";
  connection().host_finished();
  EXPECT_EQ(out(), "FA 500:0 11");
  EXPECT_STREQ(connection().state_name(), "LAST-ACK");
  hear({.at = 11, .ack = 501});
  EXPECT_EQ(connection().phase(), Phase::closed);
}

TEST_F(ConnectionClose, TheHostFirst) {
  connection().host_finished();
  EXPECT_EQ(out(), "FA 0:0 0");
  EXPECT_STREQ(connection().state_name(), "FIN-WAIT-1");
  hear({.ack = 1});
  EXPECT_STREQ(connection().state_name(), "FIN-WAIT-2");
  hear({.ack = 1, .length = 3000});
  EXPECT_EQ(grown_, 3000U) << "its other half is still open";
  EXPECT_EQ(out(), "A 1:0 3000");
  hear({.at = 3000, .ack = 1, .fin = true});
  EXPECT_STREQ(connection().state_name(), "TIME-WAIT");
  EXPECT_EQ(out(), "A 1:0 3001");
  EXPECT_EQ(connection().deadline(), now_ + Connection::kTimeWait);
  EXPECT_TRUE(pass(Connection::kTimeWait));
  EXPECT_EQ(connection().phase(), Phase::closed);
}

TEST_F(ConnectionClose, BothAtOnce) {
  connection().host_finished();
  EXPECT_EQ(out(), "FA 0:0 0");
  hear({.fin = true});  // sent before ours arrived
  EXPECT_STREQ(connection().state_name(), "CLOSING");
  EXPECT_EQ(out(), "A 1:0 1");
  hear({.at = 1, .ack = 1});
  EXPECT_EQ(connection().phase(), Phase::time_wait);
}

TEST_F(ConnectionClose, TheGuestsFinAcknowledgesOurs) {
  connection().host_finished();
  EXPECT_EQ(out(), "FA 0:0 0");
  hear({.ack = 1, .fin = true});
  EXPECT_EQ(connection().phase(), Phase::time_wait);
  EXPECT_EQ(out(), "A 1:0 1");
}

TEST_F(ConnectionClose, ALostLastAckIsSaidAgain) {
  connection().host_finished();
  static_cast<void>(out());
  hear({.ack = 1, .fin = true});
  static_cast<void>(out());
  pass(Connection::kTimeWait - 1ms);
  hear({.ack = 1, .fin = true});
  EXPECT_EQ(out(), "A 1:0 1");
  EXPECT_EQ(connection().deadline(), now_ + Connection::kTimeWait) << "and TIME-WAIT begins again";
}

TEST_F(ConnectionClose, OurLostFinGoesAgain) {
  hear({.fin = true});
  connection().host_finished();
  EXPECT_EQ(out(), "FA 0:0 1");
  EXPECT_TRUE(pass(1s));
  EXPECT_EQ(out(), "FA 0:0 1");
  hear({.at = 1, .ack = 1});
  EXPECT_EQ(connection().phase(), Phase::closed);
}

TEST_F(ConnectionClose, AFinBehindAGapWaits) {
  hear({.at = 100, .length = 10, .fin = true});
  EXPECT_STREQ(connection().state_name(), "ESTABLISHED");
  hear({.length = 100});
  EXPECT_STREQ(connection().state_name(), "CLOSE-WAIT");
  EXPECT_EQ(grown_, 110U);
  EXPECT_TRUE(pass(AckTiming::kFinDelay));
  EXPECT_EQ(out(), "A 0:0 111");
}

TEST_F(ConnectionClose, AFinWithoutMemoryForItsBytesDoesNotCount) {
  const SegmentOutcome outcome = connection().on_segment(segment({.length = 100, .fin = true}), now_);
  connection().commit(outcome.plan, 50, now_);
  EXPECT_FALSE(connection().guest_finished());
  EXPECT_EQ(out(), "A 0:0 50");
}

TEST_F(ConnectionClose, DataBehindTheFinIsNotTaken) {
  hear({.length = 10, .fin = true});
  hear({.at = 11, .length = 100});
  EXPECT_EQ(grown_, 10U);
}

TEST_F(ConnectionClose, ATimeWaitThatIsReset) {
  connection().host_finished();
  static_cast<void>(out());
  hear({.ack = 1, .fin = true});
  EXPECT_TRUE(hear({.at = 1, .rst = true}).reset);
  EXPECT_EQ(connection().phase(), Phase::closed);
}

// A guest that vanished after its FIN or after ours must not keep the flow for hours.
TEST_F(ConnectionClose, AHalfClosedGuestIsAskedSoonerWhetherItIsThere) {
  hear({.fin = true});
  const Time heard = now_;
  EXPECT_TRUE(pass(AckTiming::kFinDelay));
  static_cast<void>(out());
  EXPECT_EQ(connection().deadline(), heard + Connection::kKeepAliveClosing);
  EXPECT_TRUE(pass(Connection::kKeepAliveClosing));
  EXPECT_EQ(out(), "A -1:0 1");
  hear({.at = 1});
  EXPECT_EQ(connection().deadline(), now_ + Connection::kKeepAliveClosing);
}

TEST_F(ConnectionClose, SoIsOneThatOurFinHasReached) {
  connection().host_finished();
  static_cast<void>(out());
  hear({.ack = 1});
  EXPECT_EQ(connection().deadline(), now_ + Connection::kKeepAliveClosing);
}

TEST_F(ConnectionClose, OurRstStandsWhereTheGuestAcceptsIt) {
  hear({.length = 10});
  write(1000);
  static_cast<void>(out());
  const wire::TcpSegment reset = connection().reset_segment();
  EXPECT_EQ(reset.sequence, kIss + 1 + 1000);
  EXPECT_EQ(reset.acknowledgment, kIrs + 1 + 10);
}

}  // namespace
}  // namespace sf::tcp
