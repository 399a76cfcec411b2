#include "setup/id_map.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sf::setup {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(SubIds, entries_by_name_and_by_uid_count) {
  const char* text = "other:1:2\nme:100000:65536\n1000:300000:10\nmemo:5:5\n10001:6:6\n";
  EXPECT_THAT(parse_sub_ids(text, "me", 1000), ElementsAre(IdRange{100000, 65536}, IdRange{300000, 10}));
  EXPECT_THAT(parse_sub_ids(text, "nobody", 7), IsEmpty());
  EXPECT_THAT(parse_sub_ids("", "me", 1000), IsEmpty());
}

TEST(SubIds, a_range_counts_once) {
  EXPECT_THAT(parse_sub_ids("me:5:6\n1000:5:6\nme:5:6", "me", 1000), ElementsAre(IdRange{5, 6}));
}

TEST(SubIds, nonsense_is_left_out) {
  for (const char* bad : {"me", "me:", "me:1", "me:1:", "me::1", "me:1:0", "me:-1:5", "me:1:x",
                          "me:4294967295:1", "me:1:4294967295", "me:1:99999999999", "#me:1:1", "me:1:1:1"}) {
    EXPECT_THAT(parse_sub_ids(bad, "me", 1000), IsEmpty()) << bad;
  }
  EXPECT_THAT(parse_sub_ids("bad\n\nme:7:8", "me", 1000), ElementsAre(IdRange{7, 8}))
      << "no newline at the end";
}

TEST(IdMap, ranges_follow_one_after_the_other_from_1) {
  EXPECT_THAT(map_with_ranges(1000, {{100000, 65536}, {300000, 10}}),
              ElementsAre(IdMapLine{0, 1000, 1}, IdMapLine{1, 100000, 65536}, IdMapLine{65537, 300000, 10}));
  EXPECT_THAT(map_with_ranges(7, {}), ElementsAre(IdMapLine{0, 7, 1}));
}

TEST(IdMap, the_kernels_limits_hold) {
  EXPECT_EQ(map_with_ranges(0, std::vector<IdRange>(1000, {5, 1})).size(), 340U);
  // The second range would go beyond the last id.
  EXPECT_THAT(map_with_ranges(0, {{1, 4000000000U}, {5, 4000000000U}}),
              ElementsAre(IdMapLine{0, 0, 1}, IdMapLine{1, 1, 4000000000U}));
}

TEST(IdMap, parse_takes_the_kernels_layout) {
  EXPECT_THAT(parse_id_map("         0       1000          1\n         1     100000      65536\n"),
              ElementsAre(IdMapLine{0, 1000, 1}, IdMapLine{1, 100000, 65536}));
  EXPECT_THAT(parse_id_map("         0          0 4294967295\n"), ElementsAre(IdMapLine{0, 0, 4294967295U}));
  EXPECT_THAT(parse_id_map("0 1\nx y z\n\n"), IsEmpty());
}

TEST(IdMap, identity_is_of_the_inside_ids) {
  EXPECT_THAT(identity_of({{0, 1000, 1}, {1, 100000, 65536}}),
              ElementsAre(IdMapLine{0, 0, 1}, IdMapLine{1, 1, 65536}));
}

TEST(IdMap, ranges_that_are_not_mapped_here_do_not_exist) {
  const std::vector<IdMapLine> nested{{0, 1000, 1}, {1, 100000, 65536}};
  EXPECT_THAT(existing_ranges({{100000, 65536}, {1, 65536}, {1, 65537}, {0, 2}, {65536, 1}}, nested),
              ElementsAre(IdRange{1, 65536}, IdRange{65536, 1}));
  EXPECT_THAT(existing_ranges({{100000, 65536}}, {{0, 0, 4294967295U}}), ElementsAre(IdRange{100000, 65536}));
}

}  // namespace
}  // namespace sf::setup
