#include "cli/options.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sf::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const Environment kEnvironment{false, "/bin/shell"};

Config parsed(const std::vector<std::string>& words, const Environment& environment = kEnvironment) {
  auto options = parse_options(words, environment);
  EXPECT_TRUE(options.has_value()) << (options ? "" : options.error().message);
  if (!options || !std::holds_alternative<Config>(*options)) {
    ADD_FAILURE() << "no Config";
    return {};
  }
  return std::get<Config>(*options);
}

std::string refused(const std::vector<std::string>& words) {
  auto options = parse_options(words, kEnvironment);
  EXPECT_FALSE(options.has_value());
  const std::string message = options ? "" : options.error().message;
  EXPECT_THAT(message, Not(HasSubstr("\n")));
  return message;
}

std::string shown(const std::vector<std::string>& words) {
  auto options = parse_options(words, kEnvironment);
  if (!options || !std::holds_alternative<ShowText>(*options)) {
    ADD_FAILURE() << "no text";
    return {};
  }
  return std::get<ShowText>(*options).text;
}

TEST(Options, defaults_are_the_documented_ones) {
  const Config config = parsed({"run"});
  EXPECT_EQ(config.command, Command::run);
  EXPECT_EQ(config.mtu, 1500U);
  EXPECT_EQ(config.cidr.to_string(), "10.0.2.0/24");
  EXPECT_EQ(config.cidr6.to_string(), "fd00::/64");
  EXPECT_TRUE(config.ipv6);
  EXPECT_FALSE(config.mac.has_value());
  EXPECT_EQ(config.tap_name, "tap0");
  EXPECT_FALSE(config.host_loopback);
  EXPECT_TRUE(config.dns);
  EXPECT_EQ(config.log_level, LogLevel::info);
  EXPECT_TRUE(config.configure);
  EXPECT_THAT(config.guest_command, ElementsAre("/bin/shell"));
  EXPECT_EQ(config.ready_fd, -1);
}

TEST(Options, every_value_arrives) {
  const Config config = parsed({"run",
                                "--mtu",
                                "65520",
                                "--cidr=192.168.7.0/29",
                                "--cidr6",
                                "2001:db8:5::/64",
                                "--mac",
                                "52:54:00:12:34:56",
                                "--tap-name",
                                "eth0",
                                "--host-loopback",
                                "--outbound-addr",
                                "192.0.2.1",
                                "--outbound-addr6",
                                "2001:db8::1",
                                "--outbound-if",
                                "wlan0",
                                "--dns",
                                "192.0.2.53",
                                "--dns",
                                "::1",
                                "--log-level",
                                "debug",
                                "--log-format",
                                "json",
                                "--pcap",
                                "a file",
                                "--offload",
                                "off",
                                "--pid",
                                "--uts",
                                "cmd"});
  EXPECT_EQ(config.mtu, 65520U);
  EXPECT_EQ(config.cidr.to_string(), "192.168.7.0/29");
  EXPECT_EQ(config.cidr6.to_string(), "2001:db8:5::/64");
  EXPECT_EQ(config.mac->to_string(), "52:54:00:12:34:56");
  EXPECT_EQ(config.tap_name, "eth0");
  EXPECT_FALSE(config.offload);
  EXPECT_TRUE(config.host_loopback);
  EXPECT_EQ(config.outbound_address4->to_string(), "192.0.2.1");
  EXPECT_EQ(config.outbound_address6->to_string(), "2001:db8::1");
  EXPECT_EQ(config.outbound_interface, "wlan0");
  EXPECT_THAT(config.dns_servers, ElementsAre(*Address::parse("192.0.2.53"), *Address::parse("::1")));
  EXPECT_EQ(config.log_level, LogLevel::debug);
  EXPECT_EQ(config.log_format, LogFormat::json);
  EXPECT_EQ(config.pcap_file, "a file");
  EXPECT_TRUE(config.namespaces.pid);
  EXPECT_FALSE(config.namespaces.ipc);
  EXPECT_TRUE(config.namespaces.uts);
  EXPECT_FALSE(config.namespaces.cgroup);
}

