// policy suggest: from records to rules.
#include "flowlog/suggest.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "flowlog/record.hh"
#include "policy/file.hh"

namespace sf::flowlog {
namespace {

using testing::HasSubstr;
using testing::Not;

class Suggest : public testing::Test {
 protected:
  void add(FlowEvent event, std::string_view name = {}, std::string_view server_name = {}) {
    event.name = name;
    event.server_name = server_name;
    append_line(log_, Record(event), {});
  }
  static FlowEvent flow(FlowEvent::Kind kind, const char* remote, std::uint16_t port,
                        FlowProtocol protocol = FlowProtocol::tcp) {
    static std::uint64_t id = 0;
    FlowEvent event;
    event.kind = kind;
    event.protocol = protocol;
    event.guest = {Address::v4(10, 0, 2, 100), static_cast<std::uint16_t>(1000 + id)};
    event.remote = {*Address::parse(remote), port};
    event.id = ++id;
    return event;
  }
  void opened(const char* remote, std::uint16_t port, std::string_view name = {},
              FlowProtocol protocol = FlowProtocol::tcp) {
    add(flow(FlowEvent::Kind::opened, remote, port, protocol), name);
  }
  std::string suggested() {
    std::istringstream in(log_);
    const auto text = suggest_policy(in, "LOG");
    EXPECT_TRUE(text) << text.error().message;
    if (!text) return {};
    EXPECT_TRUE(policy::parse_policy_file("it", *text)) << *text;
    return *text;
  }
  std::string complaint() {
    std::istringstream in(log_);
    const auto text = suggest_policy(in, "LOG");
    return text ? "none" : text.error().message;
  }

