#include "cli/values.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sf::cli {
namespace {

using ::testing::HasSubstr;

template <typename T>
std::string message(const Result<T>& result) {
  return result ? "accepted" : result.error().message;
}

TEST(Values, numbers_are_digits_within_bounds) {
  EXPECT_EQ(*parse_number("--n", "7", 7, 9), 7U);
  EXPECT_EQ(*parse_number("--n", "9", 7, 9), 9U);
  for (const char* bad : {"", "6", "10", "-7", "+7", " 7", "7 ", "0x7", "7.0", "99999999999999999999"}) {
    EXPECT_THAT(message(parse_number("--n", bad, 7, 9)), HasSubstr("from 7 to 9")) << bad;
  }
}

TEST(Values, cidr_with_host_bits_names_the_network) {
  EXPECT_THAT(message(parse_cidr("--cidr", "10.0.2.5/24")), HasSubstr("10.0.2.0/24"));
  EXPECT_THAT(message(parse_cidr("--cidr", "10.1.2.3/12")), HasSubstr("10.0.0.0/12"));
  EXPECT_THAT(message(parse_cidr6("--cidr6", "fd00::1/64")), HasSubstr("fd00::/64"));
}

TEST(Values, cidr_is_a_network_with_room) {
  EXPECT_EQ(parse_cidr("--cidr", "192.168.1.8/29")->to_string(), "192.168.1.8/29");
  EXPECT_EQ(parse_cidr("--cidr", "10.0.0.0/8")->to_string(), "10.0.0.0/8");
  EXPECT_THAT(message(parse_cidr("--cidr", "192.168.1.8/30")), HasSubstr("/29"));
  for (const char* bad :
       {"127.0.0.0/8", "127.1.0.0/16", "224.0.0.0/4", "0.0.0.0/0", "0.0.0.0/8", "240.0.0.0/8", "64.0.0.0/2",
        "10.0.2.0", "10.0.2.0/", "10.0.2.0/33", "10.0.2/24", "fd00::/64", "/24", ""}) {
    EXPECT_THAT(message(parse_cidr("--cidr", bad)), HasSubstr("--cidr '")) << bad;
  }
}

TEST(Values, cidr6_is_a_unicast_64) {
  EXPECT_EQ(parse_cidr6("--cidr6", "2001:db8:1:2::/64")->to_string(), "2001:db8:1:2::/64");
  for (const char* bad :
       {"fd00::/63", "fd00::/65", "fe80::/64", "ff02::/64", "::/64", "10.0.2.0/24", "fd00::", "x/64"}) {
    EXPECT_THAT(message(parse_cidr6("--cidr6", bad)), HasSubstr("--cidr6 '")) << bad;
  }
}

TEST(Values, mac_is_unicast) {
  EXPECT_EQ(parse_mac("--mac", "02:00:00:00:00:01")->to_string(), "02:00:00:00:00:01");
  for (const char* bad :
       {"01:00:00:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00", "02:00:00:00:00", "x", ""}) {
    EXPECT_THAT(message(parse_mac("--mac", bad)), HasSubstr("--mac '")) << bad;
  }
}

TEST(Values, interface_names_are_those_of_linux) {
  EXPECT_EQ(*parse_interface("--tap-name", "fifteen-letters"), "fifteen-letters");
  for (const char* bad : {"", "sixteen-letters-", "a/b", "a b", "a:1", ".", "..", "a\n", "tap%d"}) {
    EXPECT_THAT(message(parse_interface("--tap-name", bad)), HasSubstr("--tap-name '")) << bad;
  }
}

TEST(Values, addresses_are_of_one_host_and_the_family) {
  EXPECT_EQ(parse_address("--dns", "::1", Family::any)->to_string(), "::1");
  EXPECT_EQ(parse_address("--dns", "127.0.0.53", Family::v4)->to_string(), "127.0.0.53");
  EXPECT_THAT(message(parse_address("--a", "::1", Family::v4)), HasSubstr("IPv4"));
  EXPECT_THAT(message(parse_address("--a", "192.0.2.1", Family::v6)), HasSubstr("IPv6"));
  for (const char* bad : {"0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"}) {
    EXPECT_THAT(message(parse_address("--a", bad, Family::any)), HasSubstr("single host")) << bad;
  }
}

}  // namespace
}  // namespace sf::cli
