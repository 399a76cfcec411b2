// What holds for every request, and our own requests.
#include "control/requests.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "unit/control/fake_instance.hh"

namespace sf::control {
namespace {

using engine::FlowInfo;
using engine::PublishRule;
using engine::Transport;
using Json = nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Requests : public ::testing::Test {
 protected:
  Json ask(const char* execute, const Json& arguments = nullptr) {
    Json request{{"execute", execute}};
    if (!arguments.is_null()) request["arguments"] = arguments;
    return Json::parse(answer(request.dump(), instance));
  }
  std::string error(const std::string& request) {
    const std::string reply = answer(request, instance);
    const Json json = Json::parse(reply, nullptr, false);
    if (!json.is_object() || !json.contains("error")) return "no error: " + reply;
    return json["error"]["desc"];
  }
  static std::vector<int> ids(const Json& reply) {
    std::vector<int> found;
    for (const Json& port : reply["return"]["ports"]) found.push_back(port["id"]);
    return found;
  }

  FakeInstance instance;
};

TEST_F(Requests, errors_are_those_of_the_contract) {
  EXPECT_EQ(answer("x", instance), R"({"error":{"desc":"bad request: cannot parse JSON"}})");
  for (const char* text :
       {"", " ", "{", "}", "{\"execute\":}", "{'execute':'info'}", "{\"execute\":\"info\"} x",
        "{\"execute\":\"info\"}{}", "nul", "\"", "[1,", "{\"a\":1e999}", "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\xff\"}", "\xef\xbb\xbf{", "{\"execute\":\"info\",}"}) {
    EXPECT_EQ(error(text), "bad request: cannot parse JSON") << text;
  }
  EXPECT_EQ(error(std::string("{\"a\":\"\0\"}", 9)), "bad request: cannot parse JSON");
  for (const char* text : {"[]", "1", "null", "true", "\"execute\"", "[{\"execute\":\"info\"}]"}) {
    EXPECT_EQ(error(text), "bad request: json_object() failed") << text;
  }
  for (const char* text : {"{}", "{\"execute\":null}", "{\"execute\":1}", "{\"execute\":[\"info\"]}",
                           "{\"execute\":{\"execute\":\"info\"}}", "{\"Execute\":\"info\"}"}) {
    EXPECT_EQ(error(text), "bad request: no execute found") << text;
  }
  for (const char* text : {"{\"execute\":\"\"}", "{\"execute\":\"INFO\"}", "{\"execute\":\"info \"}"}) {
    EXPECT_EQ(error(text), "bad request: unknown execute") << text;
  }
}

TEST_F(Requests, size_is_bounded) {
  std::string request = R"({"execute":"version"})";
  request.resize(kMaxRequest, ' ');
  EXPECT_THAT(answer(request, instance), HasSubstr("1.2.3"));
  request += ' ';
  EXPECT_EQ(error(request), "bad request: too large message");
}

TEST_F(Requests, nesting_is_bounded) {
  for (const char* bracket : {"[", "{\"a\":"}) {
    std::string bomb = R"({"execute":"version","x":)";
    while (bomb.size() < kMaxRequest - 8) bomb += bracket;
    EXPECT_EQ(error(bomb), "bad request: cannot parse JSON");
  }
  for (const auto& [depth, expected] : {std::pair(20U, "no error"), std::pair(40U, "cannot parse JSON"),
                                        std::pair(32000U, "cannot parse JSON")}) {
    const std::string closed =
        R"({"execute":"version","x":)" + std::string(depth, '[') + std::string(depth, ']') + "}";
    EXPECT_THAT(error(closed), HasSubstr(expected)) << depth;
  }
  EXPECT_THAT(error(std::string(32000, '[') + std::string(32000, ']')), HasSubstr("cannot parse JSON"));
}

TEST_F(Requests, publish_takes_our_syntax) {
  const Json reply = ask("publish", {{"port", "udp/127.0.0.1:8080:80"}});
  EXPECT_EQ(reply, Json::parse(R"({"return":{"ports":[{"id":1,"port":"udp/127.0.0.1:8080:80","proto":"udp",
      "host_addr":"127.0.0.1","host_port":8080,"guest_addr":"","guest_port":80,"loopback":false,"accepted":0}]}})"));
  ASSERT_EQ(instance.ports.size(), 1U);
  EXPECT_EQ(instance.ports[0].rule,
            (PublishRule{Transport::udp, Address::v4(127, 0, 0, 1), 8080, std::nullopt, 80}));
  EXPECT_EQ(ask("publish", {{"port", "0:80"}})["return"]["ports"][0]["port"], "tcp/40000:80");
}

