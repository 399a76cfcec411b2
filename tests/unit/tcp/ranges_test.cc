#include "tcp/ranges.hh"

#include <gtest/gtest.h>

#include <string>

namespace sf::tcp {
namespace {

Range range(std::uint32_t left, std::uint32_t right) {
  return {Seq{left}, Seq{right}};
}

// "10-20 40-50", most recent first.
std::string text(const Ranges& ranges) {
  std::string out;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    if (i > 0) out += ' ';
    out += std::to_string(ranges[i].left.value) + '-' + std::to_string(ranges[i].right.value);
  }
  return out;
}

Ranges made(std::initializer_list<Range> list) {
  Ranges ranges;
  for (const Range& r : list) ranges.add(r);
  return ranges;
}

TEST(Ranges, TheMostRecentComesFirst) {
  EXPECT_EQ(text(made({range(10, 20), range(40, 50), range(25, 30)})), "25-30 40-50 10-20");
}

TEST(Ranges, NeighboursBecomeOne) {
  EXPECT_EQ(text(made({range(10, 20), range(20, 30)})), "10-30");
  EXPECT_EQ(text(made({range(20, 30), range(10, 20)})), "10-30");
}

TEST(Ranges, OneThatBridgesJoinsAllThree) {
  EXPECT_EQ(text(made({range(10, 20), range(30, 40), range(60, 70), range(15, 35)})), "10-40 60-70");
}

TEST(Ranges, OneWithinAnotherChangesNothingButTheOrder) {
  EXPECT_EQ(text(made({range(10, 40), range(60, 70), range(20, 30)})), "10-40 60-70");
}

TEST(Ranges, AnEmptyOneIsNotRemembered) {
  EXPECT_TRUE(made({range(10, 10)}).empty());
}

TEST(Ranges, AFullSetTakesOnlyWhatTouches) {
  Ranges ranges;
  for (std::uint32_t i = 0; i < Ranges::kMax; ++i) ranges.add(range(100 * i, 100 * i + 10));
  ASSERT_EQ(ranges.size(), Ranges::kMax);
  EXPECT_FALSE(ranges.fits(range(1000, 1010)));
  ranges.add(range(1000, 1010));
  EXPECT_FALSE(ranges.holding(Seq{1005}));
  EXPECT_TRUE(ranges.fits(range(110, 120)));
  ranges.add(range(110, 120));
  EXPECT_EQ(ranges.size(), Ranges::kMax) << "it has joined its neighbour";
  EXPECT_TRUE(ranges.holding(Seq{115}));
}

TEST(Ranges, DropBeforeCutsAndRemoves) {
  Ranges ranges = made({range(10, 20), range(30, 40), range(50, 60)});
  ranges.drop_before(Seq{35});
  EXPECT_EQ(text(ranges), "50-60 35-40");
  ranges.drop_before(Seq{40});
  EXPECT_EQ(text(ranges), "50-60");
  ranges.drop_before(Seq{1000});
  EXPECT_TRUE(ranges.empty());
}

TEST(Ranges, HoldingIsHalfOpen) {
  const Ranges ranges = made({range(10, 20)});
  EXPECT_FALSE(ranges.holding(Seq{9}));
  EXPECT_TRUE(ranges.holding(Seq{10}));
  EXPECT_TRUE(ranges.holding(Seq{19}));
  EXPECT_FALSE(ranges.holding(Seq{20}));
}

TEST(Ranges, NextAfterHighestAndTotal) {
  const Ranges ranges = made({range(50, 60), range(10, 20), range(30, 45)});
  EXPECT_EQ(ranges.next_after(Seq{0}), Seq{10});
  EXPECT_EQ(ranges.next_after(Seq{10}), Seq{30});
  EXPECT_EQ(ranges.next_after(Seq{55}), std::nullopt);
  EXPECT_EQ(ranges.highest(), Seq{60});
  EXPECT_EQ(ranges.total(), 35U);
}

TEST(Ranges, WorkAcrossTheWrap) {
  Ranges ranges = made({range(0xfffffff0U, 0x10), range(0x20, 0x30)});
  EXPECT_TRUE(ranges.holding(Seq{0xffffffffU}));
  EXPECT_TRUE(ranges.holding(Seq{0}));
  EXPECT_EQ(ranges.highest(), Seq{0x30});
  EXPECT_EQ(ranges.next_after(Seq{0xffffff00U}), Seq{0xfffffff0U});
  ranges.drop_before(Seq{8});
  EXPECT_EQ(ranges.total(), 8U + 0x10U);
}

}  // namespace
}  // namespace sf::tcp