TEST(Options, run_takes_no_option_after_its_command) {
  const Config config =
      parsed({"--mtu", "9000", "run", "--pid", "ls", "--mtu", "3", "--", "[a,b]", "-h", "run"});
  EXPECT_EQ(config.mtu, 9000U);
  EXPECT_THAT(config.guest_command, ElementsAre("ls", "--mtu", "3", "--", "[a,b]", "-h", "run"));
  EXPECT_THAT(parsed({"run", "--", "--mtu", ""}).guest_command, ElementsAre("--mtu", ""));
  EXPECT_THAT(parsed({"run", "run", "--help"}).guest_command, ElementsAre("run", "--help"));
  EXPECT_THAT(parsed({"run", "--"}).guest_command, ElementsAre("/bin/shell"));
  EXPECT_THAT(parsed({"run"}, {false, ""}).guest_command, ElementsAre("/bin/sh"));
}

TEST(Options, flow_log_is_a_file_or_a_descriptor) {
  EXPECT_EQ(parsed({"run"}).flow_log_fd, -1);
  EXPECT_EQ(parsed({"run", "--flow-log", "a file"}).flow_log_file, "a file");
  EXPECT_EQ(parsed({"run", "--flow-log", "./3"}).flow_log_file, "./3");
  for (const char* text : {"3", "fd:3"}) {
    const Config config = parsed({"run", "--flow-log", "x", "--flow-log", text});
    EXPECT_EQ(config.flow_log_fd, 3);
    EXPECT_EQ(config.flow_log_file, "");
  }
  EXPECT_THAT(refused({"run", "--flow-log", ""}), HasSubstr("--flow-log: needs a value"));
  EXPECT_THAT(refused({"run", "--flow-log", "fd:"}), HasSubstr("--flow-log"));
  EXPECT_THAT(refused({"run", "--flow-log", "fd:-1"}), HasSubstr("--flow-log '-1'"));
  EXPECT_THAT(refused({"attach", "--flow-log", "3", "--ready-fd", "3", "1"}), HasSubstr("open two"));
}

TEST(Options, all_means_the_four_namespaces) {
  const ExtraNamespaces extra = parsed({"run", "--all"}).namespaces;
  EXPECT_TRUE(extra.pid && extra.ipc && extra.uts && extra.cgroup);
}

TEST(Options, attach_takes_options_on_either_side) {
  const Config config = parsed(
      {"attach", "--configure", "123", "eth1", "--ready-fd", "3", "--exit-fd=4", "--userns-path", "/u"});
  EXPECT_EQ(config.command, Command::attach);
  EXPECT_EQ(config.target, "123");
  EXPECT_EQ(config.tap_name, "eth1");
  EXPECT_TRUE(config.configure);
  EXPECT_EQ(config.ready_fd, 3);
  EXPECT_EQ(config.exit_fd, 4);
  EXPECT_EQ(config.userns_path, "/u");
  EXPECT_FALSE(parsed({"attach", "123"}).configure);
  EXPECT_EQ(parsed({"attach", "--", "-odd"}).target, "-odd");
}

TEST(Options, any_other_first_word_is_a_path) {
  EXPECT_EQ(parsed({"net"}).command, Command::path);
  EXPECT_EQ(parsed({"--mtu", "1400", "./run"}).target, "./run");
  EXPECT_EQ(parsed({"net", "--configure"}).configure, true);
  EXPECT_EQ(parsed({"net"}).configure, false);
  EXPECT_EQ(parsed({"net"}, {true, ""}).configure, true);
}

TEST(Options, threads) {
  EXPECT_EQ(parsed({"run"}).threads, 0U) << "as many as suit the machine";
  EXPECT_EQ(parsed({"run", "--threads", "1"}).threads, 1U);
  EXPECT_EQ(parsed({"attach", "--threads=32", "4711"}).threads, 32U);
  EXPECT_EQ(parsed({"--threads", "4", "./file"}).threads, 4U);
  for (const char* wrong : {"0", "33", "-1", "two", ""}) {
    EXPECT_THAT(refused({"run", "--threads", wrong}), testing::StartsWith("--threads")) << wrong;
  }
}

TEST(Options, small_mtu_only_without_ipv6) {
  EXPECT_THAT(refused({"run", "--mtu", "1279"}), HasSubstr("--no-ipv6"));
  EXPECT_EQ(parsed({"run", "--mtu", "1280"}).mtu, 1280U);
  EXPECT_EQ(parsed({"run", "--mtu", "576", "--no-ipv6"}).mtu, 576U);
  EXPECT_THAT(refused({"run", "--no-ipv6", "--mtu", "575"}), HasSubstr("576"));
  EXPECT_TRUE(parsed({"run", "--offload=off", "--offload=on"}).offload);
  EXPECT_TRUE(parsed({"run"}).offload);
  EXPECT_THAT(refused({"run", "--offload", "some"}), HasSubstr("--offload 'some': must be on or off"));
  EXPECT_THAT(refused({"run", "--mtu", "65521"}), HasSubstr("65520"));
}

