#include "base/siphash.hh"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace sf {
namespace {

// The key of the paper's appendix A and of its reference vectors: bytes 00 to 0f, little-endian.
constexpr SipKey kKey{0x0706050403020100U, 0x0f0e0d0c0b0a0908U};

std::uint64_t of_first(std::size_t length) {
  std::vector<std::uint8_t> data(length);
  std::iota(data.begin(), data.end(), std::uint8_t{0});
  return siphash(kKey, data);
}

TEST(SipHash, VectorOfThePaper) {
  EXPECT_EQ(of_first(15), 0xa129ca6149be45e5U);
}

// SipHash-2-4 of 00, 01, 02 ... up to each length, from the authors' reference code.
TEST(SipHash, ReferenceVectors) {
  EXPECT_EQ(of_first(0), 0x726fdb47dd0e0e31U);
  EXPECT_EQ(of_first(1), 0x74f839c593dc67fdU);
  EXPECT_EQ(of_first(2), 0x0d6c8009d9a94f5aU);
  EXPECT_EQ(of_first(3), 0x85676696d7fb7e2dU);
  EXPECT_EQ(of_first(7), 0xab0200f58b01d137U);
  EXPECT_EQ(of_first(8), 0x93f5f5799a932462U);
  EXPECT_EQ(of_first(9), 0x9e0082df0ba9e4b0U);
  EXPECT_EQ(of_first(63), 0x958a324ceb064572U);
}

TEST(SipHash, DependsOnBothHalvesOfTheKey) {
  const std::vector<std::uint8_t> data{1, 2, 3};
  EXPECT_NE(siphash({1, 2}, data), siphash({2, 2}, data));
  EXPECT_NE(siphash({1, 2}, data), siphash({1, 3}, data));
}

}  // namespace
}  // namespace sf
