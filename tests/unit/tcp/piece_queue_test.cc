#include "tcp/piece_queue.hh"

#include <gtest/gtest.h>

#include <vector>

#include "unit/link/fake_link.hh"

namespace sf::tcp {
namespace {

using link::pattern;
using Owned = std::vector<std::uint8_t>;

class PieceQueueTest : public testing::Test {
 protected:
  // Receives up to `want` bytes of the stream, of which `there` have come. Returns how many.
  std::size_t receive(std::size_t want, std::size_t there) {
    std::array<MutBytes, kParts> parts;
    const std::size_t used = queue_.room(pool_, want, parts);
    std::size_t count = 0;
    std::size_t offered = 0;
    for (const MutBytes part : std::span(parts).first(used)) {
      EXPECT_FALSE(part.empty());
      offered += part.size();
      const Owned bytes = pattern(std::min(there - count, part.size()), end_ + count);
      std::copy(bytes.begin(), bytes.end(), part.begin());
      count += bytes.size();
    }
    EXPECT_LE(offered, want);
    queue_.append(count);
    end_ += count;
    return count;
  }
  void fill(std::size_t bytes) {
    while (bytes > 0) {
      const std::size_t count = receive(bytes, bytes);
      ASSERT_GT(count, 0U);
      bytes -= count;
    }
  }
  void release(std::uint32_t count) {
    queue_.release(count);
    begin_ += count;
  }
  void expect_bytes(std::uint32_t offset, std::uint32_t length) const {
    std::array<Bytes, 40> slices;
    const std::size_t used = queue_.slices(offset, length, slices);
    Owned all;
    for (std::size_t i = 0; i < used; ++i) all.insert(all.end(), slices[i].begin(), slices[i].end());
    EXPECT_EQ(all, pattern(length, begin_ + offset));
  }

  static constexpr std::size_t kParts = 7;
  PiecePool pool_{64};
  PieceQueue queue_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

TEST_F(PieceQueueTest, HoldsNothingAtFirst) {
  EXPECT_EQ(queue_.size(), 0U);
  EXPECT_EQ(pool_.in_use(), 0U);
}

TEST_F(PieceQueueTest, KeepsWhatWasReceivedUntilItIsReleased) {
  fill(200'000);
  EXPECT_EQ(queue_.size(), 200'000U);
  expect_bytes(0, 200'000);
  expect_bytes(65'000, 2000);
  release(70'001);
  expect_bytes(0, 129'999);
  release(129'999);
  EXPECT_EQ(pool_.in_use(), 0U);
}

TEST_F(PieceQueueTest, SmallReadsShareAPiece) {
  for (int i = 0; i < 100; ++i) receive(64'000, 100);
  EXPECT_EQ(pool_.in_use(), 1U);
  expect_bytes(0, 10'000);
}

TEST_F(PieceQueueTest, AReadThatBringsNothingHoldsNothing) {
  receive(64'000, 0);
  EXPECT_EQ(pool_.in_use(), 0U);
  receive(100, 100);
  receive(64'000, 0);
  EXPECT_EQ(queue_.size(), 100U);
  expect_bytes(0, 100);
}

TEST_F(PieceQueueTest, WithoutMemoryThereIsNoRoom) {
  PiecePool small(1);
  PieceQueue queue;
  std::array<MutBytes, kParts> parts;
  EXPECT_EQ(queue.room(small, 200'000, parts), 1U);
  EXPECT_EQ(parts[0].size(), PieceQueue::kRoom);
  queue.append(PieceQueue::kRoom);
  EXPECT_EQ(queue.room(small, 100, parts), 0U);
  queue.append(0);
  queue.release(PieceQueue::kRoom);
  EXPECT_EQ(queue.room(small, 100, parts), 1U);
  queue.append(0);
}

TEST_F(PieceQueueTest, HoldsAllThatMayBeInFlight) {
  fill(1024 * 1024);
  expect_bytes(0, 1024 * 1024);
}

// As ACKs let go at the front, reads go on at the end.
TEST_F(PieceQueueTest, GoesRoundAndRound) {
  fill(300'000);
  for (int i = 0; i < 500; ++i) {
    release(37'777);
    fill(37'777);
    ASSERT_EQ(queue_.size(), 300'000U);
    expect_bytes(static_cast<std::uint32_t>(i) * 500U, 3000);
  }
  queue_.clear();
  EXPECT_EQ(pool_.in_use(), 0U);
}

TEST_F(PieceQueueTest, ReleasingMoreThanThereIsReleasesAll) {
  fill(100);
  queue_.release(1000);
  EXPECT_EQ(queue_.size(), 0U);
}

// One read fills several pieces; what it leaves empty goes back at once.
TEST_F(PieceQueueTest, OneReadFillsManyPieces) {
  EXPECT_EQ(receive(260'000, 260'000), 260'000U);
  EXPECT_EQ(pool_.in_use(), 4U);
  expect_bytes(0, 260'000);
  receive(260'000, 100'000);
  EXPECT_EQ(pool_.in_use(), 6U);
  expect_bytes(1, 359'999);
  receive(260'000, 0);
  EXPECT_EQ(pool_.in_use(), 6U);
  queue_.clear();
  EXPECT_EQ(pool_.in_use(), 0U);
}

// A last piece without room worth a read stays as it is when the new one stays empty.
TEST_F(PieceQueueTest, AnEmptyReadBehindAFullPieceLeavesNothing) {
  receive(PieceQueue::kRoom - 10, PieceQueue::kRoom - 10);
  receive(100'000, 0);
  EXPECT_EQ(pool_.in_use(), 1U);
  receive(100'000, 50'000);
  expect_bytes(0, static_cast<std::uint32_t>(PieceQueue::kRoom) + 49'990);
}

TEST_F(PieceQueueTest, GivesItsPiecesBackWhenItEnds) {
  {
    PieceQueue queue;
    std::array<MutBytes, kParts> parts;
    ASSERT_EQ(queue.room(pool_, 150'000, parts), 3U);
    queue.append(150'000);
    const PieceQueue moved(std::move(queue));
    EXPECT_EQ(moved.size(), 150'000U);
    EXPECT_EQ(pool_.in_use(), 3U);
  }
  EXPECT_EQ(pool_.in_use(), 0U);
}

// A super-frame has to fit the parts that a link takes, whatever the reads were.
TEST_F(PieceQueueTest, ASuperFrameIsAFewSlices) {
  for (int i = 0; i < 20'000 && queue_.size() < 800'000; ++i)
    receive(9000, 1460 + 97 * static_cast<std::size_t>(i % 40));
  for (std::uint32_t offset = 0; offset + 260'000 < queue_.size(); offset += 777) {
    std::array<Bytes, 40> slices;
    ASSERT_LE(queue_.slices(offset, 260'000, slices), link::Link::kMaxParts - 1);
  }
}

}  // namespace
}  // namespace sf::tcp
