#include "cli/slirp4netns.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/addresses.hh"

namespace sf::cli::slirp4netns_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

Config parsed(const std::vector<std::string>& words) {
  auto options = parse_slirp4netns(words);
  EXPECT_TRUE(options.has_value()) << (options ? "" : options.error().message);
  if (!options || !std::holds_alternative<Config>(*options)) {
    ADD_FAILURE() << "no Config";
    return {};
  }
  return std::get<Config>(*options);
}

std::string refused(const std::vector<std::string>& words) {
  auto options = parse_slirp4netns(words);
  EXPECT_FALSE(options.has_value());
  const std::string message = options ? "" : options.error().message;
  EXPECT_THAT(message, Not(HasSubstr("\n")));
  return message;
}

std::string shown(const std::vector<std::string>& words) {
  auto options = parse_slirp4netns(words);
  if (!options || !std::holds_alternative<ShowText>(*options)) {
    ADD_FAILURE() << "no text";
    return {};
  }
  return std::get<ShowText>(*options).text;
}

TEST(Slirp4netns, is_known_by_its_name_in_any_folder) {
  EXPECT_TRUE(is_slirp4netns("slirp4netns"));
  EXPECT_TRUE(is_slirp4netns("/usr/libexec/slirp-forwarder/slirp4netns"));
  EXPECT_TRUE(is_slirp4netns("./slirp4netns"));
  EXPECT_FALSE(is_slirp4netns("slirp-forwarder"));
  EXPECT_FALSE(is_slirp4netns("/opt/slirp4netns/slirp-forwarder"));
  EXPECT_FALSE(is_slirp4netns("slirp4netns2"));
  EXPECT_FALSE(is_slirp4netns(""));
}

TEST(Slirp4netns, defaults_are_those_of_slirp4netns) {
  const Config config = parsed({"4711"});
  EXPECT_TRUE(config.slirp4netns);
  EXPECT_EQ(config.command, Command::attach);
  EXPECT_EQ(config.target_kind, TargetKind::process);
  EXPECT_EQ(config.target, "4711");
  EXPECT_EQ(config.tap_name, "tap0");
  EXPECT_EQ(config.mtu, 1500U);
  EXPECT_EQ(config.cidr.to_string(), "10.0.2.0/24");
  EXPECT_FALSE(config.configure);
  EXPECT_FALSE(config.ipv6);
  EXPECT_TRUE(config.host_loopback);
  EXPECT_TRUE(config.dns);
  EXPECT_FALSE(config.sandbox);
  EXPECT_FALSE(config.seccomp);
  EXPECT_FALSE(config.mac.has_value());
  EXPECT_EQ(config.ready_fd, -1);
  EXPECT_EQ(config.exit_fd, -1);
  EXPECT_THAT(config.api_socket, IsEmpty());
  EXPECT_THAT(config.warnings, IsEmpty());
}

TEST(Slirp4netns, every_option_arrives) {
  const Config config = parsed({"--configure",
                                "--exit-fd=5",
                                "--ready-fd",
                                "6",
                                "--mtu=9000",
                                "--enable-ipv6",
                                "--api-socket=/tmp/s",
                                "--cidr=10.41.0.0/16",
                                "--disable-host-loopback",
                                "--netns-type=path",
                                "--userns-path=/proc/1/ns/user",
                                "--enable-sandbox",
                                "--enable-seccomp",
                                "--outbound-addr=192.0.2.1",
                                "--outbound-addr6=2001:db8::1",
                                "--disable-dns",
                                "--macaddress=52:54:00:12:34:56",
                                "--target-type=netns",
                                "/run/netns/x",
                                "eth0"});
  EXPECT_TRUE(config.configure);
  EXPECT_EQ(config.exit_fd, 5);
  EXPECT_EQ(config.ready_fd, 6);
  EXPECT_EQ(config.mtu, 9000U);
  EXPECT_TRUE(config.ipv6);
  EXPECT_EQ(config.api_socket, "/tmp/s");
  EXPECT_EQ(config.cidr.to_string(), "10.41.0.0/16");
  EXPECT_FALSE(config.host_loopback);
  EXPECT_EQ(config.target_kind, TargetKind::path);
  EXPECT_EQ(config.target, "/run/netns/x");
  EXPECT_EQ(config.userns_path, "/proc/1/ns/user");
  EXPECT_TRUE(config.sandbox);
  EXPECT_TRUE(config.seccomp);
  EXPECT_EQ(config.outbound_address4, Address::v4(192, 0, 2, 1));
  ASSERT_TRUE(config.outbound_address6.has_value());
  EXPECT_EQ(config.outbound_address6->to_string(), "2001:db8::1");
  EXPECT_FALSE(config.dns);
  ASSERT_TRUE(config.mac.has_value());
  EXPECT_EQ(config.mac->to_string(), "52:54:00:12:34:56");
  EXPECT_EQ(config.tap_name, "eth0");
}