TEST_F(Requests, publish_leads_to_the_loopback_where_that_is_asked_for) {
  EXPECT_EQ(ask("publish", {{"port", "8080:80"}, {"loopback", true}})["return"]["ports"][0]["loopback"],
            true);
  EXPECT_EQ(ask("publish", {{"port", "8081:80"}, {"loopback", false}})["return"]["ports"][0]["loopback"],
            false);
  ASSERT_EQ(instance.ports.size(), 2U);
  EXPECT_TRUE(instance.ports[0].rule.loopback);
  EXPECT_FALSE(instance.ports[1].rule.loopback);
  EXPECT_EQ(ask("publish", {{"port", "8082:80"}, {"loopback", 1}})["error"]["desc"],
            "bad request: publish: bad arguments.loopback");
  EXPECT_THAT(ids(ask("unpublish", {{"port", "8080:80"}})), ElementsAre(1));
}

TEST_F(Requests, a_range_is_published_whole_or_not_at_all) {
  EXPECT_THAT(ids(ask("publish", {{"port", "8000-8003:80-83"}})), ElementsAre(1, 2, 3, 4));
  const Json reply = ask("publish", {{"port", "990-1000"}});
  EXPECT_EQ(reply["error"]["desc"], "bad request: publish: failed");
  EXPECT_EQ(reply["error"]["reason"], "port 999 is taken; choose another one");
  EXPECT_EQ(instance.ports.size(), 4U);
}

TEST_F(Requests, publish_says_what_is_wrong) {
  const Json reply = ask("publish", {{"port", "8080:x"}});
  EXPECT_EQ(reply["error"]["desc"], "bad request: publish: bad arguments.port");
  EXPECT_THAT(std::string(reply["error"]["reason"]), HasSubstr("'x' is not a port"));
  for (const Json& bad : {Json(nullptr), Json(8080), Json(std::vector{"80"})}) {
    EXPECT_EQ(ask("publish", {{"port", bad}})["error"]["desc"], "bad request: publish: bad arguments.port");
  }
  EXPECT_EQ(ask("publish")["error"]["desc"], "bad request: publish: bad arguments.port");
}

TEST_F(Requests, unpublish_by_id_or_text) {
  ask("publish", {{"port", "8000-8009:80-89"}});
  EXPECT_THAT(ids(ask("unpublish", {{"id", 3}})), ElementsAre(3));
  EXPECT_THAT(ids(ask("unpublish", {{"port", "tcp/8000:80"}})), ElementsAre(1));
  EXPECT_THAT(ids(ask("unpublish", {{"port", "8005-8007:85-87"}})), ElementsAre(6, 7, 8));
  EXPECT_THAT(ids(ask("list_published")), ElementsAre(2, 4, 5, 9, 10));
  for (const Json& arguments :
       {Json{{"id", 3}}, Json{{"id", 4294967298}}, Json{{"port", "8001"}}, Json{{"port", "udp/8001:81"}},
        Json{{"port", "127.0.0.1:8001:81"}}, Json{{"port", "8001-8002:81-82"}}, Json{{"port", "x"}}}) {
    EXPECT_EQ(ask("unpublish", arguments)["error"]["desc"], "bad request: unpublish: failed") << arguments;
  }
  EXPECT_THAT(std::string(ask("unpublish", {{"port", "8001-8002:81-82"}})["error"]["reason"]),
              HasSubstr("tcp/8002:82 is not published"));
  EXPECT_EQ(ask("unpublish", {{"id", "1"}})["error"]["desc"], "bad request: unpublish: bad arguments.id");
  EXPECT_EQ(ask("unpublish")["error"]["desc"],
            "bad request: unpublish: neither arguments.id nor arguments.port");
  EXPECT_EQ(instance.ports.size(), 5U);
}

TEST_F(Requests, unpublish_finds_what_add_hostfwd_published) {
  ask("add_hostfwd",
      {{"proto", "tcp"}, {"host_port", 8080}, {"guest_addr", "10.0.2.15"}, {"guest_port", 80}});
  EXPECT_THAT(ids(ask("unpublish", {{"port", "0.0.0.0:8080:80"}})), ElementsAre(1));
}

