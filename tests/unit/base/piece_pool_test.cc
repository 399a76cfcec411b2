#include "base/piece_pool.hh"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace sf::base {
namespace {

TEST(PiecePool, GivesPiecesUpToItsLimit) {
  PiecePool pool(2);
  const Piece one = pool.acquire();
  const Piece two = pool.acquire();
  EXPECT_TRUE(one && two);
  EXPECT_NE(one.data(), two.data());
  EXPECT_FALSE(pool.acquire());
  EXPECT_EQ(pool.in_use(), 2U);
}

TEST(PiecePool, APieceIsAllWritable) {
  PiecePool pool(1);
  const Piece piece = pool.acquire();
  std::memset(piece.data(), 0xa5, kPieceSize);
  EXPECT_EQ(piece.data()[kPieceSize - 1], 0xa5);
}

TEST(PiecePool, APieceGoesBackByItself) {
  PiecePool pool(1);
  { const Piece piece = pool.acquire(); }
  EXPECT_EQ(pool.in_use(), 0U);
  EXPECT_TRUE(pool.acquire());
}

TEST(PiecePool, ResetGivesBackOnce) {
  PiecePool pool(2);
  Piece piece = pool.acquire();
  piece.reset();
  piece.reset();
  EXPECT_FALSE(piece);
  EXPECT_EQ(pool.in_use(), 0U);
}

TEST(PiecePool, MovingPassesOwnershipOn) {
  PiecePool pool(3);
  Piece from = pool.acquire();
  std::uint8_t* const bytes = from.data();
  Piece to(std::move(from));
  EXPECT_FALSE(from);
  EXPECT_EQ(to.data(), bytes);
  EXPECT_EQ(pool.in_use(), 1U);

  Piece other = pool.acquire();
  other = std::move(to);
  EXPECT_EQ(other.data(), bytes);
  EXPECT_EQ(pool.in_use(), 1U) << "what was assigned over went back";

  Piece& itself = other;
  other = std::move(itself);
  EXPECT_EQ(other.data(), bytes);
}

TEST(PiecePool, PressedAboveHalf) {
  PiecePool pool(4);
  std::vector<Piece> pieces;
  pieces.push_back(pool.acquire());
  pieces.push_back(pool.acquire());
  EXPECT_FALSE(pool.pressed());
  pieces.push_back(pool.acquire());
  EXPECT_TRUE(pool.pressed());
  pieces.pop_back();
  EXPECT_FALSE(pool.pressed());
}

TEST(PiecePool, ManyComeAndGo) {
  PiecePool pool(3 * PiecePool::kKeep);
  for (int round = 0; round < 3; ++round) {
    std::vector<Piece> pieces;
    while (Piece piece = pool.acquire()) pieces.push_back(std::move(piece));
    EXPECT_EQ(pieces.size(), pool.limit());
    pieces.clear();
    EXPECT_EQ(pool.in_use(), 0U);
  }
}

// Takes and gives back `count` pieces at once.
void use(PiecePool& pool, std::size_t count) {
  std::vector<Piece> pieces;
  while (pieces.size() < count) pieces.push_back(pool.acquire());
}

TEST(PiecePool, TrimGivesBackWhatWasNotNeeded) {
  PiecePool pool(4 * PiecePool::kKeep);
  EXPECT_FALSE(pool.has_surplus());
  use(pool, 2 * PiecePool::kKeep);
  EXPECT_TRUE(pool.has_surplus());
  // Needed since the pool was made: nothing is spare yet. Then all but one are.
  pool.trim();
  EXPECT_TRUE(pool.has_surplus());
  use(pool, 1);
  pool.trim();
  EXPECT_FALSE(pool.has_surplus());
}

TEST(PiecePool, TrimLeavesWhatIsUsedAgainAndAgain) {
  PiecePool pool(4 * PiecePool::kKeep);
  use(pool, 3 * PiecePool::kKeep);
  for (int round = 0; round < 5; ++round) {
    pool.trim();
    EXPECT_EQ(pool.kept(), 3 * PiecePool::kKeep);
    use(pool, 3 * PiecePool::kKeep);
  }
}

TEST(PiecePool, KeepsNoMoreThanItsMost) {
  PiecePool pool(2 * PiecePool::kKeepMost);
  use(pool, 2 * PiecePool::kKeepMost);
  EXPECT_EQ(pool.kept(), PiecePool::kKeepMost);
  pool.trim();
  pool.trim();
  EXPECT_EQ(pool.kept(), PiecePool::kKeep);
}

}  // namespace
}  // namespace sf::base