TEST(Slirp4netns, every_letter_arrives) {
  const Config config = parsed({"-c", "-e", "5", "-r", "6", "-m", "9000", "-6", "-a", "/tmp/s", "12"});
  EXPECT_TRUE(config.configure);
  EXPECT_EQ(config.exit_fd, 5);
  EXPECT_EQ(config.ready_fd, 6);
  EXPECT_EQ(config.mtu, 9000U);
  EXPECT_TRUE(config.ipv6);
  EXPECT_EQ(config.api_socket, "/tmp/s");
}

TEST(Slirp4netns, second_names) {
  EXPECT_FALSE(parsed({"--no-host-loopback", "12"}).host_loopback);
  EXPECT_TRUE(parsed({"--create-sandbox", "12"}).sandbox);
}

TEST(Slirp4netns, letters_stand_together) {
  const Config config = parsed({"-c6r3", "-m1280", "12", "-e7"});
  EXPECT_TRUE(config.configure);
  EXPECT_TRUE(config.ipv6);
  EXPECT_EQ(config.ready_fd, 3);
  EXPECT_EQ(config.mtu, 1280U);
  EXPECT_EQ(config.exit_fd, 7);
  EXPECT_EQ(parsed({"-cr", "3", "12"}).ready_fd, 3);
}

TEST(Slirp4netns, options_may_follow_the_target) {
  const Config config = parsed({"12", "--mtu=2000", "tap7", "-c"});
  EXPECT_EQ(config.target, "12");
  EXPECT_EQ(config.tap_name, "tap7");
  EXPECT_EQ(config.mtu, 2000U);
  EXPECT_TRUE(config.configure);
}

TEST(Slirp4netns, two_dashes_end_the_options) {
  const Config config = parsed({"-c", "--netns-type=path", "--", "-6", "tap7"});
  EXPECT_EQ(config.target, "-6");
  EXPECT_EQ(config.tap_name, "tap7");
  EXPECT_FALSE(config.ipv6);
}

TEST(Slirp4netns, a_unique_beginning_is_enough) {
  EXPECT_TRUE(parsed({"--conf", "12"}).configure);
  EXPECT_EQ(parsed({"--rea=4", "12"}).ready_fd, 4);
  EXPECT_FALSE(parsed({"--disable-h", "12"}).host_loopback);
  // Whole, though another one goes on from there.
  EXPECT_TRUE(parsed({"--outbound-addr=192.0.2.1", "12"}).outbound_address4.has_value());
  EXPECT_THAT(refused({"--enable", "12"}), HasSubstr("several options"));
  EXPECT_THAT(refused({"--outbound=192.0.2.1", "12"}), HasSubstr("several options"));
}

TEST(Slirp4netns, the_last_one_counts) {
  EXPECT_EQ(parsed({"--mtu=2000", "-m", "3000", "12"}).mtu, 3000U);
}