  std::string log_;
};

TEST_F(Suggest, OneTargetOneRuleNamesBeforeAddresses) {
  opened("192.0.2.1", 443, "b.test");
  opened("192.0.2.2", 80, "b.test");
  opened("192.0.2.3", 443, "a.test");
  opened("192.0.2.3", 443, "a.test", FlowProtocol::udp);
  opened("2001:db8::1", 22);
  opened("192.0.2.9", 0, {}, FlowProtocol::icmp);
  opened("192.0.2.10", 53, {}, FlowProtocol::udp);
  const std::string text = suggested();
  EXPECT_THAT(
      text,
      HasSubstr("  # a.test: 2 flows, 0 bytes sent, 0 bytes received\n  \"allow a.test:443\",\n"
                "  # b.test: 2 flows, 0 bytes sent, 0 bytes received\n  \"allow tcp/b.test:80,443\",\n"));
  EXPECT_THAT(text, HasSubstr("  \"allow tcp/[2001:db8::1]:22\",\n"));
  EXPECT_THAT(text, HasSubstr("  \"allow icmp/192.0.2.9\",\n"));
  EXPECT_THAT(text, HasSubstr("  \"allow udp/192.0.2.10:53\",\n"));
  EXPECT_LT(text.find("b.test"), text.find("192.0.2.9"));
}

TEST_F(Suggest, RangesAndManyPorts) {
  for (std::uint16_t port = 100; port < 110; ++port) opened("192.0.2.1", port);
  opened("192.0.2.1", 200);
  for (std::uint16_t port = 100; port < 180; ++port)
    opened("192.0.2.2", static_cast<std::uint16_t>(2 * port));
  const std::string text = suggested();
  EXPECT_THAT(text, HasSubstr("\"allow tcp/192.0.2.1:100-109,200\""));
  EXPECT_THAT(text, HasSubstr("# 80 TCP ports: all of them are allowed\n  \"allow tcp/192.0.2.2\""));
}

TEST_F(Suggest, AnEndCountsBytesAndNotTwice) {
  FlowEvent event = flow(FlowEvent::Kind::opened, "192.0.2.1", 443);
  add(event, "a.test");
  event.kind = FlowEvent::Kind::ended;
  event.cause = FlowCause::finished;
  event.counts.bytes_from_guest = 2048;
  event.counts.bytes_to_guest = 3 << 20;
  add(event, "a.test", "cdn.test");
  const std::string text = suggested();
  EXPECT_THAT(text, HasSubstr("# a.test: 1 flow, 2.0 KiB sent, 3.0 MiB received"));
  EXPECT_THAT(text, HasSubstr("check-sni = true asks about:\n  # \"allow tcp/cdn.test:443\",\n"));
  EXPECT_THAT(text, Not(HasSubstr("\n  \"allow tcp/cdn.test")));
}

TEST_F(Suggest, WhatNoPolicyAsksAboutIsLeftOut) {
  FlowEvent event = flow(FlowEvent::Kind::opened, "192.0.2.1", 5555);
  event.inbound = true;
  add(event);
  event = flow(FlowEvent::Kind::opened, "10.0.2.3", 53);
  event.forwarder = true;
  add(event);
  const std::string text = suggested();
  EXPECT_THAT(text, HasSubstr("rules = [\n]\n"));
  EXPECT_THAT(text, HasSubstr("# 1 flow from outside"));
}

TEST_F(Suggest, RefusedAndAuditedAreComments) {
  FlowEvent refused = flow(FlowEvent::Kind::refused, "192.0.2.1", 443);
  refused.cause = FlowCause::policy;
  add(refused, "no.test");
  add(refused, "no.test");
  FlowEvent closed = flow(FlowEvent::Kind::refused, "192.0.2.2", 81);
  closed.cause = FlowCause::remote_refused;
  add(closed);
  FlowEvent audited = flow(FlowEvent::Kind::audited, "192.0.2.3", 443);
  audited.cause = FlowCause::policy;
  add(audited, "audited.test");
  audited.kind = FlowEvent::Kind::opened;
  audited.audited = true;
  add(audited, "audited.test");
  audited.kind = FlowEvent::Kind::ended;
  audited.cause = FlowCause::finished;
  add(audited, "audited.test");
  FlowEvent question;
  question.kind = FlowEvent::Kind::refused;
  question.protocol = FlowProtocol::dns;
  question.cause = FlowCause::policy;
  add(question, "asked.test");
  const std::string text = suggested();
  EXPECT_THAT(
      text,
      HasSubstr("# refused 2 times: tcp 192.0.2.1:443 (no.test) (policy)\n  # \"allow tcp/no.test:443\",\n"));
  EXPECT_THAT(text, HasSubstr("# refused 1 time: tcp 192.0.2.2:81 (refused by remote)\n"));
  EXPECT_THAT(text, HasSubstr("# would be refused 1 time: tcp 192.0.2.3:443 (audited.test) (policy)"));
  EXPECT_THAT(text, HasSubstr("# refused 1 time: the DNS question for asked.test (policy)"));
  EXPECT_THAT(text, Not(HasSubstr("\n  \"allow")));
}

TEST_F(Suggest, WildcardsAreForPeopleToDecide) {
  for (const char* name :
       {"a.cdn.example.test", "b.cdn.example.test", "c.cdn.example.test", "d.cdn.example.test",
        "e.cdn.example.test", "a.co.uk", "b.co.uk", "c.co.uk", "d.co.uk", "e.co.uk"}) {
    opened("192.0.2.1", 443, name);
  }
  const std::string text = suggested();
  EXPECT_THAT(text, HasSubstr("# In place of the 5 names in cdn.example.test above"));
  EXPECT_THAT(text, HasSubstr("  # \"allow tcp/*.cdn.example.test:443\",\n"));
  EXPECT_THAT(text, Not(HasSubstr("*.co.uk")));
  EXPECT_THAT(text, Not(HasSubstr("\n  \"allow tcp/*")));
}

TEST_F(Suggest, MissingRecordsAndACutLineAreSaid) {
  opened("192.0.2.1", 443);
  append_dropped(log_, 17, {});
  log_ += "{\"time\":\"2026";
  const std::string text = suggested();
  EXPECT_THAT(text, HasSubstr("# INCOMPLETE: 17 records could not be written"));
  EXPECT_THAT(text, HasSubstr("last line is cut off"));
}

TEST_F(Suggest, NothingOfTheLogGetsOutOfAComment) {
  log_ =
      R"({"time":"x\n\"deny all\",","event":"refused","protocol":"tcp","id":1,"guest_addr":"10.0.2.100","guest_port":1,)"
      R"("remote_addr":"192.0.2.1","remote_port":2,"reason":"a\n\"allow internet\",","name":"b\n\"allow internet\","})"
      "\n";
  EXPECT_THAT(suggested(), Not(HasSubstr("\n\"")));
}

TEST_F(Suggest, ANameThatIsAGroupsOpensNoGroup) {
  for (const char* word : {"internet", "private", "loopback", "link-local", "metadata", "INTERNET."}) {
    opened("192.0.2.1", 443, word);
    FlowEvent event = flow(FlowEvent::Kind::ended, "192.0.2.1", 443);
    add(event, "a.test", word);
    event.kind = FlowEvent::Kind::refused;
    event.cause = FlowCause::policy;
    add(event, word);
    add(event, {}, word);
    event.protocol = FlowProtocol::dns;
    add(event, word);
  }
  const std::string text = suggested();
  EXPECT_THAT(text, HasSubstr("  \"allow tcp/192.0.2.1:443\",\n"));
  EXPECT_THAT(text, HasSubstr("the DNS question for internet (policy)\n"));
  for (const char* word : {"internet", "private", "loopback", "link-local", "metadata"}) {
    EXPECT_THAT(text, Not(HasSubstr(std::string("allow tcp/") + word)));
    EXPECT_THAT(text, Not(HasSubstr(std::string("allow ") + word)));
  }
}

