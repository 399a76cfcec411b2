// Queries that are answered: what goes out, and what comes back.
#include "services/dns_forwarder.hh"

#include <gmock/gmock.h>

#include <set>

#include "unit/services/dns_fixture.hh"

namespace sf::services {
namespace {

using testing::Each;
using testing::IsEmpty;
using testing::SizeIs;

TEST_F(DnsTest, AQueryGoesToTheFirstServerUnchangedButForItsId) {
  const Message query = dns_query(0x1234, "wan.lab.test");
  ask(query);
  ASSERT_THAT(host_.sent, SizeIs(1));
  EXPECT_EQ(host_.sent[0].to, first_);
  Message sent = host_.sent[0].payload;
  EXPECT_NE(wire::dns_id(sent), 0x1234);
  wire::set_dns_id(sent, 0x1234);
  EXPECT_EQ(sent, query);
  EXPECT_EQ(forwarder_.pending(), 1U);
}

TEST_F(DnsTest, TheAnswerComesBackWithTheGuestsId) {
  ask(0x1234, "wan.lab.test");
  respond(host_.sent.at(0));
  ASSERT_THAT(replies_, SizeIs(1));
  Message expected = dns_answer(dns_query(0x1234, "wan.lab.test"));
  EXPECT_EQ(replies_[0].message, expected);
  EXPECT_EQ(replies_[0].guest, guest_);
  EXPECT_EQ(replies_[0].mac, kGuestMac);
  EXPECT_EQ(replies_[0].dns_address, dns_);
  EXPECT_EQ(forwarder_.pending(), 0U);
  EXPECT_EQ(forwarder_.counters().answers, 1U);
}

TEST_F(DnsTest, TheLargestAnswerIsRelayedWhole) {
  ask(7, "big.lab.test");
  const Message query = host_.sent.at(0).payload;
  const Message answer = dns_answer(query, wire::DnsRcode::no_error, 65507 - query.size());
  deliver(host_.sent[0], first_, answer);
  ASSERT_THAT(replies_, SizeIs(1));
  EXPECT_THAT(replies_[0].message, SizeIs(65507));
  EXPECT_EQ(Message(replies_[0].message.begin() + 2, replies_[0].message.end()),
            Message(answer.begin() + 2, answer.end()));
}

TEST_F(DnsTest, NamesThatDoNotExistAreAnAnswer) {
  ask(7, "nothing.lab.test");
  respond(host_.sent.at(0), wire::DnsRcode::name_error);
  ASSERT_THAT(replies_, SizeIs(1));
  EXPECT_EQ(replies_[0].header().rcode, wire::DnsRcode::name_error);
  EXPECT_THAT(host_.sent, SizeIs(1));
}

TEST_F(DnsTest, AnswersComeBackInAnyOrder) {
  ask(1, "a.test");
  ask(2, "b.test");
  ask(3, "c.test");
  for (const std::size_t i : {2U, 0U, 1U}) respond(host_.sent.at(i));
  ASSERT_THAT(replies_, SizeIs(3));
  EXPECT_EQ(replies_[0].header().id, 3);
  EXPECT_EQ(replies_[1].header().id, 1);
  EXPECT_EQ(replies_[2].header().id, 2);
}

TEST_F(DnsTest, ManyAnswersAtOneEventAreAllTaken) {
  random_.seed(1);
  std::vector<FakeHost::Sent> of_one_socket;
  for (std::uint16_t i = 0; of_one_socket.size() < 40; ++i) {
    ask(i, fmt::format("n{}.test", i));
    if (host_.sent.back().socket == host_.sent.front().socket) of_one_socket.push_back(host_.sent.back());
  }
  for (const auto& sent : of_one_socket) {
    host_.sockets.at(sent.socket).incoming.emplace_back(sent.to, dns_answer(sent.payload));
  }
  event(of_one_socket[0], host::Readiness{.readable = true});
  EXPECT_THAT(replies_, SizeIs(40));
}

TEST_F(DnsTest, AnswersThatTheHostGluedTogetherAreTakenApart) {
  random_.seed(1);
  std::vector<FakeHost::Sent> pair;
  for (std::uint16_t i = 0; pair.size() < 2; ++i) {
    ask(i, fmt::format("n{}.test", 100 + i));
    if (host_.sent.back().socket == host_.sent.front().socket) pair.push_back(host_.sent.back());
  }
  Message glued = dns_answer(pair[0].payload);
  host_.segment_size = static_cast<std::uint16_t>(glued.size());
  const Message shorter = dns_answer(pair[1].payload, wire::DnsRcode::no_error, 5);
  glued.insert(glued.end(), shorter.begin(), shorter.end());
  deliver(pair[0], first_, glued);
  ASSERT_THAT(replies_, SizeIs(2));
  EXPECT_EQ(replies_[1].message.size(), shorter.size());
}

TEST_F(DnsTest, Ipv6GuestsAndServersWorkTheSame) {
  const Endpoint server{address("::1"), 53};
  host_.configured.servers = {server};
  const Endpoint guest{address("fd00::15"), 5353};
  const Endpoint dns{address("fd00::3"), 53};
  forwarder_.query(guest, kGuestMac, dns, dns_query(9, "wan.lab.test"), now_);
  ASSERT_THAT(host_.sent, SizeIs(1));
  EXPECT_EQ(host_.sent[0].to, server);
  EXPECT_GE(host_.sent[0].token, kBase + DnsSocketPool::kPerFamily);
  EXPECT_LT(host_.sent[0].token, kBase + DnsForwarder::kTokens);
  respond(host_.sent[0]);
  ASSERT_THAT(replies_, SizeIs(1));
  EXPECT_EQ(replies_[0].guest, guest);
  EXPECT_EQ(replies_[0].dns_address, dns);
}

TEST_F(DnsTest, AnUnspecifiedServerIsTheHostItself) {
  host_.configured.servers = {{address("0.0.0.0"), 53}, {address("::"), 53}};
  ask(9, "wan.lab.test");
  EXPECT_EQ(host_.sent.at(0).to, (Endpoint{address("127.0.0.1"), 53}));
  pass(DnsForwarder::kServerTimeout);
  EXPECT_EQ(host_.sent.at(1).to, (Endpoint{address("::1"), 53}));
}

TEST_F(DnsTest, ServersAreThoseOfTheMoment) {
  ask(1, "a.test");
  host_.configured.servers = {second_};
  ask(2, "b.test");
  EXPECT_EQ(host_.sent.at(0).to, first_);
  EXPECT_EQ(host_.sent.at(1).to, second_);
  respond(host_.sent[0]);
  EXPECT_THAT(replies_, SizeIs(1)) << "the list of the first query is still that of its beginning";
}

TEST_F(DnsTest, ADuplicateIsNotSentAgain) {
  ask(0x1234, "wan.lab.test");
  ask(0x1234, "wan.lab.test");
  EXPECT_THAT(host_.sent, SizeIs(1));
  EXPECT_EQ(forwarder_.counters().duplicates, 1U);
  respond(host_.sent[0]);
  EXPECT_THAT(replies_, SizeIs(1));
}

TEST_F(DnsTest, WhatDiffersInAnyPartIsNoDuplicate) {
  ask(0x1234, "wan.lab.test");
  ask(0x1235, "wan.lab.test");
  ask(0x1234, "far.lab.test");
  ask(dns_query(0x1234, "wan.lab.test", 28));
  forwarder_.query({guest_.address, 40001}, kGuestMac, dns_, dns_query(0x1234, "wan.lab.test"), now_);
  forwarder_.query({address("10.0.2.16"), 40000}, kGuestMac, dns_, dns_query(0x1234, "wan.lab.test"), now_);
  forwarder_.query(guest_, kGuestMac, {address("10.0.2.4"), 53}, dns_query(0x1234, "wan.lab.test"), now_);
  EXPECT_THAT(host_.sent, SizeIs(7));
  EXPECT_EQ(forwarder_.counters().duplicates, 0U);
}

TEST_F(DnsTest, AfterTheAnswerTheSameQueryIsANewOne) {
  ask(0x1234, "wan.lab.test");
  respond(host_.sent.at(0));
  ask(0x1234, "wan.lab.test");
  EXPECT_THAT(host_.sent, SizeIs(2));
}

TEST_F(DnsTest, SocketsAreClosedWhenIdleAndOpenedAgain) {
  ask(1, "a.test");
  respond(host_.sent.at(0));
  EXPECT_FALSE(host_.sockets.empty());
  pass(DnsForwarder::kIdleClose - 1ms);
  EXPECT_FALSE(host_.sockets.empty());
  pass(1ms);
  EXPECT_THAT(host_.sockets, IsEmpty());
  EXPECT_EQ(forwarder_.deadline(), kNever) << "silent from here on";
  event(host_.sent[0], host::Readiness{.readable = true, .error = true});  // of a socket that is closed
  ask(2, "b.test");
  respond(host_.sent.at(1));
  EXPECT_THAT(replies_, SizeIs(2));
}

TEST_F(DnsTest, ANewQueryPutsTheClosingOff) {
  ask(1, "a.test");
  respond(host_.sent.at(0));
  pass(20s);
  ask(2, "b.test");
  respond(host_.sent.at(1));
  pass(20s);
  EXPECT_FALSE(host_.sockets.empty());
  pass(10s);
  EXPECT_TRUE(host_.sockets.empty());
}

TEST_F(DnsTest, WithoutQueriesThereIsNoDeadline) {
  EXPECT_EQ(forwarder_.deadline(), kNever);
}

TEST(DnsForwarderLife, DestructionClosesTheSockets) {
  struct Sink : DnsReplySink {
    void dns_reply(const Endpoint&, const MacAddress&, const Endpoint&, Bytes, Time) override {}
  } sink;
  FakeHost host;
  host.configured.servers = {{address("198.51.100.1"), 53}};
  {
    DnsForwarder forwarder(
        host, sink, [] { return 5U; }, 0);
    forwarder.query({address("10.0.2.15"), 1}, kGuestMac, {address("10.0.2.3"), 53}, dns_query(1, "a.test"),
                    Time{});
    EXPECT_THAT(host.sockets, SizeIs(1));
  }
  EXPECT_THAT(host.sockets, IsEmpty());
}

}  // namespace
}  // namespace sf::services
