// The words of ls, port and flows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/commands.hh"

namespace sf::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Action = ControlCommand::Action;
using Words = std::vector<std::string>;

ControlCommand good(const Words& words) {
  const auto options = parse_control(words);
  if (!options) {
    ADD_FAILURE() << options.error().message;
    return {};
  }
  const auto* command = std::get_if<ControlCommand>(&*options);
  if (command == nullptr) ADD_FAILURE() << "a text, no command";
  return command == nullptr ? ControlCommand{} : *command;
}

std::string wrong(const Words& words) {
  const auto options = parse_control(words);
  const std::string message = options ? "it was taken" : options.error().message;
  EXPECT_THAT(message, Not(HasSubstr("\n")));
  return message;
}

std::string help(const std::string& word) {
  const auto options = parse_control({word, "--help"});
  return options && std::holds_alternative<ShowText>(*options) ? std::get<ShowText>(*options).text : "";
}

TEST(CommandWords, are_five) {
  for (const char* word : {"ls", "port", "flows", "policy", "capture"}) EXPECT_TRUE(is_control_word(word));
  for (const char* word : {"", "run", "attach", "./ls", "LS", "ports", "--ls", "l"}) {
    EXPECT_FALSE(is_control_word(word)) << word;
  }
}

TEST(CommandWords, ls) {
  EXPECT_EQ(good({"ls"}).action, Action::ls);
  EXPECT_FALSE(good({"ls"}).json);
  EXPECT_TRUE(good({"ls", "--json"}).json);
  EXPECT_THAT(wrong({"ls", "x"}), HasSubstr("'x': is one word too many"));
  EXPECT_THAT(wrong({"ls", "--interval", "1"}), HasSubstr("'--interval': is not an option here"));
  EXPECT_THAT(wrong({"ls", "-x"}), HasSubstr("slirp-forwarder ls --help"));
}

TEST(CommandWords, capture) {
  const ControlCommand plain = good({"capture", "4711"});
  EXPECT_EQ(plain.action, Action::capture);
  EXPECT_EQ(plain.instance, "4711");
  EXPECT_EQ(plain.filter, "");
  EXPECT_EQ(plain.file, "");
  EXPECT_EQ(plain.snap_length, 262144U);
  EXPECT_FALSE(plain.count);
}

TEST(CommandWords, capture_options) {
  const ControlCommand all =
      good({"capture", "-s", "96", "4711", "-w", "x.pcapng", "tcp", "port", "80", "--count=7"});
  EXPECT_EQ(all.instance, "4711");
  EXPECT_EQ(all.file, "x.pcapng");
  EXPECT_EQ(all.filter, "tcp port 80");
  EXPECT_EQ(all.snap_length, 96U);
  EXPECT_EQ(all.count, 7U);
  EXPECT_EQ(good({"capture", "4711", "ip[2:2]", "-", "20", ">", "5"}).filter, "ip[2:2] - 20 > 5");
  EXPECT_EQ(good({"capture", "4711", "--", "-ip[1] > 4"}).filter, "-ip[1] > 4");
  EXPECT_THAT(wrong({"capture"}), HasSubstr("INSTANCE is missing"));
  EXPECT_THAT(wrong({"capture", "4711", "-s", "0"}), HasSubstr("--snapshot-length '0'"));
  EXPECT_THAT(wrong({"capture", "4711", "-s", "262145"}), HasSubstr("--snapshot-length '262145'"));
  EXPECT_THAT(wrong({"capture", "4711", "-c", "0"}), HasSubstr("--count '0'"));
  EXPECT_THAT(wrong({"capture", "4711", "--json"}), HasSubstr("'--json': is not an option here"));
  EXPECT_THAT(help("capture"),
              AllOf(HasSubstr("wireshark"), HasSubstr("--snapshot-length"), HasSubstr("INSTANCE is")));
}

TEST(CommandWords, port_add) {
  const ControlCommand command = good({"port", "add", "4711", "8080:80", "udp/[::1]:53"});
  EXPECT_EQ(command.action, Action::port_add);
  EXPECT_EQ(command.instance, "4711");
  EXPECT_THAT(command.ports, ElementsAre("8080:80", "udp/[::1]:53"));
  EXPECT_FALSE(command.loopback);
  EXPECT_TRUE(good({"port", "--loopback", "add", "1", "80"}).loopback);
  EXPECT_TRUE(good({"port", "add", "1", "80", "--json"}).json);
  EXPECT_THAT(wrong({"port", "add"}), HasSubstr("INSTANCE is missing"));
  EXPECT_THAT(wrong({"port", "add", "80"}), HasSubstr("RULE is missing"));
}

TEST(CommandWords, port_rm) {
  const ControlCommand command = good({"port", "rm", "4711", "1", "8080"});
  EXPECT_EQ(command.action, Action::port_rm);
  EXPECT_THAT(command.ports, ElementsAre("1", "8080"));
  EXPECT_THAT(wrong({"port", "rm", "1"}), HasSubstr("RULE|ID is missing"));
  EXPECT_THAT(wrong({"port", "rm", "--loopback", "1", "2"}), HasSubstr("port add alone"));
}

TEST(CommandWords, port_ls) {
  EXPECT_EQ(good({"port", "ls"}).action, Action::port_ls);
  EXPECT_EQ(good({"port", "ls"}).instance, std::nullopt);
  EXPECT_EQ(good({"port", "ls", "47"}).instance, "47");
  EXPECT_EQ(good({"port", "ls", "--", "-1"}).instance, "-1");
  EXPECT_THAT(wrong({"port", "ls", "1", "2"}), HasSubstr("'2': is one word too many"));
}

