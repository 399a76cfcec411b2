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
    const MutBytes room = queue_.room(pool_, want);
    EXPECT_LE(room.size(), want);
    if (room.empty()) return 0;
    const std::size_t count = std::min(there, room.size());
    const Owned bytes = pattern(count, end_);
    std::copy(bytes.begin(), bytes.end(), room.begin());
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
    std::array<Bytes, PieceQueue::kEntries> slices;
    const std::size_t used = queue_.slices(offset, length, slices);
    Owned all;
    for (std::size_t i = 0; i < used; ++i) all.insert(all.end(), slices[i].begin(), slices[i].end());
    EXPECT_EQ(all, pattern(length, begin_ + offset));
  }

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
  EXPECT_FALSE(queue.room(small, 65'536).empty());
  queue.append(65'536);
  EXPECT_TRUE(queue.room(small, 100).empty());
  queue.release(65'536);
  EXPECT_FALSE(queue.room(small, 100).empty());
}

TEST_F(PieceQueueTest, HoldsAllThatMayBeInFlight) {
  fill(512 * 1024);
  expect_bytes(0, 512 * 1024);
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

// A super-frame of 64 KiB has to fit the parts that a link takes.
TEST_F(PieceQueueTest, ASuperFrameIsAFewSlices) {
  for (int i = 0; i < 20'000 && queue_.size() < 400'000; ++i) receive(1460, 1460);
  for (std::uint32_t offset = 0; offset + 65'535 < queue_.size(); offset += 777) {
    std::array<Bytes, PieceQueue::kEntries> slices;
    ASSERT_LE(queue_.slices(offset, 65'535, slices), 3U);
  }
}

}  // namespace
}  // namespace sf::tcp
