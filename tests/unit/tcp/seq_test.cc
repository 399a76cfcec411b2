// Sequence numbers where they wrap.
#include "tcp/seq.hh"

#include <gtest/gtest.h>

namespace sf::tcp {
namespace {

TEST(Seq, ComparesAcrossTheWrap) {
  const Seq last{0xfffffff0U};
  const Seq wrapped = last + 0x20;
  EXPECT_EQ(wrapped.value, 0x10U);
  EXPECT_TRUE(last < wrapped);
  EXPECT_TRUE(wrapped > last);
  EXPECT_TRUE(last <= last);
  EXPECT_TRUE(last >= last);
  EXPECT_FALSE(last < last);
  EXPECT_EQ(wrapped - last, 0x20U);
  EXPECT_EQ(earlier(last, wrapped), last);
  EXPECT_EQ(later(last, wrapped), wrapped);
  EXPECT_EQ(earlier(wrapped, last), last);
  EXPECT_EQ(later(wrapped, last), wrapped);
}

TEST(Seq, ComparesUpToHalfOfTheSpace) {
  const Seq base{1000};
  EXPECT_TRUE(base < base + 0x7fffffffU);
  EXPECT_FALSE(base < base + 0x80000001U);
}

}  // namespace
}  // namespace sf::tcp