TEST_F(Requests, flows_are_listed_with_all_that_is_known) {
  FlowInfo tcp;
  tcp.inbound = true;
  tcp.guest = {Address::v4(10, 0, 2, 100), 80};
  tcp.remote = {*Address::parse("2001:db8::1"), 4000};
  tcp.state = "ESTABLISHED";
  tcp.bytes_from_guest = 18446744073709551600U;
  tcp.bytes_to_guest = 7;
  tcp.rtt = std::chrono::nanoseconds(1234567);
  tcp.remote_rtt = 40ms;
  FlowInfo udp;
  udp.protocol = FlowInfo::Protocol::udp;
  udp.guest = {*Address::parse("fd00::100"), 53};
  FlowInfo icmp = udp;
  icmp.protocol = FlowInfo::Protocol::icmp;
  icmp.bytes_to_guest = 5;
  instance.live = {udp, icmp, tcp};
  EXPECT_EQ(ask("list_flows"), Json::parse(R"({"return":{"uptime_us":3723000000,"total":3,"flows":[
    {"protocol":"tcp","inbound":true,"guest_addr":"10.0.2.100","guest_port":80,"remote_addr":"2001:db8::1",
     "remote_port":4000,"state":"ESTABLISHED","bytes_from_guest":18446744073709551600,"bytes_to_guest":7,
     "rtt_us":1234,"remote_rtt_us":40000},
    {"protocol":"icmp","inbound":false,"guest_addr":"fd00::100","guest_port":53,"remote_addr":"","remote_port":0,
     "state":"","bytes_from_guest":0,"bytes_to_guest":5,"rtt_us":null,"remote_rtt_us":null},
    {"protocol":"udp","inbound":false,"guest_addr":"fd00::100","guest_port":53,"remote_addr":"","remote_port":0,
     "state":"","bytes_from_guest":0,"bytes_to_guest":0,"rtt_us":null,"remote_rtt_us":null}]}})"));
}

TEST_F(Requests, the_busiest_flows_come_first_and_not_all) {
  for (std::uint16_t i = 0; i < 3000; ++i) {
    FlowInfo flow;
    flow.guest.port = i;
    flow.bytes_to_guest = i;
    instance.live.push_back(flow);
  }
  for (const auto& [limit, listed] :
       {std::pair<Json, std::size_t>{nullptr, kFlowsListed}, {0, 0}, {10, 10}, {100000, kMaxFlowsListed}}) {
    const Json result = ask("list_flows", {{"limit", limit}})["return"];
    EXPECT_EQ(result["total"], 3000);
    ASSERT_EQ(result["flows"].size(), listed);
    if (listed == 0) continue;
    EXPECT_EQ(result["flows"][0]["guest_port"], 2999);
    EXPECT_EQ(result["flows"].back()["guest_port"], 3000 - listed);
  }
  for (const Json& bad : {Json(-1), Json("10"), Json(1.5)}) {
    EXPECT_EQ(ask("list_flows", {{"limit", bad}})["error"]["desc"],
              "bad request: list_flows: bad arguments.limit");
  }
  EXPECT_EQ(ask("list_flows", Json::array())["return"]["total"], 3000);
}

TEST_F(Requests, info_statistics_version) {
  EXPECT_EQ(ask("info"), Json::parse(R"({"return":{"name":"4711","target":"curl http://example.test/",
    "version":"1.2.3","uptime_s":3723,"guest4":"10.0.2.100","prefix4":"10.0.2.0/24","guest6":"fd00::100",
    "mtu":1500,"ports":[],"statistics":{"tcp_opened":3,"bytes_from_guest":1000,"bytes_to_guest":2000,
    "frames_from_guest":40,"frames_dropped":5,"flows":2}}})"));
  instance.about.guest6.reset();
  instance.about.uptime += std::chrono::microseconds(999999);
  EXPECT_TRUE(ask("info")["return"]["guest6"].is_null());
  EXPECT_EQ(ask("info")["return"]["uptime_s"], 3723);
  ask("publish", {{"port", "8080:80"}});
  EXPECT_EQ(ask("info")["return"]["ports"], ask("list_published")["return"]["ports"]);
  EXPECT_EQ(ask("info")["return"]["ports"][0]["port"], "tcp/8080:80");
  EXPECT_EQ(ask("statistics"), Json::parse(R"({"return":{"tcp_opened":3,"bytes_from_guest":1000,
    "bytes_to_guest":2000,"frames_from_guest":40,"frames_dropped":5,"flows":2}})"));
  instance.log = {7, 1};
  EXPECT_EQ(ask("statistics")["return"]["flow_log"], Json::parse(R"({"written":7,"dropped":1})"));
  EXPECT_EQ(ask("version"), Json::parse(R"({"return":{"version":"1.2.3"}})"));
}