TEST(Slirp4netns, callers_command_lines) {
  const Config podman =
      parsed({"--disable-host-loopback", "--mtu=65520", "--enable-sandbox", "--enable-seccomp",
              "--enable-ipv6", "-c", "-r", "3", "-e", "4", "--api-socket", "/tmp/x.net", "--netns-type=path",
              "/run/user/1000/netns/netns-1", "tap0"});
  EXPECT_EQ(podman.target_kind, TargetKind::path);
  EXPECT_EQ(podman.mtu, 65520U);
  EXPECT_EQ(podman.ready_fd, 3);
  EXPECT_EQ(podman.exit_fd, 4);
  const Config rootlesskit =
      parsed({"--mtu", "65520", "-r", "3", "--disable-host-loopback", "--cidr", "10.41.0.0/16",
              "--api-socket", "/tmp/.s4nn.sock", "--enable-sandbox", "--enable-seccomp", "4711", "tap0"});
  EXPECT_EQ(rootlesskit.target, "4711");
  EXPECT_FALSE(rootlesskit.configure);
  const Config become_root = parsed({"-c", "-e", "3", "-r", "4", "4711", "tap0"});
  EXPECT_TRUE(become_root.configure);
}

TEST(Slirp4netns, help_has_what_callers_look_for) {
  for (const char* word : {"-h", "--help", "--he"}) {
    const std::string help = shown({word});
    EXPECT_THAT(help, testing::StartsWith("Usage: slirp4netns "));
    for (const char* option :
         {"--netns-type", "--disable-host-loopback", "--mtu", "--enable-sandbox", "--enable-seccomp",
          "--cidr", "--outbound-addr", "--enable-ipv6", "--api-socket", "--userns-path", "--configure",
          "--ready-fd", "--exit-fd", "--disable-dns", "--macaddress", "--target-type", "--threads"}) {
      // As grep -w finds it: no letter, digit or underscore beside it.
      EXPECT_THAT(help, testing::ContainsRegex(std::string("[^a-z0-9_-]") + option + "[^a-z0-9_]"));
    }
  }
}

TEST(Slirp4netns, version_has_what_callers_look_for) {
  for (const char* word : {"-v", "--version"}) {
    EXPECT_THAT(shown({word}), testing::ContainsRegex("^slirp4netns version [0-9.]+ "));
    EXPECT_THAT(shown({word}), HasSubstr("\nSLIRP_CONFIG_VERSION_MAX: 4\n"));
  }
}

TEST(Slirp4netns, help_comes_at_once) {
  EXPECT_THAT(shown({"-ch", "--mtu=0"}), HasSubstr("Usage:"));
  EXPECT_THAT(refused({"--mtu=0", "-h"}), HasSubstr("MTU"));
}

TEST(Slirp4netns, bad_words) {
  EXPECT_THAT(refused({"--bogus", "12"}), HasSubstr("'--bogus'"));
  EXPECT_THAT(refused({"-x", "12"}), HasSubstr("'-x'"));
  EXPECT_THAT(refused({"-cx", "12"}), HasSubstr("'-x'"));
  EXPECT_THAT(refused({"12", "--mtu"}), HasSubstr("--mtu: needs a value"));
  EXPECT_THAT(refused({"12", "-r"}), HasSubstr("-r: needs a value"));
  EXPECT_THAT(refused({"--configure=yes", "12"}), HasSubstr("takes no value"));
}

TEST(Slirp4netns, bad_targets) {
  EXPECT_THAT(refused({}), HasSubstr("PID is missing"));
  EXPECT_THAT(refused({"-c"}), HasSubstr("PID is missing"));
  EXPECT_THAT(refused({"--netns-type=path"}), HasSubstr("PATH is missing"));
  EXPECT_THAT(refused({"--netns-type=tapfd"}), HasSubstr("FD is missing"));
  EXPECT_THAT(refused({"--target-type=bess"}), HasSubstr("PATH is missing"));
  EXPECT_THAT(refused({""}), HasSubstr("missing"));
  for (const char* pid : {"0", "-", "abc", "12x", "99999999999", "/proc/1/ns/net"}) {
    EXPECT_THAT(refused({pid}), HasSubstr("PID must be a positive integer"));
  }
  EXPECT_THAT(refused({"--netns-type=tapfd", "x"}), HasSubstr("FD 'x'"));
  EXPECT_THAT(refused({"12", "this/is/no/name"}), HasSubstr("TAPNAME"));
}

