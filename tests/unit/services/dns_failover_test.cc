// Servers that are silent, unreachable or refuse: which one is asked next, and when the guest is told.
#include <gmock/gmock.h>

#include "unit/services/dns_fixture.hh"

namespace sf::services {
namespace {

using testing::IsEmpty;
using testing::SizeIs;
using wire::DnsRcode;

class DnsFailoverTest : public DnsTest {
 protected:
  std::vector<Endpoint> asked() const {
    std::vector<Endpoint> out;
    for (const auto& sent : host_.sent) out.push_back(sent.to);
    return out;
  }
  void expect_failure(std::uint16_t id) {
    ASSERT_THAT(replies_, SizeIs(1));
    const wire::DnsHeader header = replies_[0].header();
    EXPECT_EQ(header.id, id);
    EXPECT_TRUE(header.response);
    EXPECT_EQ(header.rcode, DnsRcode::server_failure);
    EXPECT_EQ(header.questions, 1);
    EXPECT_EQ(forwarder_.pending(), 0U);
    EXPECT_EQ(forwarder_.counters().failures, 1U);
  }
};

TEST_F(DnsFailoverTest, ASilentServerIsFollowedByTheNext) {
  ask(1, "a.test");
  pass(DnsForwarder::kServerTimeout - 1ms);
  EXPECT_THAT(host_.sent, SizeIs(1));
  pass(1ms);
  EXPECT_EQ(asked(), (std::vector{first_, second_}));
  respond(host_.sent[1]);
  ASSERT_THAT(replies_, SizeIs(1));
  EXPECT_EQ(replies_[0].header().id, 1);
}

TEST_F(DnsFailoverTest, TwoRoundsThenServfail) {
  const Time start = now_;
  ask(0x4321, "a.test");
  while (replies_.empty()) sleep();
  EXPECT_EQ(asked(), (std::vector{first_, second_, first_, second_}));
  EXPECT_EQ(now_ - start, 4 * DnsForwarder::kServerTimeout);
  expect_failure(0x4321);
}

TEST_F(DnsFailoverTest, ASingleServerGetsTheLeastLifeOfAQuery) {
  host_.configured.servers = {first_};
  const Time start = now_;
  ask(1, "a.test");
  while (replies_.empty()) sleep();
  EXPECT_EQ(asked(), (std::vector{first_, first_}));
  EXPECT_EQ(now_ - start, DnsForwarder::kMinimumLife);
}

TEST_F(DnsFailoverTest, ManyServersDoNotMakeItLast) {
  host_.configured.servers.clear();
  for (unsigned i = 0; i < 8; ++i) host_.configured.servers.push_back({address("198.51.100.1").plus(i), 53});
  const Time start = now_;
  ask(1, "a.test");
  while (replies_.empty()) sleep();
  EXPECT_LE(now_ - start, DnsForwarder::kMaximumLife);
  EXPECT_THAT(host_.sent, SizeIs(8)) << "one every 1.5 s, for 12 s";
}

TEST_F(DnsFailoverTest, ALateAnswerOfAnEarlierServerIsTaken) {
  ask(1, "a.test");
  pass(DnsForwarder::kServerTimeout);
  ASSERT_THAT(host_.sent, SizeIs(2));
  respond(host_.sent[0]);
  EXPECT_THAT(replies_, SizeIs(1));
  respond(host_.sent[1]);
  EXPECT_THAT(replies_, SizeIs(1)) << "the second answer is nobody's any more";
  EXPECT_EQ(forwarder_.counters().rejected, 1U);
}

TEST_F(DnsFailoverTest, AnUnreachablePortMovesOnAtOnce) {
  ask(1, "a.test");
  report_error(host_.sent.at(0), host_.sent[0].payload.size());
  EXPECT_EQ(asked(), (std::vector{first_, second_}));
}

TEST_F(DnsFailoverTest, AnErrorOfOneQueryLeavesOthersAlone) {
  ask(1, "a.test");
  do {
    ask(static_cast<std::uint16_t>(host_.sent.size() + 1), fmt::format("n{}.test", host_.sent.size()));
  } while (host_.sent.back().socket != host_.sent.front().socket);
  const std::size_t before = host_.sent.size();
  report_error(host_.sent[0], 2);
  ASSERT_THAT(host_.sent, SizeIs(before + 1));
  EXPECT_EQ(host_.sent.back().to, second_);
  EXPECT_EQ(wire::dns_id(host_.sent.back().payload), wire::dns_id(host_.sent[0].payload));
}

TEST_F(DnsFailoverTest, AnErrorWithoutAQuoteIsForAllThatWaitForTheServer) {
  ask(1, "a.test");
  report_error(host_.sent.at(0), 0);
  EXPECT_EQ(asked(), (std::vector{first_, second_}));
}

TEST_F(DnsFailoverTest, AnErrorOfAnEarlierServerDoesNotHurryTheNext) {
  ask(1, "a.test");
  pass(DnsForwarder::kServerTimeout);
  report_error(host_.sent.at(0), 12);
  EXPECT_THAT(host_.sent, SizeIs(2));
  pass(DnsForwarder::kServerTimeout);
  EXPECT_THAT(host_.sent, SizeIs(3));
}

TEST_F(DnsFailoverTest, AnErrorOfTheLatestServerMovesOnThoughAnotherMayStillAnswer) {
  ask(1, "a.test");
  pass(DnsForwarder::kServerTimeout);
  report_error(host_.sent.at(1), 12);
  EXPECT_EQ(asked(), (std::vector{first_, second_, first_}));
}

TEST_F(DnsFailoverTest, WhereNobodyElseCanBeAskedTheSilentServerIsWaitedFor) {
  const Time start = now_;
  ask(0x4321, "a.test");
  host_.send_errors[first_] = host_.send_errors[second_] = host::HostError::net_unreachable;
  pass(DnsForwarder::kServerTimeout);
  EXPECT_THAT(replies_, IsEmpty());
  while (replies_.empty() && forwarder_.deadline() != kNever) sleep();
  EXPECT_EQ(now_ - start, DnsForwarder::kMinimumLife);
  expect_failure(0x4321);
}

TEST_F(DnsFailoverTest, AnErrorFromElsewhereIsIgnored) {
  ask(1, "a.test");
  FakeHost::Sent other = host_.sent.at(0);
  other.to = second_;
  report_error(other, 12);
  EXPECT_THAT(host_.sent, SizeIs(1));
}

TEST_F(DnsFailoverTest, WhereAllAreUnreachableTheGuestIsToldAtOnce) {
  ask(0x4321, "a.test");
  for (std::size_t i = 0; i < 4; ++i) {
    ASSERT_GT(host_.sent.size(), i);
    report_error(host_.sent[i], 12);
  }
  EXPECT_THAT(host_.sent, SizeIs(4));
  expect_failure(0x4321);
}

TEST_F(DnsFailoverTest, AServerThatCannotBeSentToIsPassedOver) {
  host_.send_errors[first_] = host::HostError::net_unreachable;
  ask(1, "a.test");
  EXPECT_EQ(asked(), (std::vector{second_}));
}

TEST_F(DnsFailoverTest, WhereNothingCanBeSentTheGuestIsToldAtOnce) {
  host_.send_errors[first_] = host::HostError::net_unreachable;
  host_.send_errors[second_] = host::HostError::host_unreachable;
  ask(0x4321, "a.test");
  expect_failure(0x4321);
  EXPECT_FALSE(host_.sockets.empty());
  ASSERT_NE(forwarder_.deadline(), kNever);
  pass(DnsForwarder::kIdleClose);
  EXPECT_TRUE(host_.sockets.empty());
}

TEST_F(DnsFailoverTest, AFullSocketIsALostPacket) {
  host_.send_errors[first_] = host::HostError::would_block;
  ask(1, "a.test");
  EXPECT_THAT(host_.sent, IsEmpty());
  EXPECT_THAT(replies_, IsEmpty());
  pass(DnsForwarder::kServerTimeout);
  EXPECT_EQ(asked(), (std::vector{second_}));
}

TEST_F(DnsFailoverTest, AHostWithoutIpv6UsesItsIpv4Servers) {
  host_.configured.servers = {{address("2001:db8:1::2"), 53}, second_};
  host_.open_errors[false] = host::HostError::denied;
  ask(1, "a.test");
  EXPECT_EQ(asked(), (std::vector{second_}));
}

TEST_F(DnsFailoverTest, WithoutDescriptorsAnOpenSocketServes) {
  ask(1, "a.test");
  host_.open_errors[true] = host::HostError::no_descriptors;
  for (std::uint16_t i = 2; i < 20; ++i) ask(i, "a.test");
  EXPECT_THAT(host_.sent, SizeIs(19));
  EXPECT_THAT(host_.sockets, SizeIs(1));
}

TEST_F(DnsFailoverTest, WithoutServersTheGuestIsToldAtOnce) {
  host_.configured.servers.clear();
  ask(0x4321, "a.test");
  expect_failure(0x4321);
}

TEST_F(DnsFailoverTest, ARefusalIsFollowedByTheNextServer) {
  for (const DnsRcode rcode : {DnsRcode::server_failure, DnsRcode::refused, DnsRcode::not_implemented}) {
    host_.sent.clear();
    replies_.clear();
    ask(1, "a.test");
    respond(host_.sent.at(0), rcode);
    EXPECT_THAT(replies_, IsEmpty());
    ASSERT_EQ(asked(), (std::vector{first_, second_}));
    respond(host_.sent[1]);
    ASSERT_THAT(replies_, SizeIs(1));
    EXPECT_EQ(replies_[0].header().rcode, DnsRcode::no_error);
  }
}

TEST_F(DnsFailoverTest, TheLastServersRefusalIsTheAnswer) {
  ask(1, "a.test");
  respond(host_.sent.at(0), DnsRcode::refused);
  respond(host_.sent.at(1), DnsRcode::refused);
  ASSERT_THAT(replies_, SizeIs(1));
  EXPECT_EQ(replies_[0].header().rcode, DnsRcode::refused);
  EXPECT_EQ(forwarder_.counters().answers, 1U);
}

TEST_F(DnsFailoverTest, QueriesHaveDeadlinesOfTheirOwn) {
  ask(1, "a.test");
  pass(1s);
  ask(2, "b.test");
  pass(500ms);
  ASSERT_THAT(host_.sent, SizeIs(3));
  EXPECT_EQ(wire::dns_id(host_.sent[2].payload), wire::dns_id(host_.sent[0].payload));
  pass(1s);
  ASSERT_THAT(host_.sent, SizeIs(4));
  EXPECT_EQ(wire::dns_id(host_.sent[3].payload), wire::dns_id(host_.sent[1].payload));
}

}  // namespace
}  // namespace sf::services
