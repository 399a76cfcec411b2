#include "base/rate_limit.hh"

#include <gtest/gtest.h>

namespace sf::base {
namespace {

int admitted(RateLimit& limit, Time now, int attempts) {
  int count = 0;
  for (int i = 0; i < attempts; ++i) count += limit.admit(now) ? 1 : 0;
  return count;
}

TEST(RateLimit, ABurstAtFirst) {
  RateLimit limit(100, 50);
  EXPECT_EQ(admitted(limit, Time{5s}, 200), 50);
}

TEST(RateLimit, ThenTheRate) {
  RateLimit limit(100, 50);
  EXPECT_EQ(admitted(limit, Time{5s}, 50), 50);
  EXPECT_FALSE(limit.admit(Time{5s + 9ms}));
  EXPECT_TRUE(limit.admit(Time{5s + 10ms}));
  EXPECT_FALSE(limit.admit(Time{5s + 10ms}));
  // A refused attempt costs nothing.
  EXPECT_EQ(admitted(limit, Time{5s + 19ms}, 1000), 0);
  EXPECT_TRUE(limit.admit(Time{5s + 20ms}));
}

TEST(RateLimit, OverASecond) {
  RateLimit limit(100, 50);
  int count = 0;
  for (Time now{1s}; now < Time{2s}; now += 1ms) count += limit.admit(now) ? 1 : 0;
  EXPECT_EQ(count, 149);  // the burst, and what has come back by the 999th millisecond
}

TEST(RateLimit, AfterAPauseNoMoreThanTheBurst) {
  RateLimit limit(100, 50);
  EXPECT_EQ(admitted(limit, Time{1s}, 60), 50);
  EXPECT_EQ(admitted(limit, Time{3600s}, 60), 50);
}

TEST(RateLimit, WhatIsGivenBack) {
  RateLimit limit(100, 50);
  limit.give_back();
  EXPECT_EQ(admitted(limit, Time{1s}, 60), 50) << "no more than the burst";
  limit.give_back();
  limit.give_back();
  EXPECT_EQ(admitted(limit, Time{1s}, 60), 2);
}

TEST(RateLimit, OfOne) {
  RateLimit limit(1, 1);
  EXPECT_TRUE(limit.admit(Time{}));
  EXPECT_FALSE(limit.admit(Time{999ms}));
  EXPECT_TRUE(limit.admit(Time{1s}));
}

}  // namespace
}  // namespace sf::base
