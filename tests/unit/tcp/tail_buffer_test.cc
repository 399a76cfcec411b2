#include "tcp/tail_buffer.hh"

#include <gtest/gtest.h>

#include <vector>

#include "unit/link/fake_link.hh"

namespace sf::tcp {
namespace {

using link::pattern;
using Owned = std::vector<std::uint8_t>;

class TailBufferTest : public testing::Test {
 protected:
  // Bytes of the stream, by their position in it.
  std::size_t store(std::uint32_t offset, std::size_t length) {
    return buffer_.store(pool_, offset, pattern(length, taken_ + offset));
  }
  void advance(std::uint32_t count) {
    buffer_.advance(count);
    taken_ += count;
  }
  // The first `count` bytes are those of the stream's.
  void expect_front(std::uint32_t count) const {
    std::array<Bytes, TailBuffer::kMaxSlices> slices;
    const std::size_t used = buffer_.slices(count, slices);
    Owned all;
    for (std::size_t i = 0; i < used; ++i) all.insert(all.end(), slices[i].begin(), slices[i].end());
    EXPECT_EQ(all, pattern(count, taken_));
  }

  PiecePool pool_{64};
  TailBuffer buffer_;
  std::size_t taken_ = 0;
};

TEST_F(TailBufferTest, KeepsWhatIsStored) {
  EXPECT_EQ(store(0, 1000), 1000U);
  EXPECT_EQ(store(1000, 100'000), 100'000U);
  expect_front(101'000);
}

TEST_F(TailBufferTest, OutOfOrder) {
  store(70'000, 1000);
  store(0, 70'000);
  expect_front(71'000);
}

TEST_F(TailBufferTest, GivesMemoryBackAsTheHostTakes) {
  store(0, 3 * kPieceSize);
  EXPECT_EQ(pool_.in_use(), 3U);
  advance(kPieceSize + 1);
  EXPECT_EQ(pool_.in_use(), 2U);
  expect_front(kPieceSize);
  advance(2 * kPieceSize - 1);
  EXPECT_EQ(pool_.in_use(), 0U);
}

TEST_F(TailBufferTest, WhatPassesByTakesNoMemory) {
  for (int i = 0; i < 1000; ++i) advance(50'000);
  EXPECT_EQ(pool_.in_use(), 0U);
  store(0, 1000);
  expect_front(1000);
}

TEST_F(TailBufferTest, WrapsAroundItsPieces) {
  for (int i = 0; i < 300; ++i) {
    ASSERT_EQ(store(0, 30'011), 30'011U);
    ASSERT_EQ(store(30'011, 400'000), 400'000U);
    expect_front(430'011);
    advance(430'011);
  }
  EXPECT_LE(pool_.in_use(), 1U);
}

// All that a window of 512 KiB allows, wherever it begins within a piece.
TEST_F(TailBufferTest, HoldsAWindowFromAnywhere) {
  for (const std::uint32_t begin : {0U, 1U, 65'535U, 65'536U, 40'000U}) {
    advance(begin);
    EXPECT_EQ(store(0, 512 * 1024), 512U * 1024U);
    expect_front(512 * 1024);
    advance(512 * 1024);
  }
}

TEST_F(TailBufferTest, BeyondItsEndNothingIsStored) {
  advance(10);
  const std::size_t end = TailBuffer::kPieces * kPieceSize - 10;
  EXPECT_EQ(store(0, 1000), 1000U);
  EXPECT_EQ(store(static_cast<std::uint32_t>(end - 5), 100), 5U);
  EXPECT_EQ(store(static_cast<std::uint32_t>(end), 100), 0U);
  expect_front(1000);
}

TEST_F(TailBufferTest, WithoutMemoryItStoresWhatFits) {
  PiecePool small(1);
  EXPECT_EQ(buffer_.store(small, 65'000, pattern(1000)), 536U);
  EXPECT_EQ(buffer_.store(small, kPieceSize, pattern(1)), 0U);
  buffer_.clear();
  EXPECT_EQ(small.in_use(), 0U);
}

}  // namespace
}  // namespace sf::tcp
