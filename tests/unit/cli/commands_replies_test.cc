// What instances answer, and what others might.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/replies.hh"
#include "control/requests.hh"
#include "unit/control/fake_instance.hh"

namespace sf::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

class Replies : public ::testing::Test {
 protected:
  std::string ask(const char* execute, const Json& arguments = Json::object()) {
    return control::answer(Json{{"execute", execute}, {"arguments", arguments}}.dump(), instance);
  }
  control::FakeInstance instance;
};

template <typename Reply>
std::string unreadable(const Result<Reply>& reply) {
  const std::string message = reply ? "it was read" : reply.error().message;
  EXPECT_THAT(message, AllOf(Not(HasSubstr("\n")), Not(HasSubstr("\x1b"))));
  EXPECT_LT(message.size(), 1200U);
  return message;
}

TEST_F(Replies, info) {
  ask("publish", {{"port", "8080:80"}});
  const auto info = read_info("instance 1", ask("info"));
  ASSERT_TRUE(info.has_value()) << info.error().message;
  EXPECT_EQ(info->target, "curl http://example.test/");
  EXPECT_EQ(info->version, "1.2.3");
  EXPECT_EQ(info->uptime_s, 3723U);
  EXPECT_EQ(info->guest4, "10.0.2.100");
  EXPECT_EQ(info->prefix4, "10.0.2.0/24");
  EXPECT_EQ(info->guest6, "fd00::100");
  EXPECT_EQ(info->mtu, 1500U);
  EXPECT_EQ(info->flows, 2U);
  EXPECT_EQ(info->bytes_from_guest, 1000U);
  EXPECT_EQ(info->bytes_to_guest, 2000U);
  ASSERT_EQ(info->ports.size(), 1U);
  instance.about.guest6.reset();
  EXPECT_EQ(read_info("", ask("info"))->guest6, std::nullopt);
}

TEST_F(Replies, ports) {
  const auto ports = read_ports("instance 1", ask("publish", {{"port", "udp/127.0.0.1:5300:53"}}));
  ASSERT_TRUE(ports.has_value()) << ports.error().message;
  ASSERT_EQ(ports->size(), 1U);
  const PortReply& port = ports->front();
  EXPECT_EQ(port.id, 1U);
  EXPECT_EQ(port.port, "udp/127.0.0.1:5300:53");
  EXPECT_EQ(port.proto, "udp");
  EXPECT_EQ(port.host_addr, "127.0.0.1");
  EXPECT_EQ(port.host_port, 5300);
  EXPECT_EQ(port.guest_addr, "");
  EXPECT_EQ(port.guest_port, 53);
  EXPECT_EQ(port.accepted, 0U);
  EXPECT_FALSE(port.loopback);
  Json reply = Json::parse(ask("list_published"));
  reply["return"]["ports"][0]["loopback"] = true;
  EXPECT_TRUE(read_ports("", reply.dump())->front().loopback);
  reply["return"]["ports"][0]["loopback"] = 1;
  EXPECT_FALSE(read_ports("", reply.dump()));
}

TEST_F(Replies, flows) {
  instance.live.resize(2);
  instance.live[0].bytes_to_guest = 18446744073709551615U;
  instance.live[0].rtt = std::chrono::microseconds(77);
  instance.live[0].guest.port = 80;
  instance.live[0].remote_rtt = 40ms;
  const auto flows = read_flows("instance 1", ask("list_flows", {{"limit", 1}}));
  ASSERT_TRUE(flows.has_value()) << flows.error().message;
  EXPECT_EQ(flows->uptime_us, 3723000000U);
  EXPECT_EQ(flows->total, 2U);
  ASSERT_EQ(flows->flows.size(), 1U);
  EXPECT_EQ(flows->flows[0].bytes_to_guest, 18446744073709551615U);
  EXPECT_EQ(flows->flows[0].rtt_us, 77U);
  EXPECT_EQ(flows->flows[0].remote_rtt_us, 40000U);
  EXPECT_EQ(flows->flows[0].remote_addr, "");
  EXPECT_EQ(flows->flows[0].guest_port, 80);
}

TEST_F(Replies, an_error_is_the_instances_reason) {
  EXPECT_EQ(unreadable(read_ports("instance 1", ask("publish", {{"port", "999:80"}}))),
            "port 999 is taken; choose another one");
  EXPECT_THAT(unreadable(read_ports("instance 1", ask("publish", {{"port", "x"}}))),
              HasSubstr("the form is"));
  EXPECT_THAT(unreadable(read_ports("instance 1", ask("nothing"))),
              HasSubstr("instance 1 refuses: bad request: unknown execute"));
  EXPECT_THAT(unreadable(read_ports("", R"({"error":{"desc":"x","reason":"a\u001b[2J\nb"}})")),
              HasSubstr("a\\x1b[2J\\x0ab"));
  EXPECT_THAT(unreadable(read_ports("", R"({"error":{"reason":")" + std::string(100000, 'x') + "\"}}")),
              HasSubstr("xxx..."));
}

