// Forged answers, malformed messages, and more than there is room for.
#include <gmock/gmock.h>

#include <set>

#include "unit/services/dns_fixture.hh"

namespace sf::services {
namespace {

using testing::IsEmpty;
using testing::SizeIs;
using wire::DnsRcode;

class DnsDefenceTest : public DnsTest {
 protected:
  void expect_rejected() {
    EXPECT_THAT(replies_, IsEmpty());
    EXPECT_EQ(forwarder_.counters().rejected, 1U);
    EXPECT_EQ(forwarder_.pending(), 1U);
    EXPECT_THAT(host_.sent, SizeIs(1));
    respond(host_.sent[0]);
    EXPECT_THAT(replies_, SizeIs(1)) << "the true answer is still waited for";
  }
};

TEST_F(DnsDefenceTest, AnAnswerFromAnotherAddressIsIgnored) {
  ask(1, "a.test");
  deliver(host_.sent.at(0), {address("203.0.113.9"), 53}, dns_answer(host_.sent[0].payload));
  expect_rejected();
}

TEST_F(DnsDefenceTest, AnAnswerFromAnotherPortIsIgnored) {
  ask(1, "a.test");
  deliver(host_.sent.at(0), {first_.address, 54}, dns_answer(host_.sent[0].payload));
  expect_rejected();
}

TEST_F(DnsDefenceTest, AnAnswerFromAServerThatWasNotAskedIsIgnored) {
  ask(1, "a.test");
  deliver(host_.sent.at(0), second_, dns_answer(host_.sent[0].payload));
  expect_rejected();
}

TEST_F(DnsDefenceTest, AnAnswerWithAnotherIdIsIgnored) {
  ask(1, "a.test");
  Message answer = dns_answer(host_.sent.at(0).payload);
  answer[1] = static_cast<std::uint8_t>(answer[1] ^ 1);
  deliver(host_.sent[0], first_, answer);
  expect_rejected();
}

TEST_F(DnsDefenceTest, AnAnswerToAnotherQuestionIsIgnored) {
  ask(1, "a.test");
  deliver(host_.sent.at(0), first_, dns_answer(dns_query(wire::dns_id(host_.sent[0].payload), "b.test")));
  expect_rejected();
}

TEST_F(DnsDefenceTest, AnAnswerOfAnotherTypeIsIgnored) {
  ask(1, "a.test");
  deliver(host_.sent.at(0), first_, dns_answer(dns_query(wire::dns_id(host_.sent[0].payload), "a.test", 28)));
  expect_rejected();
}

TEST_F(DnsDefenceTest, AQueryIsNoAnswer) {
  ask(1, "a.test");
  deliver(host_.sent.at(0), first_, host_.sent[0].payload);
  expect_rejected();
}

TEST_F(DnsDefenceTest, AnAnswerWithoutItsQuestionIsNoSuccess) {
  ask(1, "a.test");
  Message answer = dns_answer(host_.sent.at(0).payload);
  answer[5] = 0;
  deliver(host_.sent[0], first_, answer);
  expect_rejected();
}

TEST_F(DnsDefenceTest, AnErrorMayLeaveTheQuestionOut) {
  ask(1, "a.test");
  Message answer = dns_answer(host_.sent.at(0).payload, DnsRcode::format_error);
  answer[5] = 0;
  answer.resize(12);
  deliver(host_.sent[0], first_, answer);
  ASSERT_THAT(replies_, SizeIs(1));
  EXPECT_EQ(replies_[0].header().rcode, DnsRcode::format_error);
}

TEST_F(DnsDefenceTest, AnAnswerAtAnotherSocketIsIgnored) {
  ask(1, "a.test");
  while (host_.sent.back().socket == host_.sent.front().socket) {
    ask(static_cast<std::uint16_t>(host_.sent.size() + 1), "b.test");
  }
  deliver(host_.sent.back(), first_, dns_answer(host_.sent.front().payload));
  EXPECT_THAT(replies_, IsEmpty());
  EXPECT_EQ(forwarder_.counters().rejected, 1U);
}

TEST_F(DnsDefenceTest, ATruncatedDatagramIsIgnored) {
  ask(1, "a.test");
  host_.truncated = true;
  deliver(host_.sent.at(0), first_, dns_answer(host_.sent[0].payload));
  host_.truncated = false;
  expect_rejected();
}

TEST_F(DnsDefenceTest, AnEmptyDatagramIsIgnored) {
  ask(1, "a.test");
  deliver(host_.sent.at(0), first_, {});
  expect_rejected();
}

TEST_F(DnsDefenceTest, AnswersCutAtAnyLengthAreIgnoredUnlessTheirQuestionIsWhole) {
  ask(1, "a.test");
  const FakeHost::Sent sent = host_.sent.at(0);
  const Message answer = dns_answer(sent.payload);
  for (std::size_t length = 0; length < sent.payload.size(); ++length) {
    deliver(sent, first_, Message(answer.begin(), answer.begin() + static_cast<std::ptrdiff_t>(length)));
    ASSERT_THAT(replies_, IsEmpty()) << length;
  }
  EXPECT_EQ(forwarder_.counters().rejected, sent.payload.size());
}

TEST_F(DnsDefenceTest, NamesMayComeBackInAnotherCase) {
  ask(1, "Wan.LAB.test");
  deliver(host_.sent.at(0), first_,
          dns_answer(dns_query(wire::dns_id(host_.sent[0].payload), "wan.lab.TEST")));
  EXPECT_THAT(replies_, SizeIs(1));
}

TEST_F(DnsDefenceTest, IdsAndSocketsAreSpread) {
  std::set<std::uint16_t> ids;
  std::set<host::SocketId> sockets;
  for (std::uint16_t i = 0; i < 200; ++i) {
    ask(i, "a.test");
    ids.insert(wire::dns_id(host_.sent.back().payload));
    sockets.insert(host_.sent.back().socket);
  }
  EXPECT_THAT(ids, SizeIs(200)) << "no id twice among those pending";
  EXPECT_THAT(sockets, SizeIs(DnsSocketPool::kPerFamily));
}

TEST(DnsForwarderIds, AnIdInUseIsNotTakenAgain) {
  struct Sink : DnsReplySink {
    void dns_reply(const Endpoint&, const MacAddress&, const Endpoint&, Bytes, Time) override {}
  } sink;
  FakeHost host;
  host.configured.servers = {{address("198.51.100.1"), 53}};
  DnsForwarder forwarder(
      host, sink, [] { return 0xffffU; }, 0);
  for (std::uint16_t i = 0; i < 3; ++i) {
    forwarder.query({address("10.0.2.15"), 1}, kGuestMac, {address("10.0.2.3"), 53}, dns_query(i, "a.test"),
                    Time{});
  }
  EXPECT_EQ(wire::dns_id(host.sent.at(0).payload), 0xffff);
  EXPECT_EQ(wire::dns_id(host.sent.at(1).payload), 0);
  EXPECT_EQ(wire::dns_id(host.sent.at(2).payload), 1);
}

// --- from the guest
// -------------------------------------------------------------------------------------------------

TEST_F(DnsDefenceTest, WhatHasNoHeaderIsDropped) {
  for (std::size_t length = 0; length < 12; ++length) ask(Message(length, 1));
  EXPECT_THAT(replies_, IsEmpty());
  EXPECT_THAT(host_.sent, IsEmpty());
  EXPECT_EQ(forwarder_.counters().malformed, 12U);
}

TEST_F(DnsDefenceTest, WhatHasAHeaderButNoWholeQuestionIsAFormatError) {
  const Message whole = dns_query(0x1234, "a.test");
  for (std::size_t length = 12; length < whole.size(); ++length) {
    replies_.clear();
    ask(Message(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)));
    ASSERT_THAT(replies_, SizeIs(1));
    EXPECT_EQ(replies_[0].header().rcode, DnsRcode::format_error);
    EXPECT_EQ(replies_[0].header().id, 0x1234);
    EXPECT_TRUE(replies_[0].header().response);
    EXPECT_EQ(replies_[0].dns_address, dns_);
  }
  EXPECT_THAT(host_.sent, IsEmpty());
}

TEST_F(DnsDefenceTest, AnyOtherNumberOfQuestionsIsAFormatError) {
  for (const std::uint8_t count : {std::uint8_t{0}, std::uint8_t{2}}) {
    Message query = dns_query(1, "a.test");
    query[5] = count;
    ask(query);
    EXPECT_EQ(replies_.back().header().rcode, DnsRcode::format_error);
  }
  EXPECT_THAT(host_.sent, IsEmpty());
}

TEST_F(DnsDefenceTest, AResponseIsNeverAnswered) {
  Message response = dns_answer(dns_query(1, "a.test"));
  ask(response);
  response.resize(12);
  ask(response);
  EXPECT_THAT(replies_, IsEmpty());
  EXPECT_THAT(host_.sent, IsEmpty());
  EXPECT_EQ(forwarder_.counters().malformed, 2U);
}

// --- bounds
// ---------------------------------------------------------------------------------------------------------

TEST_F(DnsDefenceTest, PendingQueriesAreBounded) {
  for (std::size_t i = 0; i < DnsForwarder::kMaxPending; ++i) ask(static_cast<std::uint16_t>(i), "a.test");
  EXPECT_THAT(replies_, IsEmpty());
  ask(0xffff, "a.test");
  EXPECT_EQ(forwarder_.pending(), DnsForwarder::kMaxPending);
  EXPECT_THAT(host_.sent, SizeIs(DnsForwarder::kMaxPending));
  ASSERT_THAT(replies_, SizeIs(1));
  EXPECT_EQ(replies_[0].header().id, 0xffff);
  EXPECT_EQ(replies_[0].header().rcode, DnsRcode::server_failure);
  EXPECT_EQ(forwarder_.counters().overflows, 1U);
  respond(host_.sent[0]);
  ask(0xfffe, "a.test");
  EXPECT_THAT(host_.sent, SizeIs(DnsForwarder::kMaxPending + 1)) << "there is room again";
}

TEST_F(DnsDefenceTest, PendingBytesAreBounded) {
  const auto large = [](std::uint16_t id) {
    Message query = dns_query(id, "a.test");
    query.resize(65507);
    return query;
  };
  for (std::uint16_t i = 0; i < 16; ++i) ask(large(i));
  EXPECT_THAT(replies_, IsEmpty());
  ask(large(16));
  EXPECT_THAT(replies_, SizeIs(1));
  EXPECT_EQ(forwarder_.pending(), 16U);
  EXPECT_EQ(forwarder_.counters().overflows, 1U);
  for (std::size_t i = 0; i < 16; ++i) respond(host_.sent.at(i));
  replies_.clear();
  ask(large(17));
  EXPECT_THAT(replies_, IsEmpty()) << "there is room again";
}

TEST_F(DnsDefenceTest, AFullTableEmptiesItself) {
  for (std::size_t i = 0; i < DnsForwarder::kMaxPending; ++i) ask(static_cast<std::uint16_t>(i), "a.test");
  pass(40s);
  EXPECT_THAT(replies_, SizeIs(DnsForwarder::kMaxPending));
  EXPECT_EQ(forwarder_.pending(), 0U);
  EXPECT_THAT(host_.sockets, IsEmpty());
  EXPECT_EQ(forwarder_.deadline(), kNever);
}

TEST_F(DnsDefenceTest, ATokenOutOfRangeIsIgnored) {
  forwarder_.on_socket_event(DnsForwarder::kTokens, host::Readiness{.readable = true, .error = true}, now_);
  forwarder_.on_socket_event(0, host::Readiness{.readable = true, .error = true}, now_);
  EXPECT_EQ(forwarder_.counters().rejected, 0U);
}

}  // namespace
}  // namespace sf::services
