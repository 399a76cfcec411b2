// The commands against real sockets, with an instance that is none behind them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/control_run.hh"
#include "control/directory.hh"
#include "unit/control/control_fixture.hh"

namespace sf::cli {
namespace {

using control::FakeInstance;
using control::ServerThread;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Json = nlohmann::json;

class CommandRun : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(control::make_instance_directory(directory)); }

  void start(FakeInstance& of, const std::string& pid) {
    servers.push_back(std::make_unique<ServerThread>(control::instance_socket(directory, pid), of));
  }
  Outcome run(const std::vector<std::string>& words) const {
    const auto options = parse_control(words);
    EXPECT_TRUE(options.has_value()) << options.error().message;
    return run_control(std::get<ControlCommand>(*options), folder.path());
  }
  std::string output(const std::vector<std::string>& words) const {
    const Outcome outcome = run(words);
    EXPECT_EQ(outcome.status, 0);
    EXPECT_EQ(outcome.errors, "");
    return outcome.out;
  }
  std::string refusal(const std::vector<std::string>& words) const {
    const Outcome outcome = run(words);
    EXPECT_EQ(outcome.status, kExitFailure);
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(outcome.errors, StartsWith("slirp-forwarder: "));
    EXPECT_EQ(std::count(outcome.errors.begin(), outcome.errors.end(), '\n'), 1);
    return outcome.errors;
  }
  Json document(const std::vector<std::string>& words) const { return Json::parse(output(words)); }

  control::TemporaryFolder folder;
  std::string directory = folder / "slirp-forwarder";
  FakeInstance instance;
  FakeInstance other;
  std::vector<std::unique_ptr<ServerThread>> servers;
};

TEST_F(CommandRun, ls) {
  EXPECT_EQ(output({"ls"}), "");
  EXPECT_EQ(document({"ls", "--json"}), Json::parse(R"({"instances":[],"unanswered":[]})"));
  start(instance, "4711");
  start(other, "99");
  other.about.target = "x\x1b[31m\xc2\x9b";
  EXPECT_THAT(output({"ls"}), AllOf(HasSubstr("PID "), HasSubstr("\n99 "),
                                    HasSubstr("x\\x1b[31m\\x9b\n4711 "), HasSubstr("1h02m")));
  const Json listed = document({"ls", "--json"})["instances"];
  ASSERT_EQ(listed.size(), 2U);
  EXPECT_EQ(listed[0]["target"], "x\x1b[31m\xc2\x9b");
  EXPECT_TRUE(std::ranges::all_of(output({"ls", "--json"}),
                                  [](char c) { return c == '\n' || (c >= ' ' && c < '\x7f'); }));
  EXPECT_EQ(listed[1], Json::parse(R"({"pid":4711,"socket":")" + directory + R"(/4711.sock",
      "target":"curl http://example.test/","version":"1.2.3","uptime_s":3723,"guest4":"10.0.2.100",
      "prefix4":"10.0.2.0/24","guest6":"fd00::100","mtu":1500,"flows":2,"bytes_from_guest":1000,
      "bytes_to_guest":2000,"ports":[]})"));
}

TEST_F(CommandRun, ls_without_a_directory) {
  std::filesystem::remove(directory);
  EXPECT_EQ(output({"ls"}), "");
}

TEST_F(CommandRun, ls_names_those_that_do_not_answer_as_instances_do) {
  start(instance, "4711");
  // One that listens and never answers, and one that answers with something else.
  const UniqueFd silent(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address;
  ASSERT_TRUE(control::make_address(directory + "/5.sock", address));
  ASSERT_EQ(::bind(silent.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(::listen(silent.get(), 16), 0);
  class Strange : public FakeInstance {
    control::InstanceInfo info() const override { throw std::runtime_error("x"); }
  } strange;
  start(strange, "6");
  const Outcome outcome = run({"ls"});
  EXPECT_EQ(outcome.status, kExitFailure);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("4711"), Not(HasSubstr("\n5 "))));
  EXPECT_THAT(outcome.errors, AllOf(HasSubstr("5.sock: it does not answer"),
                                    HasSubstr("instance 6 refuses: internal error")));
  const Json document = Json::parse(run({"ls", "--json"}).out);
  EXPECT_EQ(document["instances"].size(), 1U);
  ASSERT_EQ(document["unanswered"].size(), 2U);
  EXPECT_EQ(document["unanswered"][0]["pid"], 5);
  EXPECT_THAT(std::string(document["unanswered"][0]["error"]), HasSubstr("does not answer"));
}

TEST_F(CommandRun, port_add_rm_ls) {
  start(instance, "4711");
  EXPECT_EQ(output({"port", "ls"}), "");
  EXPECT_EQ(output({"port", "add", "47", "0:80", "udp/127.0.0.1:53-54"}),
            "tcp/40000:80\nudp/127.0.0.1:53:53\nudp/127.0.0.1:54:54\n");
  EXPECT_THAT(output({"port", "ls", "4711"}), HasSubstr("\n 2  udp    127.0.0.1:53  53            0\n"));
  EXPECT_EQ(output({"port", "rm", "4711", "40000", "3"}), "tcp/40000:80\nudp/127.0.0.1:54:54\n");
  EXPECT_EQ(
      document({"port", "ls", "--json"}),
      Json::parse(R"({"ports":[{"id":2,"port":"udp/127.0.0.1:53:53","proto":"udp","host_addr":"127.0.0.1",
                "host_port":53,"guest_addr":"","guest_port":53,"loopback":false,"accepted":0}]})"));
  EXPECT_EQ(document({"port", "add", "4711", "8080", "--json"})["ports"][0]["port"], "tcp/8080:8080");
  EXPECT_EQ(document({"port", "rm", "4711", "8080", "--json"})["ports"][0]["id"], 4);
  EXPECT_EQ(instance.ports.size(), 1U);
}