TEST(Slirp4netns, mtu_from_68_to_65521) {
  EXPECT_EQ(parsed({"--mtu=68", "12"}).mtu, 68U);
  EXPECT_EQ(parsed({"--mtu=65521", "12"}).mtu, 65521U);
  for (const char* bad : {"0", "65522", "-1", "abc", "", "1500x"}) {
    EXPECT_EQ(refused({"-m", bad, "12"}), "MTU must be a positive integer (< 65522)");
  }
  EXPECT_THAT(refused({"--mtu=67", "12"}), HasSubstr("68"));
}

TEST(Slirp4netns, an_mtu_too_small_for_ipv6_leaves_ipv4) {
  const Config config = parsed({"-6", "--mtu=1000", "12"});
  EXPECT_FALSE(config.ipv6);
  EXPECT_THAT(config.warnings, ElementsAre(HasSubstr("1280")));
  EXPECT_TRUE(parsed({"-6", "--mtu=1280", "12"}).ipv6);
}

TEST(Slirp4netns, cidr_from_1_to_25_and_a_network) {
  EXPECT_EQ(parsed({"--cidr=10.0.0.128/25", "12"}).cidr.to_string(), "10.0.0.128/25");
  EXPECT_EQ(parsed({"--cidr=128.0.0.0/1", "12"}).cidr.to_string(), "128.0.0.0/1");
  EXPECT_THAT(refused({"--cidr=10.0.2.0/26", "12"}), HasSubstr("from /1 to /25"));
  EXPECT_THAT(refused({"--cidr=0.0.0.0/0", "12"}), HasSubstr("--cidr"));
  EXPECT_THAT(refused({"--cidr=10.0.2.1/24", "12"}), HasSubstr("the network's address is 10.0.2.0/24"));
  EXPECT_THAT(refused({"--cidr=fd00::/64", "12"}), HasSubstr("IPv4"));
  EXPECT_THAT(refused({"--cidr=10.0.2.0", "12"}), HasSubstr("--cidr"));
  EXPECT_THAT(refused({"--cidr=x", "12"}), HasSubstr("--cidr"));
}

TEST(Slirp4netns, outbound_by_address_or_interface) {
  Config config = parsed({"--outbound-addr=eth0", "--outbound-addr6", "wlan0", "12"});
  EXPECT_EQ(config.outbound_address4_of, "eth0");
  EXPECT_EQ(config.outbound_address6_of, "wlan0");
  EXPECT_FALSE(config.outbound_address4.has_value());
  config = parsed({"--outbound-addr=eth0", "--outbound-addr=192.0.2.1", "12"});
  EXPECT_THAT(config.outbound_address4_of, IsEmpty());
  EXPECT_TRUE(config.outbound_address4.has_value());
  EXPECT_THAT(refused({"--outbound-addr=2001:db8::1", "12"}), HasSubstr("--outbound-addr"));
  EXPECT_THAT(refused({"--outbound-addr6=192.0.2.1", "12"}), HasSubstr("--outbound-addr6"));
  EXPECT_THAT(refused({"--outbound-addr=0.0.0.0", "12"}), HasSubstr("--outbound-addr"));
  EXPECT_THAT(refused({"--outbound-addr=no such name", "12"}), HasSubstr("neither"));
}

TEST(Slirp4netns, descriptors) {
  EXPECT_THAT(refused({"-r", "x", "12"}), HasSubstr("--ready-fd 'x'"));
  EXPECT_THAT(refused({"--exit-fd=-1", "12"}), HasSubstr("--exit-fd '-1'"));
  EXPECT_THAT(refused({"-r", "3", "-e", "3", "12"}), HasSubstr("same descriptor"));
}

TEST(Slirp4netns, macaddress_needs_configure) {
  EXPECT_THAT(refused({"--macaddress=52:54:00:12:34:56", "12"}), HasSubstr("needs -c"));
  EXPECT_THAT(refused({"-c", "--macaddress=01:00:5e:00:00:01", "12"}), HasSubstr("unicast"));
  EXPECT_THAT(refused({"-c", "--macaddress=x", "12"}), HasSubstr("--macaddress 'x'"));
}

