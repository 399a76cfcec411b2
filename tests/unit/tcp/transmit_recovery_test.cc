// TransmitHalf: what is sent again, and when (RFC 5681, 6582, 2018).
#include "unit/tcp/transmit_fixture.hh"

namespace sf::tcp {
namespace {

class TransmitRecovery : public TransmitTest {
 protected:
  TransmitRecovery() {
    write(20'000);
    static_cast<void>(send_all(1000));
  }
};

TEST_F(TransmitRecovery, TwoDuplicatesAreNotALoss) {
  duplicates(2, 0);
  EXPECT_EQ(send_all(), "");
}

TEST_F(TransmitRecovery, TheThirdSendsOneSegmentAgain) {
  duplicates(3, 0);
  EXPECT_EQ(send_all(), "R0-1000");
  duplicates(5, 0);
  EXPECT_EQ(send_all(), "") << "once";
}

TEST_F(TransmitRecovery, AnAckBetweenBeginsTheCountAgain) {
  duplicates(2, 0);
  static_cast<void>(ack(1000));
  duplicates(2, 1000);
  EXPECT_EQ(send_all(), "");
}

TEST_F(TransmitRecovery, WhatCarriesPayloadOrAWindowIsNoDuplicate) {
  for (int i = 0; i < 5; ++i) static_cast<void>(ack(0, kWindow, {}, false));
  for (std::uint32_t i = 1; i < 6; ++i) static_cast<void>(ack(0, kWindow + i));
  EXPECT_EQ(send_all(), "");
}

TEST_F(TransmitRecovery, WithNothingInFlightThereAreNoDuplicates) {
  static_cast<void>(ack(20'000));
  duplicates(10, 20'000);
  write(5000);
  EXPECT_EQ(send_all(), "20000-25000");
}

// RFC 6582 section 3.2 step 3: each partial ACK shows the next hole.
TEST_F(TransmitRecovery, APartialAckSendsTheNextHole) {
  duplicates(3, 0);
  EXPECT_EQ(send_all(), "R0-1000");
  static_cast<void>(ack(5000));
  EXPECT_EQ(send_all(), "R5000-6000");
  static_cast<void>(ack(8000));
  EXPECT_EQ(send_all(), "R8000-9000");
  static_cast<void>(ack(20'000));
  EXPECT_EQ(send_all(), "");
  write(1000);
  EXPECT_EQ(send_all(), "20000-21000");
}

TEST_F(TransmitRecovery, NothingNewIsReadWhileARecoveryIsUnderWay) {
  duplicates(3, 0);
  EXPECT_EQ(half_.room(queued_), 0U);
  static_cast<void>(ack(20'000));
  EXPECT_GT(half_.room(queued_), 0U);
}

TEST_F(TransmitRecovery, TheCongestionWindowIsHalvedAndGrowsBack) {
  duplicates(3, 0);
  static_cast<void>(send_all());
  static_cast<void>(ack(20'000));
  write(60'000);
  EXPECT_EQ(send_all(), "20000-30000") << "half of the 20,000 that were in flight";
  std::uint32_t acked = 20'000;
  for (int i = 0; i < 200 && half_.in_flight() < kWindow; ++i) {
    acked += half_.in_flight();
    static_cast<void>(ack(acked));
    write(60'000);
    static_cast<void>(send_all());
  }
  EXPECT_EQ(half_.in_flight(), kWindow);
}

// --- SACK

TEST_F(TransmitRecovery, SackTellsTheHoles) {
  static_cast<void>(ack(0, kWindow, {{1000, 3000}, {5000, 6000}}));
  EXPECT_EQ(send_all(), "R0-1000 R3000-5000")
      << "more than two segments beyond the hole: no need for a third";
  static_cast<void>(ack(6000));
  EXPECT_EQ(send_all(), "R6000-7000") << "partial: what follows the highest block was lost as well";
}

TEST_F(TransmitRecovery, NewBlocksShowNewHoles) {
  static_cast<void>(ack(0, kWindow, {{1000, 4000}}));
  EXPECT_EQ(send_all(), "R0-1000");
  static_cast<void>(ack(0, kWindow, {{6000, 7000}, {1000, 4000}}));
  EXPECT_EQ(send_all(), "R4000-6000") << "and the first one not again";
}

TEST_F(TransmitRecovery, BlocksCountAlsoWhereTheWindowChanges) {
  static_cast<void>(ack(0, kWindow + 16, {{1000, 2000}}));
  static_cast<void>(ack(0, kWindow + 32, {{1000, 3000}}));
  static_cast<void>(ack(0, kWindow + 48, {{1000, 4000}}));
  EXPECT_EQ(send_all(), "R0-1000") << "RFC 6675 section 2: a duplicate is what brings new blocks";
}

TEST_F(TransmitRecovery, BlocksThatMakeNoSenseAreIgnored) {
  static_cast<void>(ack(5000));
  static_cast<void>(ack(5000, kWindow, {{1000, 4000}}));      // a duplicate report (RFC 2883)
  static_cast<void>(ack(5000, kWindow, {{19'000, 29'000}}));  // never sent
  static_cast<void>(ack(5000, kWindow, {{12'000, 8000}}));    // the wrong way round
  EXPECT_EQ(send_all(), "R5000-6000") << "three duplicates, and no block";
}

// --- time-outs

TEST_F(TransmitRecovery, ATimeOutSendsAllAgainFromOneSegment) {
  pass(1s);
  EXPECT_EQ(half_.on_deadline(now_), TransmitHalf::TimeoutResult::retransmit);
  EXPECT_EQ(send_all(), "R0-1000");
  static_cast<void>(ack(1000));
  EXPECT_EQ(send_all(), "R1000-3000") << "RFC 5681 section 3.1: slow start";
  static_cast<void>(ack(3000));
  EXPECT_EQ(send_all(), "R3000-7000");
}

TEST_F(TransmitRecovery, ATimeOutForgetsBlocks) {
  static_cast<void>(ack(0, kWindow, {{1000, 2000}}));
  pass(1s);
  static_cast<void>(half_.on_deadline(now_));
  static_cast<void>(ack(1000));
  EXPECT_EQ(send_one(), "R1000-3000") << "RFC 2018 section 8: the guest may have thrown them away";
}

TEST_F(TransmitRecovery, AfterATimeOutNewBlocksAreSkipped) {
  pass(1s);
  static_cast<void>(half_.on_deadline(now_));
  EXPECT_EQ(send_all(), "R0-1000");
  static_cast<void>(ack(1000, kWindow, {{2000, 19'000}}));
  EXPECT_EQ(send_all(), "R1000-2000");
  static_cast<void>(ack(19'000));
  EXPECT_EQ(send_all(), "R19000-20000");
  static_cast<void>(ack(20'000));
  EXPECT_EQ(half_.deadline(), kNever);
  write(1000);
  EXPECT_EQ(send_all(), "20000-21000");
}

TEST_F(TransmitRecovery, AnAckOfAllEndsATimeOutAtOnce) {
  pass(1s);
  static_cast<void>(half_.on_deadline(now_));
  static_cast<void>(ack(20'000));
  write(5000);
  EXPECT_EQ(send_all(), "20000-25000");
}

TEST_F(TransmitRecovery, ALostRetransmissionTimesOut) {
  duplicates(3, 0);
  EXPECT_EQ(send_all(), "R0-1000");
  const Time deadline = half_.deadline();
  ASSERT_NE(deadline, kNever);
  now_ = deadline;
  EXPECT_EQ(half_.on_deadline(now_), TransmitHalf::TimeoutResult::retransmit);
  EXPECT_EQ(send_all(), "R0-1000");
}

// --- FIN

TEST_F(TransmitRecovery, ALostFinGoesAgainByItself) {
  static_cast<void>(ack(20'000));
  half_.finish();
  EXPECT_EQ(send_all(), "20000-20000+F");
  pass(1s);
  static_cast<void>(half_.on_deadline(now_));
  EXPECT_EQ(send_all(), "R20000-20000+F");
  static_cast<void>(ack(20'001));
  EXPECT_TRUE(half_.fin_acked());
  EXPECT_EQ(half_.deadline(), kNever);
}

TEST_F(TransmitRecovery, ALostFinGoesAgainWithItsData) {
  half_.finish();
  EXPECT_EQ(send_all(), "20000-20000+F");
  static_cast<void>(ack(19'500));
  pass(1s);
  static_cast<void>(half_.on_deadline(now_));
  EXPECT_EQ(send_all(), "R19500-20000+F");
}

TEST_F(TransmitRecovery, ALastSegmentThatEndsWhereTheFinBegins) {
  half_.finish();
  static_cast<void>(send_all());
  static_cast<void>(ack(19'000));
  pass(1s);
  static_cast<void>(half_.on_deadline(now_));
  EXPECT_EQ(send_all(), "R19000-20000") << "one segment";
  static_cast<void>(ack(20'000));
  EXPECT_EQ(send_all(), "R20000-20000+F");
}

TEST_F(TransmitRecovery, CountsWhatItSentAgain) {
  duplicates(3, 0);
  static_cast<void>(send_all());
  EXPECT_EQ(half_.retransmissions(), 1U);
}

}  // namespace
}  // namespace sf::tcp
