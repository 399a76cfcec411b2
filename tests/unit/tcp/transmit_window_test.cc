// TransmitHalf: what the guest's window and ACKs allow.
#include "unit/tcp/transmit_fixture.hh"

namespace sf::tcp {
namespace {

using AckVerdict = TransmitHalf::AckVerdict;

class TransmitWindow : public TransmitTest {};

TEST_F(TransmitWindow, SendsWhatIsQueuedOnce) {
  write(2500);
  EXPECT_EQ(send_all(), "0-2500");
  EXPECT_EQ(send_all(), "");
  write(500);
  EXPECT_EQ(send_all(), "2500-3000");
}

TEST_F(TransmitWindow, InSuperFramesOfAtMostTheGivenSize) {
  write(2500);
  EXPECT_EQ(send_all(1000), "0-1000 1000-2000 2000-2500");
}

TEST_F(TransmitWindow, NothingBeyondTheWindow) {
  write(60'000);
  EXPECT_EQ(send_all(), "0-50000");
  static_cast<void>(ack(10'000, 45'000));
  EXPECT_EQ(send_all(), "50000-55000");
}

TEST_F(TransmitWindow, AShrunkWindowHoldsBackWithoutUnderflow) {
  write(60'000);
  EXPECT_EQ(send_all(), "0-50000");
  static_cast<void>(ack(10'000, 1'000));
  EXPECT_EQ(send_all(), "");
  EXPECT_EQ(half_.room(queued_), 0U);
  static_cast<void>(ack(50'000, 5'000));
  EXPECT_EQ(send_all(), "50000-55000");
}

TEST_F(TransmitWindow, NeverMoreInFlightThanTheQueueHolds) {
  start(1 << 30);
  write(2 * TransmitHalf::kMaxInFlight);
  static_cast<void>(send_all());
  EXPECT_EQ(half_.in_flight(), TransmitHalf::kMaxInFlight);
}

// RFC 9293 section 3.10.7.4: the ACK that ends the handshake brings the first scaled window, whatever the
// guest's initial sequence number is.
TEST_F(TransmitWindow, TheFirstAckBringsItsWindow) {
  for (const std::uint32_t isn : {0U, 0x7fffffffU, 0x80000000U, 0xfffffff0U}) {
    half_ = TransmitHalf();
    half_.start(at(0), kMss, 500, Seq{isn});
    guest_seq_ = Seq{isn} + 1;
    static_cast<void>(ack(0, 40'000));
    EXPECT_EQ(half_.window(), 40'000U) << isn;
  }
}

TEST_F(TransmitWindow, AnOldSegmentsWindowIsNotTaken) {
  guest_seq_ = Seq{kGuestIsn + 101};
  static_cast<void>(ack(0, 40'000));
  guest_seq_ = Seq{kGuestIsn + 1};
  static_cast<void>(ack(0, 7));
  EXPECT_EQ(half_.window(), 40'000U);
}

TEST_F(TransmitWindow, AnUpdateWithoutAnythingElseIsTaken) {
  static_cast<void>(ack(0, 0));
  EXPECT_EQ(half_.window(), 0U);
  static_cast<void>(ack(0, 9'000));
  EXPECT_EQ(half_.window(), 9'000U);
}

TEST_F(TransmitWindow, AckedCountsBytes) {
  write(3000);
  static_cast<void>(send_all());
  const auto result = ack(1200);
  EXPECT_EQ(result.verdict, AckVerdict::ok);
  EXPECT_EQ(result.acked, 1200U);
  EXPECT_EQ(half_.in_flight(), 1800U);
}

TEST_F(TransmitWindow, AnAckOfWhatWasNeverSentIsInvalid) {
  write(1000);
  static_cast<void>(send_all());
  EXPECT_EQ(ack(1001).verdict, AckVerdict::invalid);
  EXPECT_EQ(half_.una(), at(0));
}

// RFC 5961 section 5.2.
TEST_F(TransmitWindow, AnAckFromFurtherBackThanTheLargestWindowIsInvalid) {
  start(1000);
  write(5000);
  for (std::uint32_t i = 1; i <= 5; ++i) {
    static_cast<void>(send_all());
    static_cast<void>(ack(1000 * i, 1000));
  }
  EXPECT_EQ(ack(4000).verdict, AckVerdict::old);
  EXPECT_EQ(ack(3999).verdict, AckVerdict::invalid);
  EXPECT_EQ(half_.window(), 1000U) << "neither brings a window";
}

// --- the sender's silly window avoidance (RFC 9293 section 3.8.6.2.1)

TEST_F(TransmitWindow, RoomIsWhatTheWindowLeaves) {
  EXPECT_EQ(half_.room(0), kWindow);
  EXPECT_EQ(half_.room(20'000), kWindow - 20'000);
  EXPECT_EQ(half_.room(kWindow + 1), 0U);
}

TEST_F(TransmitWindow, NoSmallReadWhileSomethingIsInFlight) {
  EXPECT_EQ(half_.room(kWindow - kMss), kMss);
  EXPECT_EQ(half_.room(kWindow - kMss + 1), 0U);
}

TEST_F(TransmitWindow, AGuestWithATinyWindowGetsItsBytes) {
  start(100);
  EXPECT_EQ(half_.room(0), 100U);
  write(100);
  EXPECT_EQ(send_all(), "0-100");
}

// --- FIN

TEST_F(TransmitWindow, TheFinFollowsWhatIsQueued) {
  write(1500);
  half_.finish();
  EXPECT_EQ(send_all(1000), "0-1000 1000-1500+F");
  EXPECT_EQ(send_all(), "");
  EXPECT_EQ(half_.room(queued_), 0U);
}

TEST_F(TransmitWindow, ABareFin) {
  half_.finish();
  EXPECT_EQ(send_all(), "0-0+F");
  EXPECT_TRUE(half_.fin_sent());
  const auto result = ack(1);
  EXPECT_EQ(result.acked, 0U) << "a FIN is not a byte";
  EXPECT_TRUE(half_.fin_acked());
  EXPECT_EQ(half_.deadline(), kNever);
  EXPECT_EQ(send_all(), "");
}

TEST_F(TransmitWindow, TheFinNeedsAWindow) {
  start(1000);
  write(1000);
  half_.finish();
  EXPECT_EQ(send_all(), "0-1000");
  static_cast<void>(ack(1000, 0));
  EXPECT_EQ(send_all(), "");
  static_cast<void>(ack(1000, 1));
  EXPECT_EQ(send_all(), "1000-1000+F");
}

TEST_F(TransmitWindow, AnAckOfAllButTheFin) {
  write(1000);
  half_.finish();
  static_cast<void>(send_all());
  EXPECT_EQ(ack(1000).acked, 1000U);
  EXPECT_FALSE(half_.fin_acked());
  EXPECT_NE(half_.deadline(), kNever) << "the FIN is in flight";
  EXPECT_EQ(send_all(), "");
  EXPECT_EQ(ack(1001).acked, 0U);
  EXPECT_TRUE(half_.fin_acked());
  EXPECT_EQ(ack(1001).acked, 0U) << "acknowledged again";
}

// What a super-frame above 64 KiB saves is lost where somebody has to cut it behind the TAP.
TEST_F(TransmitWindow, ABigFrameAcknowledgedInOneIsNotCut) {
  start(1'000'000);
  write(600'000);
  EXPECT_EQ(send_one(200'000), "0-200000");
  EXPECT_EQ(send_one(200'000), "200000-400000");
  ack(200'000, 1'000'000);
  ack(400'000, 1'000'000);
  EXPECT_EQ(send_one(200'000), "400000-600000");
  ack(600'000, 1'000'000);
  EXPECT_FALSE(half_.big_is_cut());
}

TEST_F(TransmitWindow, ABigFrameAcknowledgedInPartIsCut) {
  start(1'000'000);
  write(600'000);
  EXPECT_EQ(send_one(60'000), "0-60000");
  ack(30'000, 1'000'000);
  EXPECT_FALSE(half_.big_is_cut()) << "it was not a big one";
  EXPECT_EQ(send_one(200'000), "60000-260000");
  ack(60'000, 1'000'000);
  EXPECT_FALSE(half_.big_is_cut()) << "of the one before it";
  ack(62'000, 1'000'000);
  EXPECT_TRUE(half_.big_is_cut());
}

}  // namespace
}  // namespace sf::tcp
