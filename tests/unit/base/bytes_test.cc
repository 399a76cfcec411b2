#include "base/bytes.hh"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace sf {
namespace {

TEST(Bytes, LoadAndStoreAreBigEndian) {
  std::array<std::uint8_t, 8> b{};
  store_be64(b.data(), 0x0102030405060708U);
  EXPECT_EQ(b, (std::array<std::uint8_t, 8>{1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(load_be16(&b[1]), 0x0203);
  EXPECT_EQ(load_be32(&b[1]), 0x02030405U);
  EXPECT_EQ(load_be64(&b[0]), 0x0102030405060708U);
  store_be16(&b[3], 0xfffe);
  store_be32(&b[0], 0x80000001U);
  EXPECT_EQ(load_be32(&b[0]), 0x80000001U);
  EXPECT_EQ(load_be16(&b[4]), 0xfe06);
}

TEST(Bytes, TakeAndDropStopAtTheEnd) {
  const std::array<std::uint8_t, 3> b{1, 2, 3};
  EXPECT_EQ(take(b, 2).size(), 2U);
  EXPECT_EQ(take(b, 9).size(), 3U);
  EXPECT_EQ(drop(b, 2).size(), 1U);
  EXPECT_EQ(drop(b, 2)[0], 3);
  EXPECT_TRUE(drop(b, 9).empty());
  EXPECT_TRUE(drop({}, 1).empty());
}

TEST(Reader, ReadsInOrder) {
  const std::array<std::uint8_t, 20> b{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20};
  Reader in(b);
  EXPECT_EQ(in.u8(), 1);
  EXPECT_EQ(in.u16(), 0x0203);
  EXPECT_EQ(in.u32(), 0x04050607U);
  EXPECT_EQ(in.u64(), 0x08090a0b0c0d0e0fU);
  EXPECT_EQ((in.array<2>()), (std::array<std::uint8_t, 2>{16, 17}));
  EXPECT_EQ(in.offset(), 17U);
  in.skip(1);
  EXPECT_EQ(in.rest().size(), 2U);
  EXPECT_EQ(in.bytes(2)[1], 20);
  EXPECT_TRUE(in.ok());
  EXPECT_EQ(in.remaining(), 0U);
  EXPECT_TRUE(in.bytes(0).empty());
  EXPECT_TRUE(in.ok());
}

TEST(Reader, AShortReadFailsItForGood) {
  // An allocation of exactly three bytes, for AddressSanitizer.
  const auto data = std::make_unique<std::uint8_t[]>(3);
  data[0] = data[1] = data[2] = 0xff;
  const Bytes b{data.get(), 3};
  Reader in(b);
  EXPECT_EQ(in.u8(), 0xff);
  EXPECT_EQ(in.u32(), 0U);
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.u8(), 0) << "although there is one left";
  EXPECT_FALSE(in.ok());
  Reader huge(b);
  EXPECT_TRUE(huge.bytes(SIZE_MAX).empty());
  EXPECT_FALSE(huge.ok());
  Reader array(b);
  EXPECT_EQ((array.array<4>()), (std::array<std::uint8_t, 4>{}));
  EXPECT_FALSE(array.ok());
  Reader skipped(b);
  skipped.skip(4);
  EXPECT_FALSE(skipped.ok());
  Reader failed(b);
  failed.fail();
  EXPECT_EQ(failed.u8(), 0);
}

TEST(Writer, WritesInOrder) {
  std::array<std::uint8_t, 20> b{};
  Writer out(b);
  out.u8(1);
  out.u16(0x0203);
  out.u32(0x04050607);
  out.u64(0x08090a0b0c0d0e0fU);
  out.bytes(std::array<std::uint8_t, 2>{16, 17});
  b[17] = 9;
  out.zeros(1);
  out.patch_u16(1, 0xaabb);
  EXPECT_TRUE(out.ok());
  EXPECT_EQ(out.offset(), 18U);
  EXPECT_EQ(out.remaining(), 2U);
  const std::vector<std::uint8_t> expected{1,  0xaa, 0xbb, 4,  5,  6,  7,  8,  9,
                                           10, 11,   12,   13, 14, 15, 16, 17, 0};
  EXPECT_EQ(std::vector<std::uint8_t>(out.written().begin(), out.written().end()), expected);
}

TEST(Writer, AShortWriteFailsItForGood) {
  const auto data = std::make_unique<std::uint8_t[]>(3);
  Writer out(MutBytes{data.get(), 3});
  out.u16(1);
  out.u16(2);
  EXPECT_FALSE(out.ok());
  out.u8(3);
  EXPECT_EQ(out.offset(), 2U) << "although one would fit";
  EXPECT_EQ(data[2], 0);
  Writer zeros(MutBytes{data.get(), 3});
  zeros.zeros(4);
  EXPECT_FALSE(zeros.ok());
}

TEST(Writer, PatchesOnlyWhatWasWritten) {
  std::array<std::uint8_t, 4> b{};
  Writer out(b);
  out.u16(0);
  out.patch_u16(1, 0xffff);
  EXPECT_EQ(b, (std::array<std::uint8_t, 4>{}));
  out.patch_u16(0, 0x0102);
  EXPECT_EQ(b[1], 2);
}

}  // namespace
}  // namespace sf
