#include "services/search_list.hh"

#include <gmock/gmock.h>

namespace sf::services {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> usable(std::vector<std::string> names, std::size_t budget) {
  return usable_search(names, budget);
}

TEST(SearchList, KeepsTheOrder) {
  EXPECT_THAT(usable({"b.example", "a.example"}, 100), ElementsAre("b.example", "a.example"));
}

TEST(SearchList, LeavesOutWhatIsNoName) {
  EXPECT_THAT(usable({".", "", "a..b", std::string(64, 'x'), "lab.test"}, 100), ElementsAre("lab.test"));
}

TEST(SearchList, LeavesOutANameOverTheLimit) {
  std::string longest;
  for (int i = 0; i < 5; ++i) longest += std::string(60, 'x') + ".";
  EXPECT_THAT(usable({longest}, 1000), IsEmpty());
}

TEST(SearchList, CountsBytesAsOnTheWire) {
  // Two length bytes and the root: "lab.test" is 10 bytes.
  EXPECT_THAT(usable({"lab.test", "lab.test"}, 20), ElementsAre("lab.test", "lab.test"));
  EXPECT_THAT(usable({"lab.test", "lab.test"}, 19), ElementsAre("lab.test"));
}

TEST(SearchList, EndsWithTheFirstThatDoesNotFit) {
  EXPECT_THAT(usable({"lab.test", "much.longer.example", "a"}, 20), ElementsAre("lab.test"));
}

}  // namespace
}  // namespace sf::services
