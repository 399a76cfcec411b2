// What a flood of SYNs may cost, and that connections which are completed do not pay for it.
#include "engine/opening_budget.hh"

#include <gtest/gtest.h>

namespace sf::engine {
namespace {

using Charge = OpeningBudget::Charge;

class OpeningBudgetTest : public testing::Test {
 protected:
  static Endpoint server(std::uint16_t port = 443) { return {Address::v4(198, 51, 100, 7), port}; }
  static FlowKey ends(std::uint32_t number, const Endpoint& to = server()) {
    const auto client =
        Address::v4(10, 1, static_cast<std::uint8_t>(number >> 24), static_cast<std::uint8_t>(number >> 16));
    return {{client, static_cast<std::uint16_t>(number)}, to};
  }
  // SYNs that are answered by nobody, from `first` on. How many were let through.
  std::uint32_t flood(std::uint32_t first, std::uint32_t count) {
    std::uint32_t admitted = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
      const FlowKey key = ends(first + i, {Address::v4(203, 0, 113, 1), static_cast<std::uint16_t>(i)});
      admitted += budget_.admit(key, now_) != Charge::none ? 1U : 0U;
    }
    return admitted;
  }
  void complete(std::uint32_t number, const Endpoint& to = server()) {
    const Charge charge = budget_.admit(ends(number, to), now_);
    ASSERT_NE(charge, Charge::none);
    budget_.completed(ends(number, to), charge, now_);
  }

  Time now_{1000s};
  OpeningBudget budget_{SipKey{1, 2}};
};

TEST_F(OpeningBudgetTest, SoManyAtOnceThenSoManyASecond) {
  EXPECT_EQ(flood(0, 100'000), OpeningBudget::kAtOnce);
  now_ += 100ms;
  EXPECT_NEAR(flood(1'000'000, 100'000), OpeningBudget::kPerSecond / 10, 10);
}

TEST_F(OpeningBudgetTest, ThoseThatAreCompletedAreNotCounted) {
  for (std::uint32_t i = 0; i < 100'000; ++i) complete(i, {Address::v4(i), 80});
  EXPECT_EQ(flood(0, 100'000), OpeningBudget::kAtOnce);
}

// Within the same moment: more are open than there are tokens, and each is asked for again after a second.
TEST_F(OpeningBudgetTest, TenThousandAtOnceToOneServer) {
  std::vector<std::uint32_t> waiting(10'000);
  for (std::uint32_t i = 0; i < waiting.size(); ++i) waiting[i] = i;
  for (int second = 0; second < 4; ++second) {
    std::vector<std::pair<std::uint32_t, Charge>> opened;
    std::vector<std::uint32_t> lost;
    for (const std::uint32_t i : waiting) {
      const Charge charge = budget_.admit(ends(i), now_);
      if (charge == Charge::none) {
        lost.push_back(i);
      } else {
        opened.emplace_back(i, charge);
      }
    }
    now_ += 100ms;
    for (const auto& [i, charge] : opened) budget_.completed(ends(i), charge, now_);
    waiting = lost;
    now_ += 900ms;
  }
  EXPECT_TRUE(waiting.empty()) << waiting.size();
}

TEST_F(OpeningBudgetTest, InAFloodWhereConnectionsHaveBeenCompleted) {
  complete(1);
  flood(0, 100'000);
  for (std::uint32_t i = 0; i < 50'000; ++i) complete(i);
  EXPECT_EQ(budget_.admit(ends(1, server(444)), now_), Charge::none) << "another port";
  EXPECT_EQ(budget_.admit(ends(1, {Address::v4(198, 51, 100, 8), 443}), now_), Charge::none);
  // Such a place may be flooded as well.
  std::uint32_t admitted = 0;
  for (std::uint32_t i = 100'000; i < 200'000; ++i)
    admitted += budget_.admit(ends(i), now_) != Charge::none ? 1U : 0U;
  EXPECT_EQ(admitted, OpeningBudget::kProvenAtOnce);
}

TEST_F(OpeningBudgetTest, ForSoLong) {
  complete(1);
  now_ += OpeningBudget::kProvenFor;
  flood(0, 100'000);
  EXPECT_EQ(budget_.admit(ends(2), now_), Charge::none);
}

TEST_F(OpeningBudgetTest, InAFloodOneThatComesAgain) {
  flood(0, 100'000);
  EXPECT_EQ(budget_.admit(ends(1), now_), Charge::none);
  EXPECT_EQ(budget_.admit(ends(1), now_), Charge::again);
  EXPECT_EQ(budget_.admit(ends(2), now_), Charge::none) << "another";
}

// A minute after the last one that was lost.
TEST_F(OpeningBudgetTest, WhatAFloodNeededIsGivenBackAfterIt) {
  EXPECT_EQ(budget_.memory(), 0U);
  flood(0, 100'000);
  EXPECT_GE(budget_.memory(), std::size_t{1} << 20);
  now_ += OpeningBudget::kFlood / 2;
  complete(1);
  EXPECT_GT(budget_.memory(), 0U);
  now_ += OpeningBudget::kFlood / 2;
  complete(2);
  EXPECT_EQ(budget_.memory(), 0U);
  EXPECT_GT(flood(0, 100'000), 0U) << "the next one";
}

TEST_F(OpeningBudgetTest, WhileOthersCame) {
  flood(0, 100'000);
  constexpr std::uint32_t kHonest = 100;
  for (std::uint32_t i = 0; i < kHonest; ++i) static_cast<void>(budget_.admit(ends(i), now_));
  EXPECT_LT(flood(1'000'000, 200'000), 50U) << "few are taken for others";
  std::uint32_t admitted = 0;
  for (std::uint32_t i = 0; i < kHonest; ++i)
    admitted += budget_.admit(ends(i), now_) == Charge::again ? 1U : 0U;
  EXPECT_GT(admitted, kHonest / 2);
}

TEST_F(OpeningBudgetTest, SoManyThatComeAgain) {
  flood(0, 10'000);
  EXPECT_EQ(flood(0, 10'000), OpeningBudget::kAgainAtOnce);
}

// Places of completed connections are few, and what one gives back may find another there.
TEST_F(OpeningBudgetTest, APlaceThatIsTakenMeanwhile) {
  complete(1);
  flood(0, 100'000);
  const Charge charge = budget_.admit(ends(2), now_);
  ASSERT_EQ(charge, Charge::proven);
  for (std::uint32_t i = 0; i < 10'000; ++i) {
    budget_.completed(ends(i, {Address::v4(i), 80}), Charge::none, now_);
  }
  EXPECT_EQ(budget_.admit(ends(3), now_), Charge::none);
  budget_.completed(ends(2), charge, now_);
  EXPECT_EQ(budget_.admit(ends(3), now_), Charge::proven);
}

}  // namespace
}  // namespace sf::engine
