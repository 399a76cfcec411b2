// LearnedNames: what makes room.
#include "policy/learned_names.hh"

#include <gtest/gtest.h>

namespace sf::policy {
namespace {

TEST(LearnedNames, TheOldestMakeRoom) {
  const Policy policy({*parse_rule(Action::allow, "a.test")}, Settings{});
  LearnedNames names(SipKey{1, 2});
  constexpr std::uint32_t kOver = 1000;
  for (std::uint32_t i = 1; i <= LearnedNames::kMaxAddresses; ++i)
    names.learn(Address::v4(i), "a.test", policy, Time(1h), Time(1s));
  names.learn(Address::v4(1), "a.test", policy, Time(1h), Time(2s));
  for (std::uint32_t i = 1; i <= kOver; ++i)
    names.learn(Address::v4(LearnedNames::kMaxAddresses + i), "a.test", policy, Time(1h), Time(3s));
  EXPECT_EQ(names.size(), LearnedNames::kMaxAddresses);
  EXPECT_FALSE(names.find(Address::v4(1), policy, Time(4s)).empty()) << "told of again";
  EXPECT_TRUE(names.find(Address::v4(2), policy, Time(4s)).empty());
  EXPECT_TRUE(names.find(Address::v4(1 + kOver), policy, Time(4s)).empty());
  std::size_t found = 0;
  for (std::uint32_t i = 2 + kOver; i <= LearnedNames::kMaxAddresses + kOver; ++i)
    found += names.find(Address::v4(i), policy, Time(4s)).empty() ? 0U : 1U;
  EXPECT_EQ(found, LearnedNames::kMaxAddresses - 1);
}

TEST(LearnedNames, WhatHasExpiredMakesRoomFirst) {
  const Policy policy({*parse_rule(Action::allow, "a.test")}, Settings{});
  LearnedNames names(SipKey{1, 2});
  for (std::uint32_t i = 1; i <= LearnedNames::kMaxAddresses; ++i)
    names.learn(Address::v4(i), "a.test", policy, i % 2 == 0 ? Time(10s) : Time(1h), Time(1s));
  names.learn(Address::v4(LearnedNames::kMaxAddresses + 1), "a.test", policy, Time(1h), Time(20s));
  EXPECT_EQ(names.size(), LearnedNames::kMaxAddresses / 2 + 1);
  EXPECT_FALSE(names.find(Address::v4(1), policy, Time(20s)).empty());
}

}  // namespace
}  // namespace sf::policy
