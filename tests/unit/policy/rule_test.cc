#include "policy/rule.hh"

#include <gtest/gtest.h>

#include "policy/file.hh"

namespace sf::policy {
namespace {

std::string round_trip(std::string_view text) {
  const auto rule = parse_rule(Action::allow, text);
  return rule ? rule->to_string() : fmt::format("{}: {}", rule.error().column, rule.error().message);
}

TEST(Rule, TakesEveryForm) {
  EXPECT_EQ(round_trip("github.com:443"), "allow github.com:443");
  EXPECT_EQ(round_trip("tcp/*.Debian.ORG.:80,443"), "allow tcp/*.debian.org:80,443");
  EXPECT_EQ(round_trip("udp/192.0.2.1:53-99"), "allow udp/192.0.2.1:53-99");
  EXPECT_EQ(round_trip("192.0.2.0/24"), "allow 192.0.2.0/24");
  EXPECT_EQ(round_trip("icmp/[2001:db8::1]"), "allow icmp/[2001:db8::1]");
  EXPECT_EQ(round_trip("[2001:db8::/32]:22"), "allow [2001:db8::/32]:22");
  EXPECT_EQ(round_trip("tcp/2001:db8::/32"), "allow tcp/[2001:db8::/32]");
  for (const char* group : {"private", "loopback", "link-local", "metadata", "internet"}) {
    EXPECT_EQ(round_trip(fmt::format("tcp/{}:80", group)), fmt::format("allow tcp/{}:80", group));
  }
}

TEST(Rule, SaysWhereItIsWrongAndWhatWasExpected) {
  EXPECT_EQ(round_trip("github.com:http"), "12: expected a port from 1 to 65535, not 'http'");
  EXPECT_EQ(round_trip("github.com:443,70000"), "16: expected a port from 1 to 65535, not '70000'");
  EXPECT_EQ(round_trip("a.test:90-80"), "11: expected the range's last port, 90 or more, not '80'");
  EXPECT_EQ(round_trip("a.test:80x"), "10: expected ',', '-' or the end after a port, not 'x'");
  EXPECT_EQ(round_trip("icmp/a.test:80"), "12: expected the end: icmp has no ports, not ':80'");
  EXPECT_EQ(round_trip("[2001:db8::1:80"), "1: expected ']' behind an IPv6 address, not '[2001:db8::1:80'");
  EXPECT_EQ(round_trip("[192.0.2.1]:80"),
            "2: expected an IPv6 address or network in the brackets, not '192.0.2.1]:80'");
  EXPECT_EQ(round_trip("*"),
            "1: expected a name behind '*.' (for everything that is public: internet), not '*'");
  for (const char* text :
       {"", ":80", "a..b", "-", "192.0.2.300", "1.2.3", "a.*.test", "sctp/a.test", "192.0.2.1/24",
        "b\xc3\xbc.test", "a b", "a.test:", "a.test:1-", "a.test:,1", "[::1]x"}) {
    if (std::string_view(text) == "-") continue;
    EXPECT_FALSE(parse_rule(Action::deny, text)) << text;
  }
}

TEST(Rule, GroupsAreDisjointFromTheInternet) {
  const auto in = [](Group group, std::string_view address) {
    for (const Prefix& prefix : prefixes_of(group)) {
      if (prefix.contains(*Address::parse(address))) return true;
    }
    return false;
  };
  for (const char* inside :
       {"1.1.1.1", "198.51.100.2", "172.32.0.1", "2001:db8::1", "2a00::1", "100.128.0.1"}) {
    EXPECT_TRUE(in(Group::internet, inside)) << inside;
  }
  for (const char* outside :
       {"10.1.2.3", "172.16.0.1", "192.168.255.1", "100.64.0.1", "127.0.0.1", "169.254.169.254",
        "168.63.129.16", "224.0.0.1", "255.255.255.255", "0.1.2.3", "::1", "fe80::1", "fd00::1", "ff02::1",
        "2002:a00::1", "64:ff9b::a00:1", "fd00:ec2::254"}) {
    EXPECT_FALSE(in(Group::internet, outside)) << outside;
  }
  EXPECT_TRUE(in(Group::metadata, "169.254.169.254"));
  EXPECT_TRUE(in(Group::metadata, "fd00:ec2::254"));
  EXPECT_TRUE(in(Group::link_local, "169.254.1.1"));
  EXPECT_TRUE(in(Group::private_, "fd12::1"));
}

std::string file_error(std::string_view text) {
  const auto file = parse_policy_file("p.toml", text);
  return file ? "" : file.error().message;
}

TEST(PolicyFile, IsTaken) {
  const auto file = parse_policy_file("p.toml", R"(# who may be reached
default = "deny"
rules = [ "deny metadata",
  'allow  github.com:443' ]
check-sni = true
audit = false
dns-refusal = "refused"
ttl-floor = 5
)");
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->rules.size(), 3U);
  EXPECT_EQ(file->rules[0].to_string(), "deny metadata");
  EXPECT_EQ(file->rules[1].to_string(), "allow github.com:443");
  EXPECT_EQ(file->rules[2].to_string(), "deny all");
  EXPECT_EQ(file->check_sni, true);
  EXPECT_EQ(file->audit, false);
  EXPECT_EQ(file->refuse_with_refused, true);
  EXPECT_EQ(file->ttl_floor, 5U);
}

TEST(PolicyFile, NamesFileLineAndColumn) {
  EXPECT_EQ(file_error("default = \"deny\"\nrules = [\n  \"allow a.test:x\",\n]\n"),
            "p.toml:3:17: expected a port from 1 to 65535, not 'x'");
  EXPECT_EQ(file_error("default = \"deny\"\nrules = [\"permit a.test\"]\n"),
            "p.toml:2:11: expected \"allow RULE\" or \"deny RULE\", not 'permit a.test'");
  EXPECT_EQ(file_error("default = \"maybe\"\n"), "p.toml:1:11: expected \"deny\" or \"allow\" for default");
  EXPECT_EQ(file_error("rules = []\n"),
            "p.toml:1:1: expected a line default = \"deny\" or default = \"allow\" in the file");
  EXPECT_EQ(file_error("default = \"deny\"\nrule = []\n"),
            "p.toml:2:1: expected default, rules, check-sni, audit, dns-refusal or ttl-floor, not 'rule'");
  EXPECT_EQ(file_error("default = \"deny\"\nttl-floor = 0\n"),
            "p.toml:2:13: expected a number of seconds from 1 to 3600 for ttl-floor");
  EXPECT_EQ(file_error("default = \"deny\"\naudit = 1\n"), "p.toml:2:9: expected true or false for audit");
  const std::string syntax = file_error("default = \"deny\"\nrules = [ \"allow a.test\"\n");
  EXPECT_TRUE(syntax.starts_with("p.toml:2:26: ")) << syntax;
  EXPECT_EQ(syntax.find('\n'), std::string::npos);
}

TEST(PolicyFile, OnlyCommentsHaveOtherLetters) {
  EXPECT_TRUE(parse_policy_file("p.toml", "default = \"deny\" # f\xc3\xbcr alle\nrules = []\n"));
  EXPECT_EQ(file_error("default = \"deny\"\nrules = [\"allow \xc3\xbc.test\"]\n"),
            "p.toml:2:17: expected a name, *.name, an address, a network, or one of private, loopback, "
            "link-local, metadata, internet, not '?.test'");
  // What toml++ reads past its tables for.
  EXPECT_TRUE(file_error("default = \"deny\"\nore = [1, \xd1\xbe]\n").starts_with("p.toml:2:11: "));
}

// What toml++ asserts not to come.
TEST(PolicyFile, ATableThatNoKeyBegins) {
  for (const std::string_view text : {"[.", "[.a]", "[[.]]", "[ \x01"})
    EXPECT_TRUE(file_error(text).starts_with("p.toml:1:")) << text;
}

TEST(PolicyFile, AnErrorIsOneLine) {
  EXPECT_EQ(file_error("default = \"deny\"\naudit = fal\n"),
            "p.toml:2:12: Error while parsing boolean: expected 'false', saw 'fal\\x0a'");
  EXPECT_EQ(
      file_error("default = \"deny\"\n\"\\u001b[2J\" = 1\n"),
      "p.toml:2:1: expected default, rules, check-sni, audit, dns-refusal or ttl-floor, not '\\x1b[2J'");
  EXPECT_EQ(file_error("default = \"deny\"\nrules = [\"allow a.test:\\n\"]\n"),
            "p.toml:2:24: expected a port from 1 to 65535, not '\\x0a'");
  const std::string longer(500, 'x');
  EXPECT_LT(file_error("default = \"deny\"\nrules = [\"allow a.test:" + longer + "\"]\n").size(), 300U);
}

}  // namespace
}  // namespace sf::policy
