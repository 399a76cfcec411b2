// ReceiveHalf: which bytes count, what is acknowledged, what window is offered.
#include "tcp/receive.hh"

#include <gtest/gtest.h>

namespace sf::tcp {
namespace {

constexpr std::uint32_t kIsn = 0xfffffc00U;  // so that every test crosses the wrap
constexpr std::uint32_t kWindow = 4096;

// Positions are counted from the first payload byte.
class Receive : public testing::Test {
 protected:
  Receive() {
    half_.start(Seq{kIsn}, 4);
    half_.allow(kWindow);
  }
  static Seq at(std::uint32_t position) { return Seq{kIsn} + 1 + position; }
  ReceivePlan plan(std::uint32_t position, std::uint32_t length, bool fin = false) const {
    return half_.plan(at(position), length, fin);
  }
  // A segment whose bytes are all stored. Returns by how much the in-order stream has grown.
  std::uint32_t segment(std::uint32_t position, std::uint32_t length, bool fin = false) {
    const ReceivePlan p = plan(position, length, fin);
    return half_.commit(p, p.take);
  }
  std::uint32_t next() const { return half_.next() - at(0); }
  std::uint32_t right_edge() const { return half_.right_edge() - at(0); }

  ReceiveHalf half_;
};

TEST_F(Receive, InOrder) {
  EXPECT_EQ(segment(0, 1000), 1000U);
  EXPECT_EQ(segment(1000, 500), 500U);
  EXPECT_EQ(next(), 1500U);
}

TEST_F(Receive, WhatIsHereAlreadyIsSkipped) {
  segment(0, 1000);
  const ReceivePlan p = plan(400, 1000);
  EXPECT_TRUE(p.acceptable);
  EXPECT_EQ(p.skip, 600U);
  EXPECT_EQ(p.take, 400U);
  EXPECT_EQ(p.offset, 0U);
}

TEST_F(Receive, AnOldSegmentIsNotAcceptable) {
  segment(0, 1000);
  EXPECT_FALSE(plan(0, 999).acceptable);
  EXPECT_FALSE(plan(999, 0).acceptable) << "a keep-alive";
  // Ending exactly at rcv_nxt it brings nothing, but its ACK counts.
  const ReceivePlan p = plan(0, 1000);
  EXPECT_EQ(p.take, 0U);
  EXPECT_EQ(p.skip, 1000U);
}

TEST_F(Receive, WhatIsBeyondTheWindowIsCut) {
  const ReceivePlan p = plan(4000, 200);
  EXPECT_EQ(p.take, 96U);
  EXPECT_EQ(p.offset, 4000U);
  EXPECT_FALSE(plan(4097, 1).acceptable);
  const ReceivePlan edge = plan(4096, 1);
  EXPECT_TRUE(edge.acceptable) << "a probe of a full window; its ACK counts";
  EXPECT_EQ(edge.take, 0U);
}

TEST_F(Receive, OutOfOrderIsHeldUntilTheGapIsFilled) {
  EXPECT_EQ(segment(1000, 500), 0U);
  EXPECT_EQ(next(), 0U);
  ASSERT_EQ(half_.out_of_order().size(), 1U);
  EXPECT_EQ(half_.out_of_order()[0].left, at(1000));
  EXPECT_EQ(half_.out_of_order()[0].right, at(1500));
  EXPECT_EQ(segment(0, 1000), 1500U);
  EXPECT_TRUE(half_.out_of_order().empty());
}

TEST_F(Receive, AGapFilledPastItsEnd) {
  segment(1000, 500);
  EXPECT_EQ(segment(0, 1200), 1500U);
  EXPECT_TRUE(half_.out_of_order().empty());
}

TEST_F(Receive, TwoGaps) {
  segment(1000, 100);
  segment(2000, 100);
  EXPECT_EQ(segment(0, 1000), 1100U);
  EXPECT_EQ(segment(1100, 900), 1000U);
  EXPECT_EQ(next(), 2100U);
}

TEST_F(Receive, MoreGapsThanCanBeRememberedAreLeftToTheGuest) {
  for (std::uint32_t i = 1; i <= Ranges::kMax; ++i) segment(100 * i, 10);
  EXPECT_EQ(plan(3000, 10, true).take, 0U);
  EXPECT_FALSE(plan(3000, 10, true).fin) << "a FIN behind bytes that are not kept does not count";
  EXPECT_EQ(plan(110, 10).take, 10U) << "one that touches another needs no slot";
}

TEST_F(Receive, BytesThatFoundNoMemoryAreNotAcknowledged) {
  ReceivePlan p = plan(0, 1000, true);
  EXPECT_EQ(half_.commit(p, 300), 300U);
  EXPECT_EQ(next(), 300U);
  EXPECT_FALSE(half_.finished());
  p = plan(1000, 1000);
  EXPECT_EQ(half_.commit(p, 0), 0U);
  EXPECT_TRUE(half_.out_of_order().empty());
  EXPECT_EQ(segment(300, 700, true), 700U);
  EXPECT_TRUE(half_.finished());
}

TEST_F(Receive, AFinTakesASequenceNumber) {
  EXPECT_EQ(segment(0, 10, true), 10U) << "which is not a byte";
  EXPECT_TRUE(half_.finished());
  EXPECT_EQ(next(), 11U);
}

TEST_F(Receive, AFinOutOfOrderWaits) {
  segment(10, 10, true);
  EXPECT_FALSE(half_.finished());
  EXPECT_EQ(segment(0, 10), 20U);
  EXPECT_TRUE(half_.finished());
  EXPECT_EQ(next(), 21U);
}

TEST_F(Receive, ABareFinOutOfOrderWaits) {
  segment(20, 0, true);
  EXPECT_FALSE(half_.finished());
  EXPECT_EQ(segment(0, 20), 20U);
  EXPECT_TRUE(half_.finished());
}

TEST_F(Receive, AFinCountsJustBehindAFullWindow) {
  segment(0, kWindow, true);
  EXPECT_TRUE(half_.finished());
  EXPECT_EQ(half_.offer_window(0, 0), 0U);
}

TEST_F(Receive, AFinBehindCutBytesDoesNotCount) {
  EXPECT_FALSE(plan(4000, 200, true).fin);
  EXPECT_FALSE(plan(4097, 0, true).acceptable);
}

TEST_F(Receive, NothingIsTakenPastTheFin) {
  segment(10, 10, true);
  EXPECT_EQ(plan(15, 100).take, 5U);
  EXPECT_FALSE(plan(5, 200, true).fin) << "another FIN elsewhere";
  segment(0, 10);
  EXPECT_EQ(plan(21, 100).take, 0U);
}

TEST_F(Receive, TheFinAgainIsAcceptableAndDoesNothing) {
  segment(0, 10, true);
  const ReceivePlan again = plan(0, 10, true);
  EXPECT_TRUE(again.acceptable);
  EXPECT_EQ(again.take, 0U);
  EXPECT_FALSE(again.fin);
  EXPECT_EQ(half_.commit(again, 0), 0U);
  EXPECT_EQ(next(), 11U);
}

// --- windows

TEST_F(Receive, TheWindowIsScaled) {
  EXPECT_EQ(half_.offer_window(65536, 65536), 4096U);
  EXPECT_EQ(right_edge(), 65536U);
}

TEST_F(Receive, TheWindowIsRoundedDown) {
  EXPECT_EQ(half_.offer_window(8207, 8207), 512U);
  EXPECT_EQ(right_edge(), 8192U);
}

TEST_F(Receive, TheFieldHas16Bits) {
  ReceiveHalf unscaled;
  unscaled.start(Seq{kIsn}, 0);
  EXPECT_EQ(unscaled.offer_window(1 << 20, 1 << 20), 0xffffU);
  EXPECT_EQ(unscaled.right_edge() - unscaled.next(), 0xffffU);
}

TEST_F(Receive, TheRightEdgeNeverMovesBack) {
  EXPECT_EQ(half_.offer_window(100, 65536), kWindow >> 4);
  EXPECT_EQ(right_edge(), kWindow);
  segment(0, 4000);
  EXPECT_EQ(half_.offer_window(0, 65536), 6U) << "96 bytes were promised";
  segment(4000, 90);
  EXPECT_EQ(half_.offer_window(0, 65536), 1U) << "6 bytes were promised: rounded up";
  EXPECT_GE(right_edge(), kWindow);
}

TEST_F(Receive, RoundingUpStopsWhereMemoryEnds) {
  segment(0, 4090);
  EXPECT_EQ(half_.offer_window(0, 15), 0U);
  EXPECT_EQ(right_edge(), kWindow);
  EXPECT_EQ(segment(4090, 10), 6U) << "what was promised is still taken";
}

TEST_F(Receive, ByteByByteThePromiseHolds) {
  constexpr std::uint32_t kHard = 8192;
  std::uint32_t edge = right_edge();
  for (std::uint32_t i = 0; i < 6000; ++i) {
    const ReceivePlan p = plan(i, 1);
    if (p.take == 0) break;
    half_.commit(p, 1);
    const std::uint32_t held = i + 1;
    static_cast<void>(half_.offer_window(held < kWindow ? kWindow - held : 0, kHard - held));
    ASSERT_GE(right_edge(), edge);
    ASSERT_LE(right_edge(), kHard);
    edge = right_edge();
  }
}

// RFC 9293 section 3.8.6.2.2.
TEST_F(Receive, AWindowUpdateIsDueForASegmentAfterNextToNothing) {
  segment(0, kWindow);
  EXPECT_FALSE(half_.window_update_due(1459, 65536, 1460));
  EXPECT_TRUE(half_.window_update_due(1460, 65536, 1460));
}

TEST_F(Receive, WithLittleMemoryHalfOfItIsEnough) {
  segment(0, kWindow);
  EXPECT_FALSE(half_.window_update_due(511, 1024, 1460));
  EXPECT_TRUE(half_.window_update_due(512, 1024, 1460));
}

TEST_F(Receive, WithASegmentPromisedAQuarterIsWorthAnUpdate) {
  EXPECT_FALSE(half_.window_update_due(kWindow + 2047, 8192, 1460));
  EXPECT_TRUE(half_.window_update_due(kWindow + 2048, 8192, 1460));
  EXPECT_FALSE(half_.window_update_due(100, 8192, 1460)) << "less room than was promised";
}

TEST_F(Receive, NoUpdateAfterTheFin) {
  segment(0, kWindow, true);
  EXPECT_FALSE(half_.window_update_due(65536, 65536, 1460));
}

// Without window scaling 65,535 is all that can be said: an ACK that says it again would be a duplicate.
TEST_F(Receive, NoUpdateThatTheFieldCannotSay) {
  ReceiveHalf unscaled;
  unscaled.start(Seq{kIsn}, 0);
  static_cast<void>(unscaled.offer_window(512 * 1024, 512 * 1024));
  EXPECT_FALSE(unscaled.window_update_due(512 * 1024, 512 * 1024, 1460));
}

}  // namespace
}  // namespace sf::tcp