TEST(CommandWords, port_and_something_else) {
  EXPECT_THAT(wrong({"port"}), AllOf(HasSubstr("port add"), HasSubstr("port rm"), HasSubstr("port ls")));
  EXPECT_THAT(wrong({"port", "remove", "1"}), HasSubstr("'remove': is neither add, rm nor ls"));
}

TEST(CommandWords, flows) {
  EXPECT_EQ(good({"flows"}).action, Action::flows);
  EXPECT_EQ(good({"flows"}).interval, 1s);
  EXPECT_EQ(good({"flows"}).limit, std::nullopt);
  EXPECT_EQ(good({"flows", "--interval", "0.25", "--limit=7", "/run/x.sock"}).interval, 250ms);
  EXPECT_EQ(good({"flows", "--limit", "7"}).limit, 7U);
  EXPECT_EQ(good({"flows", "/run/x.sock"}).instance, "/run/x.sock");
  for (const char* interval : {"", "0", "0.09", "3601", "-1", "1s", "nan", "inf", "1e2", "0x1", " 1"}) {
    EXPECT_THAT(wrong({"flows", std::string("--interval=") + interval}), HasSubstr("--interval")) << interval;
  }
  for (const char* limit : {"0", "2049", "x", "1.5"}) {
    EXPECT_THAT(wrong({"flows", "--limit", limit}), HasSubstr("a number from 1 to 2048")) << limit;
  }
  EXPECT_THAT(wrong({"flows", "1", "2"}), HasSubstr("'2': is one word too many"));
}

TEST(CommandWords, policy_suggest) {
  const ControlCommand command = good({"policy", "suggest", "log", "--output", "new"});
  EXPECT_EQ(command.action, ControlCommand::Action::policy_suggest);
  EXPECT_EQ(command.file, "log");
  EXPECT_EQ(command.output, "new");
  EXPECT_FALSE(command.instance);
  EXPECT_EQ(good({"policy", "suggest", "-"}).file, "-");
  EXPECT_THAT(wrong({"policy", "suggest"}), HasSubstr("FLOWLOG is missing"));
  EXPECT_THAT(wrong({"policy", "suggest", "a", "b"}), HasSubstr("'b': is one word too many"));
  EXPECT_THAT(wrong({"policy", "suggest", "a", "--json"}), HasSubstr("--json"));
  EXPECT_THAT(wrong({"policy", "1", "--output", "x"}), HasSubstr("--output: is for policy suggest alone"));
}

TEST(CommandWords, each_has_its_help) {
  EXPECT_THAT(help("ls"),
              AllOf(HasSubstr("Usage: slirp-forwarder ls"), HasSubstr("--json"), Not(HasSubstr("INSTANCE"))));
  EXPECT_THAT(help("port"),
              AllOf(HasSubstr("--loopback"), HasSubstr("INSTANCE is a pid"), HasSubstr("RULE is")));
  EXPECT_THAT(help("flows"),
              AllOf(HasSubstr("--interval SECONDS"), HasSubstr("--limit N"), HasSubstr("INSTANCE is")));
}

TEST(CommandWords, policy) {
  EXPECT_TRUE(is_control_word("policy"));
  EXPECT_EQ(good({"policy"}).action, Action::policy_show);
  EXPECT_EQ(good({"policy"}).instance, std::nullopt);
  EXPECT_EQ(good({"policy", "4711"}).instance, "4711");
  EXPECT_EQ(good({"policy", "4711", "show"}).action, Action::policy_show);
  EXPECT_TRUE(good({"policy", "--json", "4711"}).json);
  const ControlCommand set = good({"policy", "4711", "set", "file"});
  EXPECT_EQ(set.action, Action::policy_set);
  EXPECT_EQ(set.file, "file");
  const ControlCommand allow = good({"policy", "4711", "allow", "a.test", "b.test:80"});
  EXPECT_EQ(allow.action, Action::policy_insert);
  EXPECT_TRUE(allow.allow);
  EXPECT_THAT(allow.rules, ElementsAre("a.test", "b.test:80"));
  const ControlCommand deny = good({"policy", "4711", "deny", "a.test"});
  EXPECT_EQ(deny.action, Action::policy_insert);
  EXPECT_FALSE(deny.allow);
  EXPECT_EQ(good({"policy", "4711", "reset"}).action, Action::policy_reset);
  EXPECT_THAT(wrong({"policy", "4711", "set"}), HasSubstr("FILE is missing"));
  EXPECT_THAT(wrong({"policy", "4711", "set", "a", "b"}), HasSubstr("'b': is one word too many"));
  EXPECT_THAT(wrong({"policy", "4711", "allow"}), HasSubstr("RULE is missing"));
  EXPECT_THAT(wrong({"policy", "4711", "deny"}), HasSubstr("RULE is missing"));
  EXPECT_THAT(wrong({"policy", "4711", "reset", "x"}), HasSubstr("'x': is one word too many"));
  EXPECT_THAT(wrong({"policy", "4711", "show", "x"}), HasSubstr("'x': is one word too many"));
  EXPECT_THAT(wrong({"policy", "4711", "permit", "x"}),
              HasSubstr("is neither show, set, allow, deny nor reset"));
  EXPECT_THAT(help("policy"), HasSubstr("policy"));
}

}  // namespace
}  // namespace sf::cli