TEST_F(Replies, what_is_none_is_said_to_be_none) {
  for (const char* reply :
       {"", "HTTP/1.0 400 Bad Request", "{", "[]", "1", "null", "{}", R"({"return":null})",
        R"({"return":[]})", R"({"return":{}})", R"({"return":{"ports":{}}})", R"({"return":{"ports":[1]}})",
        R"({"return":{"ports":[{}]}})",
        R"({"return":{"ports":[null,[]],"flows":[null],"total":1,"uptime_us":1}})", R"({"error":"x"})",
        R"({"error":{"desc":1}})", R"({"return":{"total":-1,"uptime_us":1.5,"flows":[]}})",
        "{\"return\":\"\xff\"}"}) {
    EXPECT_THAT(unreadable(read_info("instance 1", reply)), HasSubstr("the reply of instance 1")) << reply;
    EXPECT_THAT(unreadable(read_ports("instance 1", reply)), HasSubstr("the reply of instance 1")) << reply;
    EXPECT_THAT(unreadable(read_flows("instance 1", reply)), HasSubstr("the reply of instance 1")) << reply;
  }
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += R"({"return":)";
  EXPECT_THAT(unreadable(read_ports("instance 1", deep)), HasSubstr("the reply of instance 1"));
}

TEST_F(Replies, each_member_has_its_kind) {
  ask("publish", {{"port", "8080:80"}});
  instance.live.resize(1);
  const auto spoilt = [](const std::string& reply, const std::string& pointer, const Json& value) {
    Json json = Json::parse(reply);
    json[Json::json_pointer("/return" + pointer)] = value;
    return json.dump();
  };
  for (const char* member :
       {"/target", "/version", "/uptime_s", "/guest4", "/prefix4", "/guest6", "/mtu", "/ports", "/statistics",
        "/statistics/flows", "/statistics/bytes_from_guest", "/statistics/bytes_to_guest"}) {
    EXPECT_FALSE(read_info("", spoilt(ask("info"), member, false))) << member;
  }
  for (const char* member :
       {"/id", "/port", "/proto", "/host_addr", "/host_port", "/guest_addr", "/guest_port", "/accepted"}) {
    EXPECT_FALSE(read_ports("", spoilt(ask("list_published"), std::string("/ports/0") + member, false)))
        << member;
    EXPECT_FALSE(read_info("", spoilt(ask("info"), std::string("/ports/0") + member, false))) << member;
  }
  EXPECT_FALSE(read_ports("", spoilt(ask("list_published"), "/ports/0/host_port", 65536)));
  for (const char* member :
       {"/protocol", "/inbound", "/guest_addr", "/guest_port", "/remote_addr", "/remote_port", "/state",
        "/bytes_from_guest", "/bytes_to_guest", "/rtt_us", "/remote_rtt_us"}) {
    EXPECT_FALSE(read_flows("", spoilt(ask("list_flows"), std::string("/flows/0") + member, 1.5))) << member;
  }
}

TEST_F(Replies, policy) {
  instance.rules.settings = {.audit = true, .check_sni = true, .refuse_with_refused = true, .ttl_floor = 7};
  const auto policy = read_policy("instance 1", ask("policy"));
  ASSERT_TRUE(policy.has_value()) << policy.error().message;
  EXPECT_TRUE(policy->active && policy->audit && policy->check_sni);
  EXPECT_EQ(policy->rules, (std::vector<std::string>{"allow a.test", "deny all"}));
  EXPECT_EQ(policy->dns_refusal, "refused");
  EXPECT_EQ(policy->ttl_floor, 7U);
  EXPECT_EQ(policy->refusals, 3U);
  ASSERT_EQ(policy->refused.size(), 1U);
  EXPECT_EQ(policy->refused[0].target, "tcp 192.0.2.1:80");
  EXPECT_EQ(policy->refused[0].count, 3U);
  EXPECT_THAT(unreadable(read_policy("instance 1", ask("set_policy", {{"name", "p"}, {"text", "wrong"}}))),
              HasSubstr("p:1:1: expected better"));
  const Json whole = Json::parse(ask("policy"))["return"];
  for (const auto& [key, value] : whole.items()) {
    Json lying = whole;
    lying[key] = Json{{"x", 1}};
    EXPECT_NE(unreadable(read_policy("instance 1", Json{{"return", lying}}.dump())), "it was read") << key;
    lying.erase(key);
    EXPECT_NE(unreadable(read_policy("instance 1", Json{{"return", lying}}.dump())), "it was read") << key;
  }
}

}  // namespace
}  // namespace sf::cli
