#include "base/log.hh"

#include <gtest/gtest.h>

#include <vector>

namespace sf {
namespace {

TEST(Log, LevelsHaveNamesBothWays) {
  for (const LogLevel level : {LogLevel::error, LogLevel::warning, LogLevel::info, LogLevel::debug}) {
    EXPECT_EQ(parse_log_level(to_string(level)), level);
  }
  EXPECT_FALSE(parse_log_level("verbose"));
  EXPECT_FALSE(parse_log_level("Error"));
  EXPECT_FALSE(parse_log_level(""));
}

TEST(Log, SinkSeesWhatTheLevelLetsThrough) {
  std::vector<std::string> seen;
  const Log log(LogLevel::warning, [&](LogLevel level, std::string_view message) {
    seen.push_back(std::string(to_string(level)) + " " + std::string(message));
  });
  log.error("{} of {}", 1, "two");
  log.warning("w");
  log.info("i");
  log.debug("d");
  log.write(LogLevel::error, "{} as it is");
  log.write(LogLevel::info, "x");
  EXPECT_EQ(seen, (std::vector<std::string>{"error 1 of two", "warning w", "error {} as it is"}));
  EXPECT_TRUE(log.enabled(LogLevel::warning));
  EXPECT_FALSE(log.enabled(LogLevel::info));
}

TEST(Log, OnceIsOnce) {
  Once once;
  EXPECT_TRUE(once.first());
  EXPECT_FALSE(once.first());
  EXPECT_FALSE(once.first());
}

TEST(JsonLine, EscapesWhatJsonCannotHold) {
  EXPECT_EQ(json_line(LogLevel::info, "plain", "2026-01-02T03:04:05Z"),
            R"({"time":"2026-01-02T03:04:05Z","level":"info","message":"plain"})");
  EXPECT_EQ(json_line(LogLevel::error, "a \"b\" \\c\n\td\x01", ""),
            R"({"time":"","level":"error","message":"a \"b\" \\c\n\u0009d\u0001"})");
  EXPECT_EQ(json_line(LogLevel::error, "é", ""), R"({"time":"","level":"error","message":"é"})");
}

// RFC 8259 section 7.
TEST(JsonLine, EscapesEveryControlCharacter) {
  for (int c = 1; c < 0x20; ++c) {
    const std::string line = json_line(LogLevel::info, std::string(1, static_cast<char>(c)), "");
    for (const char out : line) EXPECT_GE(static_cast<unsigned char>(out), 0x20) << c;
  }
}

}  // namespace
}  // namespace sf
