#include "control/message_end.hh"

#include <gtest/gtest.h>

#include <string>

namespace sf::control {
namespace {

// How many bytes of `text` belong to its first message, fed in pieces of `size`; nothing if it does not end.
std::optional<std::size_t> end_of(const std::string& text, std::size_t size) {
  MessageEnd end;
  std::size_t taken = 0;
  for (std::size_t at = 0; at < text.size(); at += size) {
    taken += end.feed(std::string_view(text).substr(at, size));
    if (end.done()) return taken;
  }
  return std::nullopt;
}

TEST(MessageEnd, the_bracket_that_closes_the_first_one) {
  for (const std::size_t size : {1U, 2U, 3U, 100U}) {
    EXPECT_EQ(end_of(R"({})", size), 2U);
    EXPECT_EQ(end_of("\r\n\t {\"a\":{\"b\":[1]}}\n", size), 19U);
    EXPECT_EQ(end_of(R"({"a":1}{"b":2})", size), 7U);
    EXPECT_EQ(end_of(R"([1] x)", size), 3U);
  }
}

TEST(MessageEnd, brackets_in_strings_do_not_count) {
  for (const std::size_t size : {1U, 2U, 3U, 100U}) {
    EXPECT_EQ(end_of(R"({"}":"]"})", size), 9U);
    EXPECT_EQ(end_of(R"({"\"}":"\\"})", size), 12U);
    EXPECT_EQ(end_of(R"({"a":"\"}"x)", size), std::nullopt);
    EXPECT_EQ(end_of("{\"a\n}", size), std::nullopt);
  }
}

TEST(MessageEnd, what_is_no_object_ends_with_its_line) {
  for (const std::size_t size : {1U, 2U, 3U, 100U}) {
    EXPECT_EQ(end_of("hello {\nx", size), 8U);
    EXPECT_EQ(end_of("\n\n}\n", size), 4U);
    EXPECT_EQ(end_of("hello", size), std::nullopt);
    EXPECT_EQ(end_of(" \n", size), std::nullopt);
    EXPECT_EQ(end_of("{\n\n", size), std::nullopt);
  }
}

}  // namespace
}  // namespace sf::control
