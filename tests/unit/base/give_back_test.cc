#include "base/give_back.hh"

#include <gtest/gtest.h>

#include <cstdint>

namespace sf::base {
namespace {

TEST(GiveBack, HalvesWhatIsUsedForAFourth) {
  std::vector<std::uint64_t> vector(100'000);
  for (std::size_t i = 0; i < vector.size(); ++i) vector[i] = i;
  vector.resize(25'001);
  give_back(vector);
  EXPECT_EQ(vector.capacity(), 100'000U);
  vector.pop_back();
  give_back(vector);
  EXPECT_EQ(vector.capacity(), 50'000U);
  ASSERT_EQ(vector.size(), 25'000U);
  for (std::size_t i = 0; i < vector.size(); ++i) ASSERT_EQ(vector[i], i);
  give_back(vector);
  EXPECT_EQ(vector.capacity(), 50'000U) << "half of it is used";
}

TEST(GiveBack, LeavesWhatIsSmall) {
  std::vector<std::uint64_t> vector(100'000);
  vector.clear();
  for (int i = 0; i < 20; ++i) give_back(vector);
  EXPECT_GT(vector.capacity() * sizeof(std::uint64_t), kKeptBytes / 2);
  EXPECT_LE(vector.capacity() * sizeof(std::uint64_t), kKeptBytes);
}

TEST(GiveBack, All) {
  std::vector<std::uint8_t> vector(100'000);
  give_back_all(vector);
  EXPECT_TRUE(vector.empty());
  EXPECT_EQ(vector.capacity(), 0U);
}

}  // namespace
}  // namespace sf::base