TEST_F(Suggest, PortZeroIsNotAllPorts) {
  opened("192.0.2.1", 0, {}, FlowProtocol::udp);
  opened("192.0.2.1", 53, {}, FlowProtocol::udp);
  opened("192.0.2.2", 0, {}, FlowProtocol::udp);
  const std::string text = suggested();
  EXPECT_THAT(text, HasSubstr("\"allow udp/192.0.2.1:53\""));
  EXPECT_THAT(text, Not(HasSubstr("allow udp/192.0.2.2")));
}

// Its "audited" record was kept back as a repetition, has another id, or is missing.
TEST_F(Suggest, WhatAnAuditLetPassIsNotAllowed) {
  FlowEvent event = flow(FlowEvent::Kind::opened, "192.0.2.1", 443);
  event.audited = true;
  add(event, "open.test");  // and has not ended
  event = flow(FlowEvent::Kind::ended, "192.0.2.2", 443);
  event.audited = true;
  add(event, "ended.test");
  // Found out by the server's name: after it has opened.
  event = flow(FlowEvent::Kind::opened, "192.0.2.3", 443);
  add(event, "named.test");
  event.kind = FlowEvent::Kind::ended;
  event.audited = true;
  add(event, "named.test");
  event = flow(FlowEvent::Kind::opened, "192.0.2.4", 443);
  add(event, "same-id.test");
  event.kind = FlowEvent::Kind::audited;
  add(event, "same-id.test", "other.test");
  opened("192.0.2.5", 443, "good.test");
  const std::string text = suggested();
  for (const char* name : {"open.test", "ended.test", "named.test", "same-id.test"})
    EXPECT_THAT(text, Not(HasSubstr(std::string("\n  \"allow tcp/") + name)));
  EXPECT_THAT(text, HasSubstr("\n  \"allow tcp/good.test:443\",\n"));
  EXPECT_THAT(text, HasSubstr("# 1 flow to 1 target,"));
}

TEST_F(Suggest, EndsThatHadNoRecordAreSaidToBeMissing) {
  FlowEvent event = flow(FlowEvent::Kind::ended, "192.0.2.1", 443, FlowProtocol::udp);
  event.others = true;
  event.id = 0;
  add(event);
  EXPECT_THAT(log_, Not(HasSubstr("remote")));
  const std::string text = suggested();
  EXPECT_THAT(text, HasSubstr("# INCOMPLETE: 1 socket with too many other ends"));
  EXPECT_THAT(text, Not(HasSubstr("allow udp")));
}

TEST_F(Suggest, EmptyLinesAreNoRecords) {
  log_ = "\n";
  opened("192.0.2.1", 443);
  log_ += "\n";
  EXPECT_THAT(suggested(), HasSubstr("1 target, 1 record in all"));
}

TEST_F(Suggest, EmptyLogs) {
  EXPECT_THAT(suggested(), HasSubstr("# 0 flows to 0 targets"));
}

TEST_F(Suggest, MalformedLinesAreNamed) {
  opened("192.0.2.1", 443);
  const std::string good = log_;
  const auto after = [&](const char* line) {
    log_ = good + line + "\n";
    return complaint();
  };
  EXPECT_EQ(after("hello\x1b"), "LOG:2: expected a record as --flow-log writes them, not 'hello?'");
  EXPECT_EQ(after("[[[["), "LOG:2: expected a record as --flow-log writes them, not '[[[['");
  EXPECT_EQ(after("{}"), "LOG:2: expected event, not 'nothing'");
  EXPECT_EQ(after(R"({"event":"began"})"),
            "LOG:2: expected event to be opened, refused, audited, ended or dropped, not 'began'");
  EXPECT_EQ(after(R"({"event":"dropped","time":"x","count":-1})"),
            "LOG:2: expected count to be a number, not '-1'");
  EXPECT_EQ(after(R"({"event":"opened","time":"x","protocol":"sctp"})"),
            "LOG:2: expected protocol to be tcp, udp, icmp or dns, not 'sctp'");
  EXPECT_EQ(after(R"({"event":"opened","time":"x","protocol":"tcp","id":1,"guest_addr":"x"})"),
            "LOG:2: expected guest_addr to be an IP address, not 'x'");
  EXPECT_EQ(
      after(
          R"({"event":"opened","time":"x","protocol":"tcp","id":1,"guest_addr":"10.0.2.1","guest_port":65536})"),
      "LOG:2: expected guest_port to be at most 65535, not '65536'");
  EXPECT_EQ(after(R"({"event":7})"), "LOG:2: expected event to be a text, not '7'");
  EXPECT_THAT(after(std::string(100000, 'x').c_str()),
              HasSubstr("LOG:2: expected a line of 8192 bytes at most"));
}

}  // namespace
}  // namespace sf::flowlog
