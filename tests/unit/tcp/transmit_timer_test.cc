// TransmitHalf and RttEstimator: time-outs, their growth, probing a shut window (RFC 6298, RFC 9293
// section 3.8.6.1).
#include "unit/tcp/transmit_fixture.hh"

namespace sf::tcp {
namespace {

using TimeoutResult = TransmitHalf::TimeoutResult;

TEST(RttEstimator, BeginsWithOneSecond) {
  EXPECT_EQ(RttEstimator().rto(), 1s);
}

TEST(RttEstimator, TheFirstSample) {
  RttEstimator rtt;
  rtt.sample(200ms);
  EXPECT_EQ(rtt.smoothed(), 200ms);
  EXPECT_EQ(rtt.rto(), 600ms);  // R + 4 * R/2
}

TEST(RttEstimator, LaterSamplesAreSmoothed) {
  RttEstimator rtt;
  rtt.sample(200ms);
  rtt.sample(400ms);
  EXPECT_EQ(rtt.smoothed(), 225ms);
  EXPECT_EQ(rtt.rto(), 225ms + 4 * 125ms);  // 3/4 * 100 + 1/4 * 200
}

TEST(RttEstimator, HasAFloorAndACeiling) {
  RttEstimator rtt;
  rtt.sample(10us);
  EXPECT_EQ(rtt.rto(), RttEstimator::kMinRto);
  for (int i = 0; i < 30; ++i) rtt.back_off();
  EXPECT_EQ(rtt.rto(), RttEstimator::kMaxRto);
  rtt.sample(10us);
  EXPECT_EQ(rtt.rto(), RttEstimator::kMinRto) << "a sample ends the backing off";
}

class TransmitTimer : public TransmitTest {};

TEST_F(TransmitTimer, NothingInFlightNoTimer) {
  EXPECT_EQ(half_.deadline(), kNever);
  EXPECT_EQ(half_.on_deadline(now_), TimeoutResult::nothing);
}

TEST_F(TransmitTimer, RunsFromTheFirstSegmentInFlight) {
  write(1000);
  static_cast<void>(send_all());
  EXPECT_EQ(half_.deadline(), now_ + 1s);
  pass(400ms);
  write(1000);
  static_cast<void>(send_all());
  EXPECT_EQ(half_.deadline(), now_ + 600ms) << "RFC 6298 (5.1): it runs already";
}

TEST_F(TransmitTimer, AnAckBeginsItAnewAndTheLastEndsIt) {
  write(2000);
  static_cast<void>(send_all(1000));
  pass(10ms);
  static_cast<void>(ack(1000));
  EXPECT_EQ(half_.deadline(), now_ + RttEstimator::kMinRto);
  static_cast<void>(ack(2000));
  EXPECT_EQ(half_.deadline(), kNever);
}

TEST_F(TransmitTimer, BacksOff) {
  write(1000);
  static_cast<void>(send_all());
  Duration last{};
  for (int i = 0; i < 5; ++i) {
    const Duration wait = half_.deadline() - now_;
    EXPECT_EQ(wait, i == 0 ? Duration(1s) : 2 * last);
    last = wait;
    now_ = half_.deadline();
    EXPECT_EQ(half_.on_deadline(now_), TimeoutResult::retransmit);
    EXPECT_GT(half_.deadline(), now_);
    EXPECT_EQ(send_all(), "R0-1000");
  }
}

TEST_F(TransmitTimer, GivesUpInTheEnd) {
  write(1000);
  static_cast<void>(send_all());
  for (int i = 0; i < TransmitHalf::kMaxTimeouts; ++i) {
    now_ = half_.deadline();
    ASSERT_EQ(half_.on_deadline(now_), TimeoutResult::retransmit);
    static_cast<void>(send_all());
  }
  now_ = half_.deadline();
  EXPECT_EQ(half_.on_deadline(now_), TimeoutResult::give_up);
}

TEST_F(TransmitTimer, AnyAckShowsThatTheGuestIsAlive) {
  write(1000);
  static_cast<void>(send_all());
  for (int i = 0; i < 3 * TransmitHalf::kMaxTimeouts; ++i) {
    now_ = half_.deadline();
    ASSERT_EQ(half_.on_deadline(now_), TimeoutResult::retransmit);
    static_cast<void>(send_all());
    static_cast<void>(ack(0, 0));
  }
}

// --- samples

TEST_F(TransmitTimer, TakesOneSampleAtATime) {
  write(1000);
  static_cast<void>(send_all());
  pass(50ms);
  write(1000);
  static_cast<void>(send_all());
  pass(50ms);
  static_cast<void>(ack(2000));
  EXPECT_EQ(half_.rtt().smoothed(), 100ms);
}

TEST_F(TransmitTimer, APartialAckIsNoSample) {
  write(2000);
  static_cast<void>(send_all());
  pass(50ms);
  static_cast<void>(ack(1000));
  EXPECT_EQ(half_.rtt().smoothed(), 0ms);
  pass(50ms);
  static_cast<void>(ack(2000));
  EXPECT_EQ(half_.rtt().smoothed(), 100ms);
}

// RFC 6298 section 3: Karn's algorithm.
TEST_F(TransmitTimer, WhatIsSentTwiceTimesNothing) {
  write(1000);
  static_cast<void>(send_all());
  now_ = half_.deadline();
  static_cast<void>(half_.on_deadline(now_));
  static_cast<void>(send_all());
  pass(1ms);
  static_cast<void>(ack(1000));
  EXPECT_EQ(half_.rtt().smoothed(), 0ms);
  EXPECT_EQ(half_.rtt().rto(), 2s) << "RFC 6298 (5.7): the longer time-out stays until there is a sample";
}

// --- the persist timer

class TransmitPersist : public TransmitTest {
 protected:
  TransmitPersist() {
    static_cast<void>(ack(0, 0));
    write(1000);
  }
};

TEST_F(TransmitPersist, AShutWindowIsProbed) {
  EXPECT_EQ(send_all(), "");
  half_.set_blocked(true, now_);
  EXPECT_EQ(half_.deadline(), now_ + TransmitHalf::kPersistFirst);
  pass(TransmitHalf::kPersistFirst - 1ms);
  EXPECT_EQ(half_.on_deadline(now_), TimeoutResult::nothing);
  pass(1ms);
  EXPECT_EQ(half_.on_deadline(now_), TimeoutResult::probe);
  EXPECT_EQ(half_.deadline(), now_ + 2 * TransmitHalf::kPersistFirst);
}

TEST_F(TransmitPersist, BeingToldAgainDoesNotPutItOff) {
  half_.set_blocked(true, now_);
  const Time deadline = half_.deadline();
  pass(100ms);
  half_.set_blocked(true, now_);
  EXPECT_EQ(half_.deadline(), deadline);
}

TEST_F(TransmitPersist, BacksOffToItsMost) {
  half_.set_blocked(true, now_);
  for (int i = 0; i < 30; ++i) {
    now_ = half_.deadline();
    ASSERT_EQ(half_.on_deadline(now_), TimeoutResult::probe);
    ASSERT_GT(half_.deadline(), now_);
    static_cast<void>(ack(0, 0));
    half_.set_blocked(true, now_);
  }
  EXPECT_EQ(half_.deadline(), now_ + TransmitHalf::kPersistMost);
}

TEST_F(TransmitPersist, AGuestThatAnswersNoProbeIsGivenUp) {
  half_.set_blocked(true, now_);
  for (int i = 0; i < TransmitHalf::kMaxTimeouts; ++i) {
    now_ = half_.deadline();
    ASSERT_EQ(half_.on_deadline(now_), TimeoutResult::probe);
  }
  now_ = half_.deadline();
  EXPECT_EQ(half_.on_deadline(now_), TimeoutResult::give_up);
}

TEST_F(TransmitPersist, AnOpenedWindowEndsIt) {
  half_.set_blocked(true, now_);
  static_cast<void>(ack(0, 5000));
  EXPECT_EQ(send_all(), "0-1000");
  half_.set_blocked(false, now_);
  static_cast<void>(ack(1000));
  EXPECT_EQ(half_.deadline(), kNever);
}

TEST_F(TransmitPersist, WithSomethingInFlightTheRetransmissionAsks) {
  static_cast<void>(ack(0, 500));
  EXPECT_EQ(send_all(), "0-500");
  half_.set_blocked(true, now_);
  now_ = half_.deadline();
  EXPECT_EQ(half_.on_deadline(now_), TimeoutResult::retransmit);
}

}  // namespace
}  // namespace sf::tcp