TEST(Slirp4netns, types) {
  EXPECT_THAT(refused({"--netns-type=foo", "12"}), HasSubstr("must be pid, path or tapfd"));
  EXPECT_THAT(refused({"--target-type=foo", "12"}), HasSubstr("must be netns or bess"));
  EXPECT_THAT(refused({"--userns-path=", "12"}), HasSubstr("--userns-path"));
  EXPECT_THAT(refused({"--api-socket=", "12"}), HasSubstr("--api-socket"));
  EXPECT_EQ(parsed({"--netns-type=pid", "12"}).target_kind, TargetKind::process);
  EXPECT_EQ(parsed({"--netns-type=path", "12"}).target_kind, TargetKind::path);
}

TEST(Slirp4netns, tapfd_takes_a_descriptor_and_no_name) {
  Config config = parsed({"--netns-type=tapfd", "7"});
  EXPECT_EQ(config.target_kind, TargetKind::tap_descriptor);
  EXPECT_EQ(config.tap_fd, 7);
  config = parsed({"--netns-type=tapfd", "7", "tap9"});
  EXPECT_EQ(config.tap_name, "tap0");
  EXPECT_THAT(config.warnings, ElementsAre("too many arguments"));
  config = parsed({"-c", "--netns-type=tapfd", "7"});
  EXPECT_FALSE(config.configure);
  EXPECT_THAT(config.warnings, ElementsAre(HasSubstr("-c has no effect")));
}

TEST(Slirp4netns, bess_excludes_what_is_about_a_namespace) {
  const Config config = parsed({"--target-type=bess", "/tmp/b.sock"});
  EXPECT_EQ(config.target_kind, TargetKind::bess);
  EXPECT_EQ(config.target, "/tmp/b.sock");
  EXPECT_THAT(refused({"--target-type=bess", "-c", "/tmp/b"}), HasSubstr("--configure: conflicts"));
  EXPECT_THAT(refused({"--target-type=bess", "--netns-type=path", "/tmp/b"}),
              HasSubstr("--netns-type: conflicts"));
  EXPECT_THAT(refused({"--target-type=bess", "--userns-path=/x", "/tmp/b"}),
              HasSubstr("--userns-path: conflicts"));
}

TEST(Slirp4netns, more_arguments_are_a_warning) {
  const Config config = parsed({"12", "tap0", "x", "y"});
  EXPECT_EQ(config.tap_name, "tap0");
  EXPECT_THAT(config.warnings, ElementsAre("too many arguments"));
}

TEST(Slirp4netns, what_the_guest_sees) {
  link::Network network = make_network(parsed({"-6", "12"}));
  EXPECT_EQ(network.mac(true).to_string(), "52:55:0a:00:02:02");
  EXPECT_EQ(network.mac(false).to_string(), "52:56:00:00:00:02");
  EXPECT_TRUE(network.is_our_mac(network.mac(false)));
  EXPECT_EQ(network.gateway4.to_string(), "10.0.2.2");
  EXPECT_EQ(network.dns4.to_string(), "10.0.2.3");
  EXPECT_EQ(network.guest4.to_string(), "10.0.2.100");
  EXPECT_EQ(network.dhcp_first.to_string(), "10.0.2.15");
  EXPECT_EQ(network.dhcp_last.to_string(), "10.0.2.30");
  EXPECT_EQ(network.gateway6.to_string(), "fd00::2");
  EXPECT_EQ(network.dns6.to_string(), "fd00::3");
  EXPECT_EQ(network.route(network.gateway4).address, link::kLoopback4);
  network = make_network(parsed({"--disable-dns", "12"}));
  EXPECT_EQ(network.route(network.dns4).kind, link::Route::Kind::ignored);
}

TEST(Slirp4netns, ipv6_addresses_are_the_guests_own_choice) {
  EXPECT_FALSE(configured_guest6(parsed({"-c", "-6", "12"})).has_value());
}

}  // namespace
}  // namespace sf::cli::slirp4netns_test
