#include "control/metrics_address.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sf::control {
namespace {

TEST(MetricsAddress, forms) {
  for (const auto& [text, shown] :
       {std::pair("9100", "127.0.0.1:9100"), std::pair("0", "127.0.0.1:0"),
        std::pair("[::1]:9100", "[::1]:9100"), std::pair("0.0.0.0:80", "0.0.0.0:80"),
        std::pair("[::]:65535", "[::]:65535"), std::pair("unix:a b:1", "unix:a b:1"),
        std::pair("unix:/run/m.sock", "unix:/run/m.sock")}) {
    const auto address = parse_metrics_address("--metrics", text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->to_string(), shown);
  }
}

TEST(MetricsAddress, what_is_none) {
  for (const char* text : {"", ":", ":9100", "65536", "-1", "9100x", "::1:9100", "::1", "[127.0.0.1]:80",
                           "[::1]", "127.0.0.1", "127.0.0.1:", "localhost:9100", "224.0.0.1:80",
                           "[ff02::1]:80", "unix:", "[]:80", "255.255.255.255:80", "127.0.0.1:80:"}) {
    const auto address = parse_metrics_address("--metrics", text);
    ASSERT_FALSE(address) << text;
    EXPECT_THAT(address.error().message, testing::StartsWith(std::string("--metrics '") + text + "': "));
    EXPECT_THAT(address.error().message, testing::HasSubstr("unix:PATH"));
  }
}

}  // namespace
}  // namespace sf::control
