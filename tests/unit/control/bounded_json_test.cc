#include "control/bounded_json.hh"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace sf::control {
namespace {

std::string repeated(const std::string& text, std::size_t count) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += text;
  return all;
}

TEST(BoundedJson, values_are_what_they_are) {
  EXPECT_EQ(parse_bounded(R"({"a":[1,-2,3.5,"x",null,true]})").dump(), R"({"a":[1,-2,3.5,"x",null,true]})");
  EXPECT_EQ(parse_bounded("18446744073709551615").get<std::uint64_t>(), 18446744073709551615U);
  for (const char* text : {"", "x", "{", "[1,]", "{} {}", "\"\xff\""}) {
    EXPECT_TRUE(parse_bounded(text).is_discarded()) << text;
  }
}

TEST(BoundedJson, depth_is_bounded) {
  EXPECT_FALSE(parse_bounded(repeated("[", 20) + repeated("]", 20)).is_discarded());
  EXPECT_TRUE(parse_bounded(repeated("[", 40) + repeated("]", 40)).is_discarded());
  EXPECT_TRUE(parse_bounded(repeated("{\"a\":", 100'000)).is_discarded());
}

TEST(BoundedJson, the_number_of_values_is_bounded) {
  EXPECT_FALSE(parse_bounded("[" + repeated("0,", 100'000) + "0]").is_discarded());
  EXPECT_TRUE(parse_bounded("[" + repeated("0,", 2'200'000) + "0]").is_discarded());
}

}  // namespace
}  // namespace sf::control