TEST(Options, mistakes_are_named) {
  EXPECT_THAT(refused({}), HasSubstr("missing"));
  EXPECT_THAT(refused({"--mtu"}), HasSubstr("--mtu"));
  EXPECT_THAT(refused({"--mtu", "1400"}), HasSubstr("missing"));
  EXPECT_THAT(refused({"run", "--bogus"}), HasSubstr("--bogus"));
  EXPECT_THAT(refused({"run", "--configure"}), HasSubstr("--configure"));
  EXPECT_THAT(refused({"net", "--pid"}), HasSubstr("--pid"));
  EXPECT_THAT(refused({"net", "tap1"}), HasSubstr("tap1"));
  EXPECT_THAT(refused({"net", "run"}), HasSubstr("run"));
  EXPECT_THAT(refused({"attach"}), HasSubstr("PID or PATH"));
  EXPECT_THAT(refused({"attach", "1", "a/b"}), HasSubstr("a/b"));
  EXPECT_THAT(refused({"attach", "1", "t", "u"}), HasSubstr("'u'"));
  EXPECT_THAT(refused({"attach", "1", "--ready-fd", "-1"}), HasSubstr("--ready-fd"));
  EXPECT_THAT(refused({"attach", "1", "--ready-fd", "3", "--exit-fd", "3"}), HasSubstr("3"));
  EXPECT_THAT(refused({"run", "--dns", "192.0.2.1", "--no-dns"}), HasSubstr("contradict"));
  EXPECT_THAT(refused({"run", "--log-level", "loud"}), HasSubstr("loud"));
  EXPECT_THAT(refused({"run", "--log-format", "xml"}), HasSubstr("xml"));
  EXPECT_THAT(refused({"run", "--", ""}), HasSubstr("CMD"));
  EXPECT_THAT(refused({""}), Not(IsEmpty()));
}

TEST(Options, version_and_help_are_texts) {
  EXPECT_THAT(shown({"--version"}), HasSubstr("slirp-forwarder "));
  EXPECT_THAT(shown({"run", "--version"}), HasSubstr("slirp-forwarder "));
  for (const char* word : {"run", "attach"}) {
    EXPECT_THAT(shown({"--help"}), HasSubstr(word));
    EXPECT_THAT(shown({word, "--help"}), HasSubstr("Examples:"));
  }
  EXPECT_THAT(shown({"run", "--help"}), HasSubstr("--cgroup"));
  EXPECT_THAT(shown({"run", "--help"}), Not(HasSubstr("--userns-path")));
  EXPECT_THAT(shown({"attach", "--help"}), HasSubstr("--userns-path"));
}

TEST(Options, ports_to_the_guests_loopback) {
  const Config config =
      parsed({"run", "-p", "80:80", "--publish-loopback", "8080:80", "--publish-loopback", "udp/[::1]:53"});
  ASSERT_EQ(config.publish.size(), 3U);
  EXPECT_FALSE(config.publish[0].loopback);
  EXPECT_TRUE(config.publish[1].loopback);
  EXPECT_EQ(config.publish[1].host_port, 8080);
  EXPECT_TRUE(config.publish[2].loopback);
  EXPECT_FALSE(config.publish_auto);
  EXPECT_THAT(refused({"run", "--publish-loopback", "80:x"}), HasSubstr("80:x"));
  EXPECT_THAT(refused({"run", "--publish-loopback", "auto"}), HasSubstr("auto"));
}

TEST(Options, publish_auto_beside_ports) {
  for (const auto& words : {std::vector<std::string>{"run", "--publish", "auto", "-p", "8080:80"},
                            {"attach", "-p", "8080:80", "-p", "auto", "1"},
                            {"--publish", "auto", "-p", "8080:80", "/some/path"}}) {
    const Config config = parsed(words);
    EXPECT_TRUE(config.publish_auto);
    EXPECT_EQ(config.publish.size(), 1U);
  }
}

}  // namespace
}  // namespace sf::cli
