#include "control/publish_syntax.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sf::control {
namespace {

using engine::PublishRule;
using engine::Transport;
using ::testing::HasSubstr;
using ::testing::Not;

std::string refused(std::string_view text) {
  const auto rules = parse_publish(text);
  const std::string message = rules ? "accepted" : rules.error().message;
  EXPECT_THAT(message, Not(HasSubstr("\n")));
  EXPECT_TRUE(rules || message.find("the form is [tcp|udp/]") != std::string::npos) << message;
  return message;
}

PublishRule single(std::string_view text) {
  const auto rules = parse_publish(text);
  EXPECT_TRUE(rules.has_value()) << text << ": " << (rules ? "" : rules.error().message);
  if (!rules || rules->size() != 1) {
    ADD_FAILURE() << "not one rule: " << text;
    return {};
  }
  return rules->front();
}

PublishRule rule(Transport transport, const char* address, std::uint16_t host_port,
                 std::uint16_t guest_port) {
  PublishRule made;
  made.transport = transport;
  made.host_address = Address::parse(address);
  made.host_port = host_port;
  made.guest_port = guest_port;
  return made;
}

TEST(PublishSyntax, every_part_is_optional_but_the_port) {
  EXPECT_EQ(single("8080"), rule(Transport::tcp, "", 8080, 8080));
  EXPECT_EQ(single("8080:80"), rule(Transport::tcp, "", 8080, 80));
  EXPECT_EQ(single("tcp/8080:80"), rule(Transport::tcp, "", 8080, 80));
  EXPECT_EQ(single("udp/53"), rule(Transport::udp, "", 53, 53));
  EXPECT_EQ(single("127.0.0.1:8080"), rule(Transport::tcp, "127.0.0.1", 8080, 8080));
  EXPECT_EQ(single("udp/192.0.2.1:8080:80"), rule(Transport::udp, "192.0.2.1", 8080, 80));
  EXPECT_EQ(single("[::1]:8080"), rule(Transport::tcp, "::1", 8080, 8080));
  EXPECT_EQ(single("udp/[2001:db8::1]:65535:1"), rule(Transport::udp, "2001:db8::1", 65535, 1));
  EXPECT_EQ(single("0.0.0.0:1:2"), rule(Transport::tcp, "0.0.0.0", 1, 2));
  EXPECT_EQ(single("[::]:1:2"), rule(Transport::tcp, "::", 1, 2));
}

TEST(PublishSyntax, host_may_choose_a_port) {
  EXPECT_EQ(single("0:80"), rule(Transport::tcp, "", 0, 80));
  EXPECT_EQ(single("udp/127.0.0.1:0:80"), rule(Transport::udp, "127.0.0.1", 0, 80));
  EXPECT_THAT(refused("0"), HasSubstr("GUEST_PORT has to be given"));
  EXPECT_THAT(refused("0-3:1-4"), HasSubstr("a range begins at 1"));
  EXPECT_THAT(refused("80:0"), HasSubstr("'0' is not a port from 1 to 65535"));
}

TEST(PublishSyntax, ranges_map_in_order) {
  const auto rules = parse_publish("udp/127.0.0.1:8000-8002:80-82");
  ASSERT_TRUE(rules.has_value());
  ASSERT_EQ(rules->size(), 3U);
  for (std::uint16_t i = 0; i < 3; ++i) {
    EXPECT_EQ((*rules)[i], rule(Transport::udp, "127.0.0.1", static_cast<std::uint16_t>(8000 + i),
                                static_cast<std::uint16_t>(80 + i)));
  }
  const auto same = parse_publish("[::1]:65534-65535");
  ASSERT_TRUE(same.has_value());
  ASSERT_EQ(same->size(), 2U);
  EXPECT_EQ(same->back(), rule(Transport::tcp, "::1", 65535, 65535));
  EXPECT_EQ(single("80-80"), rule(Transport::tcp, "", 80, 80));
}

TEST(PublishSyntax, ranges_have_bounds) {
  EXPECT_EQ(parse_publish("1-1024")->size(), 1024U);
  EXPECT_THAT(refused("1-1025"), HasSubstr("1025 ports, more than 1024"));
  EXPECT_THAT(refused("1-65535"), HasSubstr("more than 1024"));
  EXPECT_THAT(refused("90-80"), HasSubstr("ends before it begins"));
  EXPECT_THAT(refused("8000-8002:80-81"), HasSubstr("3 ports of the host's cannot lead to 2"));
  EXPECT_THAT(refused("8000-8002:80"), HasSubstr("cannot lead to 1"));
  EXPECT_THAT(refused("8000:80-82"), HasSubstr("1 ports of the host's cannot lead to 3"));
}

TEST(PublishSyntax, mistakes_are_named) {
  EXPECT_THAT(refused(""), HasSubstr("'' is not a port from 0 to 65535"));
  EXPECT_THAT(refused("65536"), HasSubstr("'65536' is not a port"));
  EXPECT_THAT(refused("84000:80"), HasSubstr("'84000' is not a port"));
  EXPECT_THAT(refused("99999999999999999999"), HasSubstr("is not a port"));
  EXPECT_THAT(refused("-1"), HasSubstr("'' is not a port"));
  EXPECT_THAT(refused("80-"), HasSubstr("'' is not a port"));
  EXPECT_THAT(refused("80:"), HasSubstr("'' is not a port from 1"));
  EXPECT_THAT(refused("8x:80"), HasSubstr("'8x' is not an IP address"));
  EXPECT_THAT(refused(":80"), HasSubstr("'' is not a port"));
  EXPECT_THAT(refused(":80:80"), HasSubstr("'' is not an IP address"));
  EXPECT_THAT(refused("sctp/80"), HasSubstr("'sctp' is neither tcp nor udp"));
  EXPECT_THAT(refused("TCP/80"), HasSubstr("'TCP' is neither"));
  EXPECT_THAT(refused("/80"), HasSubstr("'' is neither"));
  EXPECT_THAT(refused("80/tcp"), HasSubstr("'80' is neither"));
  EXPECT_THAT(refused("auto"), HasSubstr("'auto' is not a port"));
  EXPECT_THAT(refused("localhost:80:80"), HasSubstr("'localhost' is not an IP address"));
  EXPECT_THAT(refused("256.0.0.1:80"), HasSubstr("'256.0.0.1' is not an IP address"));
  EXPECT_THAT(refused("224.0.0.1:80"), HasSubstr("'224.0.0.1' is no address that a socket listens on"));
  EXPECT_THAT(refused("1.2.3.4"), HasSubstr("'1.2.3.4' is not a port"));
  EXPECT_THAT(refused("::1:80:80"), HasSubstr("stands in brackets"));
  EXPECT_THAT(refused("1:2:3:4"), HasSubstr("too many ':'"));
  EXPECT_THAT(refused("[::1:80"), HasSubstr("no ']'"));
  EXPECT_THAT(refused("[::1]80"), HasSubstr("after ']'"));
  EXPECT_THAT(refused("[::1]"), HasSubstr("after ']'"));
  EXPECT_THAT(refused("[::g]:80"), HasSubstr("'::g' is not an IP address"));
  EXPECT_THAT(refused("[1.2.3.4]:80"), HasSubstr("not an IPv6 address"));
  EXPECT_THAT(refused("[]:80"), HasSubstr("not an IPv6 address"));
  EXPECT_THAT(refused("[::1]:1:2:3"), HasSubstr("'2:3' is not a port"));
}

TEST(PublishSyntax, errors_stay_one_short_line) {
  EXPECT_THAT(refused("80\n81"), HasSubstr("'80?81'"));
  EXPECT_LT(refused(std::string(60000, 'x')).size(), 400U);
}

TEST(PublishSyntax, what_is_formatted_parses_to_the_same) {
  for (const char* text : {"tcp/8080:80", "udp/53:53", "tcp/127.0.0.1:8080:80", "udp/[::1]:8080:80",
                           "tcp/0:80", "tcp/0.0.0.0:1:2", "tcp/[::]:1:2"}) {
    EXPECT_EQ(format_publish(single(text)), text);
  }
  PublishRule with_guest = rule(Transport::tcp, "127.0.0.1", 8080, 80);
  with_guest.guest_address = Address::parse("fd00::100");
  EXPECT_EQ(format_publish(with_guest), "tcp/127.0.0.1:8080:[fd00::100]:80");
}

}  // namespace
}  // namespace sf::control