TEST_F(Requests, a_target_that_is_not_utf8_is_told_all_the_same) {
  instance.about.target = "cat \xff\xfe";
  EXPECT_EQ(ask("info")["return"]["target"], "cat \xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(ask("info", {{"x", "\xc3\xa4"}})["return"]["name"], "4711");
}

TEST_F(Requests, a_throw_stays_inside) {
  class Throwing : public FakeInstance {
    InstanceInfo info() const override { throw std::runtime_error("x"); }
  } throwing;
  EXPECT_EQ(answer(R"({"execute":"info"})", throwing), R"({"error":{"desc":"internal error"}})");
}

TEST_F(Requests, ports_to_the_guests_loopback) {
  EXPECT_THAT(ids(ask("publish", {{"port", "8080-8081:80-81"}, {"loopback", true}})), ElementsAre(1, 2));
  EXPECT_TRUE(instance.ports.at(1).rule.loopback);
  EXPECT_THAT(ids(ask("publish", {{"port", "9080:80"}, {"loopback", false}})), ElementsAre(3));
  EXPECT_THAT(ids(ask("publish", {{"port", "9081:80"}})), ElementsAre(4));
  const Json ports = ask("list_published")["return"]["ports"];
  EXPECT_EQ(ports[0]["loopback"], true);
  EXPECT_EQ(ports[2]["loopback"], false);
  EXPECT_EQ(ports[3]["loopback"], false);
  EXPECT_EQ(ask("list_hostfwd")["return"]["entries"].size(), 2U) << "slirp4netns has no such ports";
  EXPECT_THAT(ids(ask("unpublish", {{"port", "8080:80"}})), ElementsAre(1));
  for (const Json& bad : {Json(1), Json("true"), Json::array(), Json::object()}) {
    EXPECT_EQ(ask("publish", {{"port", "7000:80"}, {"loopback", bad}})["error"]["desc"],
              "bad request: publish: bad arguments.loopback");
  }
}

TEST_F(Requests, policy) {
  instance.rules.settings = {.audit = true, .check_sni = true, .refuse_with_refused = true, .ttl_floor = 7};
  EXPECT_EQ(ask("policy"),
            Json::parse(R"({"return":{"active":true,"rules":["allow a.test","deny all"],"audit":true,
      "check_sni":true,"dns_refusal":"refused","ttl_floor":7,"refusals":3,
      "refused":[{"target":"tcp 192.0.2.1:80","count":3}]}})"));
  instance.rules.settings = {};
  const Json plain = ask("policy")["return"];
  EXPECT_EQ(plain["dns_refusal"], "nxdomain");
  EXPECT_EQ(plain["audit"], false);
  EXPECT_EQ(plain["check_sni"], false);
  EXPECT_EQ(plain["ttl_floor"], 60);
}

TEST_F(Requests, insert_rule) {
  EXPECT_THAT(ask("insert_rule", {{"action", "deny"}, {"rule", "b.test:80"}})["return"]["rules"],
              ElementsAre("deny b.test:80", "allow a.test", "deny all"));
  EXPECT_EQ(ask("insert_rule", {{"action", "allow"}, {"rule", "c.test"}})["return"]["rules"][0],
            "allow c.test");
  for (const char* arguments :
       {"null", "{}", R"({"rule":"a.test"})", R"({"action":"permit","rule":"a.test"})",
        R"({"action":1,"rule":"a.test"})", R"({"action":["allow"],"rule":"a.test"})"}) {
    EXPECT_EQ(error(R"({"execute":"insert_rule","arguments":)" + std::string(arguments) + "}"),
              "bad request: insert_rule: bad arguments.action")
        << arguments;
  }
  EXPECT_EQ(error(R"({"execute":"insert_rule","arguments":{"action":"allow"}})"),
            "bad request: insert_rule: bad arguments.rule");
  EXPECT_EQ(error(R"({"execute":"insert_rule","arguments":{"action":"allow","rule":7}})"),
            "bad request: insert_rule: bad arguments.rule");
  EXPECT_EQ(instance.rules.rules.size(), 4U) << "nothing came of those";
}

TEST_F(Requests, set_and_reset_policy) {
  EXPECT_THAT(ask("set_policy", {{"name", "p.toml"}, {"text", "deny b.test"}})["return"]["rules"],
              ElementsAre("deny b.test"));
  const Json wrong = ask("set_policy", {{"name", "p.toml"}, {"text", "wrong"}});
  EXPECT_EQ(wrong["error"]["desc"], "bad request: set_policy: failed");
  EXPECT_EQ(wrong["error"]["reason"], "p.toml:1:1: expected better");
  EXPECT_THAT(instance.rules.rules, ElementsAre("deny b.test")) << "the old one stays";
  EXPECT_EQ(error(R"({"execute":"set_policy","arguments":{"text":"x"}})"),
            "bad request: set_policy: bad arguments.name");
  EXPECT_EQ(error(R"({"execute":"set_policy","arguments":{"name":"x","text":null}})"),
            "bad request: set_policy: bad arguments.text");
  EXPECT_EQ(ask("reset_policy")["return"]["rules"], Json::array());
}

}  // namespace
}  // namespace sf::control