TEST_F(CommandRun, port_add_to_the_loopback) {
  start(instance, "4711");
  EXPECT_EQ(document({"port", "add", "--loopback", "4711", "8080:80", "--json"})["ports"][0]["loopback"],
            true);
  ASSERT_EQ(instance.ports.size(), 1U);
  EXPECT_TRUE(instance.ports[0].rule.loopback);
  output({"port", "rm", "4711", "8080:80"});
  output({"port", "add", "4711", "8080:80"});
  ASSERT_EQ(instance.ports.size(), 1U);
  EXPECT_FALSE(instance.ports[0].rule.loopback);
}

TEST_F(CommandRun, port_add_is_all_or_nothing) {
  start(instance, "4711");
  output({"port", "add", "4711", "70:80"});
  EXPECT_THAT(refusal({"port", "add", "4711", "80-89", "90:80", "999"}), HasSubstr("port 999 is taken"));
  EXPECT_THAT(refusal({"port", "add", "4711", "80", "x"}), HasSubstr("'x' is not a port"));
  EXPECT_THAT(refusal({"port", "add", "4711", "\xff"}), HasSubstr("is not a port"));
  ASSERT_EQ(instance.ports.size(), 1U);
  EXPECT_EQ(instance.ports[0].rule.host_port, 70);
}

TEST_F(CommandRun, port_rm_is_all_or_nothing) {
  start(instance, "4711");
  output({"port", "add", "4711", "80-89"});
  EXPECT_THAT(refusal({"port", "rm", "4711", "80", "90"}), HasSubstr("90 is not published"));
  EXPECT_EQ(instance.ports.size(), 10U);
}

TEST_F(CommandRun, flows_with_rates) {
  instance.live.resize(1);
  instance.live[0].state = "ESTABLISHED";
  instance.live[0].guest = {Address::v4(10, 0, 2, 100), 80};
  start(instance, "4711");
  EXPECT_THAT(output({"flows", "--interval", "0.1"}),
              HasSubstr("tcp    10.0.2.100:80  ->  *       ESTABLISHED"));
  const Json flows = document({"flows", "4711", "--interval", "0.1", "--json"});
  EXPECT_EQ(flows["total"], 1);
  EXPECT_EQ(flows["interval_us"], 0);  // the instance's clock stands still
  EXPECT_TRUE(flows["flows"][0]["rate_from_guest"].is_null());
}

TEST_F(CommandRun, an_instance_that_is_not_there) {
  EXPECT_THAT(refusal({"flows"}), HasSubstr("no instance is running"));
  EXPECT_THAT(refusal({"flows", "4711"}), HasSubstr("no instance has the pid 4711"));
  EXPECT_THAT(refusal({"port", "ls", directory + "/none"}), HasSubstr("No such file"));
  EXPECT_THAT(refusal({"port", "ls", directory + "/n\x1b"}), HasSubstr("n\\x1b"));
}

TEST_F(CommandRun, any_control_socket_by_its_path) {
  const ServerThread server(folder / "api", instance);
  EXPECT_EQ(output({"port", "add", folder / "api", "8080:80"}), "tcp/8080:80\n");
}

TEST_F(CommandRun, policy) {
  start(instance, "4711");
  EXPECT_EQ(output({"policy"}), "allow a.test\ndeny all\n# refused: 3\n#        3 tcp 192.0.2.1:80\n");
  instance.rules.settings = {.audit = true, .check_sni = true};
  EXPECT_THAT(output({"policy", "4711"}),
              AllOf(HasSubstr("# audit: nothing is refused\n"), HasSubstr("# server names are checked\n")));
  EXPECT_EQ(document({"policy", "--json", "4711"})["rules"], Json::parse(R"(["allow a.test","deny all"])"));
  // In the order given, before all others.
  EXPECT_THAT(output({"policy", "4711", "deny", "b.test", "c.test:80"}),
              StartsWith("deny b.test\ndeny c.test:80\nallow a.test\n"));
  // All are looked at before the first one counts.
  EXPECT_THAT(refusal({"policy", "4711", "allow", "d.test", "e.test:x"}),
              HasSubstr("allow 'e.test:x': column 8: expected a port"));
  EXPECT_EQ(instance.rules.rules.size(), 4U);
  EXPECT_THAT(refusal({"policy", "4711", "set", folder / "nowhere"}), HasSubstr("nowhere"));
  instance.rules.active = false;
  EXPECT_THAT(output({"policy", "4711", "reset"}), StartsWith("# no policy"));
  EXPECT_TRUE(instance.rules.rules.empty());
}

TEST_F(CommandRun, HalfAPolicyIsNotLeftBehind) {
  const std::string log = folder.path() + "/flows.jsonl";
  const std::string made = folder.path() + "/policy.toml";
  { std::ofstream file(log); }
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{50, before.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Outcome outcome = run({"policy", "suggest", log, "--output", made});
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_NE(outcome.status, 0);
  EXPECT_THAT(outcome.errors, HasSubstr("policy.toml failed: File too large"));
  EXPECT_NE(::access(made.c_str(), F_OK), 0);
  EXPECT_EQ(run({"policy", "suggest", log, "--output", made}).status, 0);
  EXPECT_EQ(::access(made.c_str(), F_OK), 0);
  ::unlink(made.c_str());
  ::unlink(log.c_str());
}

}  // namespace
}  // namespace sf::cli
