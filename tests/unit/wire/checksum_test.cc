#include "wire/checksum.hh"

#include <random>

#include "unit/wire/support.hh"

namespace sf::wire {
namespace {

using namespace test;

// RFC 1071 section 4.1 word by word.
std::uint16_t naive(Bytes data) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < data.size(); i += 2) {
    sum += static_cast<std::uint32_t>(data[i] << 8) | (i + 1 < data.size() ? data[i + 1] : 0U);
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<std::uint16_t>(sum);
}

TEST(Checksum, ExampleOfRfc1071) {
  // Section 3: the sum of these eight bytes is ddf2.
  EXPECT_EQ(checksum_fold(checksum_add(0, hex("0001f203f4f5f6f7"))), 0xddf2);
  EXPECT_EQ(checksum_finish(checksum_add(0, hex("0001f203f4f5f6f7"))), 0x220d);
}

TEST(Checksum, EqualsTheNaiveSumAtAllLengthsAndAlignments) {
  std::mt19937 random(1);
  Buffer data(400);
  for (auto& byte : data) byte = static_cast<std::uint8_t>(random());
  for (std::size_t alignment = 0; alignment < 9; ++alignment) {
    for (std::size_t length = 0; length + alignment <= 330; ++length) {
      const Bytes piece = Bytes{data}.subspan(alignment, length);
      ASSERT_EQ(checksum_fold(checksum_add(0, piece)), naive(piece)) << alignment << " " << length;
    }
  }
}

TEST(Checksum, DoesNotReadPastTheEnd) {
  for (std::size_t length = 0; length < 100; ++length) {
    const Exact data(Buffer(length, 0xff));
    EXPECT_EQ(checksum_fold(checksum_add(0, data.bytes())), naive(data.bytes())) << length;
  }
}

TEST(Checksum, LargestPacketOfOnesDoesNotOverflow) {
  const Buffer data(65535, 0xff);
  EXPECT_EQ(checksum_fold(checksum_add(0, data)), naive(data));
}

TEST(Checksum, EvenPiecesAddUp) {
  std::mt19937 random(2);
  Buffer data(301);
  for (auto& byte : data) byte = static_cast<std::uint8_t>(random());
  for (std::size_t cut = 0; cut <= 300; cut += 2) {
    const std::uint64_t head = checksum_add(0, Bytes{data}.first(cut));
    ASSERT_EQ(checksum_fold(checksum_add(head, Bytes{data}.subspan(cut))), naive(data)) << cut;
  }
}

TEST(Checksum, FoldsSumsOfAnySize) {
  EXPECT_EQ(checksum_fold(0), 0);
  EXPECT_EQ(checksum_fold(0xffff), 0xffff);
  EXPECT_EQ(checksum_fold(0x10000), 1);
  EXPECT_EQ(checksum_fold(0x1fffe), 0xffff);
  EXPECT_EQ(checksum_fold(0xffffffffffffffffU), 0xffff);
  EXPECT_EQ(checksum_fold(0xfffffffffffffffeU), 0xfffe);
}

TEST(Checksum, PseudoHeaderOfEitherVersion) {
  // 0a00 + 0264 + c633 + 6407 + 0006 + 0014
  EXPECT_EQ(checksum_fold(pseudo_header_sum(address("10.0.2.100"), address("198.51.100.7"), 6, 20)),
            naive(hex("0a000264 c6336407 0006 0014")));
  EXPECT_EQ(checksum_fold(pseudo_header_sum(address("fd00::100"), address("2001:db8:1::7"), 58, 0x10203)),
            naive(hex("fd000000000000000000000000000100 20010db8000100000000000000000007"
                      "00010203 0000003a")));
}

}  // namespace
}  // namespace sf::wire
