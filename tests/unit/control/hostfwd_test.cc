// slirp4netns's three requests, by the contract's words.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "control/requests.hh"
#include "unit/control/fake_instance.hh"

namespace sf::control {
namespace {

using engine::PublishRule;
using engine::Transport;
using Json = nlohmann::json;

class Hostfwd : public ::testing::Test {
 protected:
  std::string add(const std::string& arguments) {
    return answer(R"({"execute":"add_hostfwd","arguments":)" + arguments + "}", instance);
  }
  // The error's description, less what all have in common.
  static std::string error(const std::string& reply) {
    const Json json = Json::parse(reply, nullptr, false);
    if (!json.is_object() || !json.contains("error")) return "no error: " + reply;
    const std::string desc = json["error"]["desc"];
    return desc.starts_with("bad request: ") ? desc.substr(13) : "not a bad request: " + desc;
  }

  FakeInstance instance;
};

TEST_F(Hostfwd, ids_start_at_one) {
  const std::string arguments =
      R"({"proto":"tcp","host_addr":"","host_port":8080,"guest_addr":"","guest_port":80})";
  EXPECT_EQ(add(arguments), R"({"return":{"id":1}})");
  EXPECT_EQ(add(arguments), R"({"return":{"id":2}})");
}

TEST_F(Hostfwd, empty_addresses_are_all_of_ipv4_and_the_guests_own) {
  for (const char* addresses :
       {R"("host_addr":"","guest_addr":"",)", R"("host_addr":null,"guest_addr":null,)", "",
        R"("host_addr":"0.0.0.0","guest_addr":"0.0.0.0",)"}) {
    instance.ports.clear();
    add(std::string("{") + addresses + R"("proto":"udp","host_port":53,"guest_port":5353})");
    ASSERT_EQ(instance.ports.size(), 1U) << addresses;
    EXPECT_EQ(instance.ports[0].rule, (PublishRule{Transport::udp, Address::v4(0), 53, std::nullopt, 5353}));
  }
}

TEST_F(Hostfwd, addresses_arrive) {
  add(R"({"proto":"tcp","host_addr":"127.0.0.1","host_port":65535,"guest_addr":"10.0.2.15","guest_port":1})");
  add(R"({"proto":"tcp","host_addr":"::1","host_port":80.0,"guest_addr":"fd00::15","guest_port":1e3})");
  ASSERT_EQ(instance.ports.size(), 2U);
  EXPECT_EQ(instance.ports[0].rule,
            (PublishRule{Transport::tcp, Address::v4(127, 0, 0, 1), 65535, Address::v4(10, 0, 2, 15), 1}));
  EXPECT_EQ(instance.ports[1].rule,
            (PublishRule{Transport::tcp, Address::parse("::1"), 80, Address::parse("fd00::15"), 1000}));
}

TEST_F(Hostfwd, bad_arguments_are_named) {
  const auto error_of = [this](const char* member, const char* value) {
    Json arguments{
        {"proto", "tcp"}, {"host_addr", ""}, {"host_port", 8080}, {"guest_addr", ""}, {"guest_port", 80}};
    if (value == nullptr) {
      arguments.erase(member);
    } else {
      arguments[member] = Json::parse(value);
    }
    return error(add(arguments.dump()));
  };
  for (const char* bad : {static_cast<const char*>(nullptr), "null", "\"\"", "\"TCP\"", "\"tcp6\"",
                          "\"udp6\"", "\"sctp\"", "1", "[]", "{}", "true"}) {
    EXPECT_EQ(error_of("proto", bad), "add_hostfwd: bad arguments.proto")
        << (bad != nullptr ? bad : "absent");
  }
  for (const char* port : {"host_port", "guest_port"}) {
    for (const char* bad :
         {static_cast<const char*>(nullptr), "null", "\"80\"", "0", "-1", "65536", "84000", "80.5", "1e300",
          "-0.5", "4294967376", "18446744073709551615", "18446744073709551616", "[]", "{}", "true"}) {
      EXPECT_EQ(error_of(port, bad), std::string("add_hostfwd: bad arguments.") + port)
          << (bad != nullptr ? bad : "absent");
    }
  }
  for (const char* address : {"host_addr", "guest_addr"}) {
    for (const char* bad : {"1", "[]", "{}", "false", "\"localhost\"", "\"10.0.2\"", "\"10.0.2.256\"",
                            "\"[::1]\"", "\"224.0.0.1\"", "\"255.255.255.255\"", "\" \""}) {
      EXPECT_EQ(error_of(address, bad), std::string("add_hostfwd: bad arguments.") + address) << bad;
    }
  }
  EXPECT_EQ(error_of("guest_addr", "\"fd00::1\""), "add_hostfwd: bad arguments.guest_addr");
  EXPECT_TRUE(instance.ports.empty());
}

TEST_F(Hostfwd, arguments_may_be_missing_or_anything) {
  for (const char* arguments : {"null", "[]", "1", "\"x\"", "{}"}) {
    EXPECT_EQ(error(add(arguments)), "add_hostfwd: bad arguments.proto");
  }
  EXPECT_EQ(error(answer(R"({"execute":"add_hostfwd"})", instance)), "add_hostfwd: bad arguments.proto");
  EXPECT_EQ(error(answer(R"({"execute":"remove_hostfwd"})", instance)), "remove_hostfwd: bad arguments.id");
}

TEST_F(Hostfwd, what_failed_keeps_its_words_and_adds_the_reason) {
  const std::string reply = add(R"({"proto":"tcp","host_port":999,"guest_port":80})");
  EXPECT_EQ(error(reply), "add_hostfwd: slirp_add_hostfwd failed");
  EXPECT_EQ(Json::parse(reply)["error"]["reason"], "port 999 is taken; choose another one");
}

TEST_F(Hostfwd, remove_takes_an_id_once) {
  add(R"({"proto":"tcp","host_port":8080,"guest_port":80})");
  const auto remove = [this](const std::string& id) {
    return answer(R"({"execute":"remove_hostfwd","arguments":{"id":)" + id + "}}", instance);
  };
  for (const char* bad : {"null", "\"1\"", "-1", "1.5", "[1]", "{}", "true"}) {
    EXPECT_EQ(error(remove(bad)), "remove_hostfwd: bad arguments.id") << bad;
  }
  for (const char* unknown : {"0", "2", "4294967297", "18446744073709551615"}) {
    EXPECT_EQ(error(remove(unknown)), "remove_hostfwd: slirp_remove_hostfwd failed") << unknown;
  }
  EXPECT_EQ(instance.ports.size(), 1U);
  EXPECT_EQ(remove("1"), R"({"return":{}})");
  EXPECT_TRUE(instance.ports.empty());
  EXPECT_EQ(error(remove("1")), "remove_hostfwd: slirp_remove_hostfwd failed");
}

TEST_F(Hostfwd, list_has_the_entries_in_both_places) {
  EXPECT_EQ(answer(R"({"execute":"list_hostfwd"})", instance), R"({"entries":[],"return":{"entries":[]}})");
  add(R"({"proto":"tcp","host_port":8080,"guest_port":80})");
  add(R"({"proto":"udp","host_addr":"::1","host_port":53,"guest_port":53})");
  add(R"({"proto":"udp","host_addr":"127.0.0.1","host_port":54,"guest_addr":"10.0.2.15","guest_port":53})");
  instance.ports.push_back(
      {9, {Transport::tcp, std::nullopt, 1, std::nullopt, 2}, 0});  // of both IP versions
  const Json reply = Json::parse(answer(R"({"execute":"list_hostfwd"})", instance));
  const Json entries = Json::parse(R"([
    {"id":1,"proto":"tcp","host_addr":"0.0.0.0","host_port":8080,"guest_addr":"10.0.2.100","guest_port":80},
    {"id":2,"proto":"udp","host_addr":"::1","host_port":53,"guest_addr":"fd00::100","guest_port":53},
    {"id":3,"proto":"udp","host_addr":"127.0.0.1","host_port":54,"guest_addr":"10.0.2.15","guest_port":53},
    {"id":9,"proto":"tcp","host_addr":"0.0.0.0","host_port":1,"guest_addr":"10.0.2.100","guest_port":2}])");
  EXPECT_EQ(reply, (Json{{"entries", entries}, {"return", {{"entries", entries}}}}));
}

TEST_F(Hostfwd, members_that_are_not_known_are_ignored) {
  EXPECT_EQ(answer(R"({"id":7,"execute":"add_hostfwd","x":[1],"arguments":{"proto":"tcp","host_port":1,
                       "guest_port":1,"y":{"z":null}}})",
                   instance),
            R"({"return":{"id":1}})");
}

}  // namespace
}  // namespace sf::control
