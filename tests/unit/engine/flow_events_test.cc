// What a shard tells of its flows.
#include <gmock/gmock.h>

#include "unit/engine/shard_fixture.hh"
#include "unit/support/recorded_flows.hh"

namespace sf::engine {
namespace {

using host::HostError;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using wire::IpProtocol;
using Kind = FlowEvent::Kind;

class FlowEvents : public ShardTest {
 protected:
  FlowEvents() { config_.watch = &watch_; }
  ~FlowEvents() override { shard_.reset(); }

  void event(host::Readiness readiness) {
    shard_->on_socket_event(host_.current().token, readiness, now_);
    turn();
  }
  wire::TcpSegment segment(std::uint32_t at, std::uint16_t port = 80) const {
    wire::TcpSegment s = syn(port);
    s.flags = {};
    s.flags.ack = true;
    s.sequence = at;
    s.acknowledgment = next_;
    return s;
  }
  void hear(const wire::TcpSegment& s, std::string_view payload = {}) {
    const Bytes bytes(reinterpret_cast<const std::uint8_t*>(payload.data()), payload.size());
    EXPECT_EQ(out_.send_tcp(kGatewayMac, ip_to(remote(), IpProtocol::tcp), s, std::vector<Bytes>{bytes}, 0),
              link::Status::ok);
    frame(built());
  }
  void connect(std::uint16_t port = 80) {
    start();
    frame(syn_frame(remote(), port));
    host_.current().connected = HostError::none;
    event({.writable = true});
    ASSERT_EQ(link_.sent.size(), 1U);
    next_ = heard_tcp().sequence + 1;
    hear(segment(1001, port));
    link_.sent.clear();
  }

  RecordedFlows watch_;
  std::uint32_t next_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Versions, FlowEvents, testing::Bool(), version_name);

TEST_P(FlowEvents, OpenedWhenBothEndsAreThere) {
  watch_.name = "a.test";
  start();
  frame(syn_frame(remote()));
  EXPECT_THAT(watch_.told, IsEmpty());
  host_.current().connected = HostError::none;
  event({.writable = true});
  ASSERT_EQ(watch_.told.size(), 1U);
  EXPECT_EQ(watch_.told[0].event.kind, Kind::opened);
  EXPECT_EQ(watch_.told[0].event.guest, (Endpoint{guest(), 40000}));
  EXPECT_EQ(watch_.told[0].event.remote, (Endpoint{remote(), 80}));
  EXPECT_EQ(watch_.told[0].name, "a.test");
}

TEST_P(FlowEvents, EndedInGoodOrder) {
  connect();
  now_ += 3s;
  hear(segment(1001), "GET / HTTP/1.1\r\nHost: b.test\r\n\r\n");
  host_.current().incoming.assign(100, 1);
  host_.current().ended = true;
  event({.readable = true, .read_closed = true});
  EXPECT_EQ(watch_.told.size(), 1U);
  next_ += 101;
  wire::TcpSegment last = segment(1033);
  last.flags.fin = true;
  hear(last);
  ASSERT_EQ(watch_.told.size(), 2U);
  const auto& [ended, name, server_name] = watch_.told[1];
  EXPECT_EQ(ended.kind, Kind::ended);
  EXPECT_EQ(ended.cause, FlowCause::finished);
  EXPECT_EQ(ended.counts.bytes_from_guest, 32U);
  EXPECT_EQ(ended.counts.bytes_to_guest, 100U);
  EXPECT_EQ(ended.counts.packets_from_guest, 3U) << "after the SYN";
  EXPECT_EQ(ended.duration, 3s);
  EXPECT_EQ(server_name, "b.test");
  now_ += 10s;
  turn();
  shard_.reset();
  EXPECT_EQ(watch_.told.size(), 2U) << "once";
}

TEST_P(FlowEvents, NothingIsHeldBackForAName) {
  connect();
  hear(segment(1001), "GET / HT");
  EXPECT_EQ(host_.current().taken.size(), 8U);
}

TEST_P(FlowEvents, ResetByEitherSide) {
  connect();
  host_.current().receive_error = HostError::reset;
  event({.readable = true, .error = true, .hang_up = true});
  EXPECT_THAT(watch_.take(),
              ElementsAre(Pair(Kind::opened, FlowCause::none), Pair(Kind::ended, FlowCause::remote_reset)));
  link_.sent.clear();
  frame(syn_frame(remote()));
  host_.current().connected = HostError::none;
  event({.writable = true});
  next_ = heard_tcp().sequence + 1;
  hear(segment(1001));
  wire::TcpSegment reset = segment(1001);
  reset.flags.rst = true;
  hear(reset);
  EXPECT_THAT(watch_.take(),
              ElementsAre(Pair(Kind::opened, FlowCause::none), Pair(Kind::ended, FlowCause::guest_reset)));
}

TEST_P(FlowEvents, RefusedByTheRemoteEndOrNeverAnswered) {
  start();
  for (const auto& [error, cause] : {std::pair(HostError::refused, FlowCause::remote_refused),
                                     std::pair(HostError::timed_out, FlowCause::no_answer),
                                     std::pair(HostError::net_unreachable, FlowCause::unreachable),
                                     std::pair(HostError::no_ports, FlowCause::host_failed)}) {
    frame(syn_frame(remote()));
    host_.current().connected = error;
    event({.error = true});
    EXPECT_THAT(watch_.take(), ElementsAre(Pair(Kind::refused, cause)));
  }
  host_.connect_error = HostError::no_descriptors;
  frame(syn_frame(remote()));
  EXPECT_THAT(watch_.take(), ElementsAre(Pair(Kind::refused, FlowCause::host_failed)));
}

TEST_P(FlowEvents, TheGuestHasGivenUp) {
  start();
  frame(syn_frame(remote()));
  wire::TcpSegment reset = segment(1001);
  reset.flags.rst = true;
  reset.flags.ack = false;
  hear(reset);
  EXPECT_THAT(watch_.take(), ElementsAre(Pair(Kind::refused, FlowCause::withdrawn)));
}

TEST_P(FlowEvents, NoRoom) {
  config_.limits.half_open = 1;
  start();
  frame(syn_frame(remote(), 80));
  frame(syn_frame(remote(), 81));
  EXPECT_THAT(watch_.take(), ElementsAre(Pair(Kind::refused, FlowCause::evicted)));
  config_.limits.tcp_flows = 0;
  start();
  watch_.take();
  frame(syn_frame(remote()));
  EXPECT_THAT(watch_.take(), ElementsAre(Pair(Kind::refused, FlowCause::limit)));
}

// They come again: nobody was refused.
TEST_P(FlowEvents, SynsThatAreLostInAFlood) {
  config_.limits.half_open = 1;
  start();
  std::uint16_t port = 1;
  for (; port <= OpeningBudget::kAtOnce; ++port) frame(syn_frame(remote(), port));
  EXPECT_EQ(drops(wire::DropReason::rate_limited), 0U);
  watch_.take();
  frame(syn_frame(remote(), port));
  EXPECT_THAT(watch_.take(), IsEmpty());
  EXPECT_EQ(drops(wire::DropReason::rate_limited), 1U);
  EXPECT_EQ(drops(wire::DropReason::flow_limit), 0U);
}

TEST_P(FlowEvents, TheProgramsEnd) {
  connect();
  frame(udp_frame(ip_to(remote(), IpProtocol::udp), 7));
  frame(echo_frame(ip_to(remote(), IpProtocol::udp)));
  EXPECT_THAT(watch_.take(), testing::Each(Pair(Kind::opened, FlowCause::none)));
  shard_.reset();
  EXPECT_THAT(watch_.take(), ElementsAre(Pair(Kind::ended, FlowCause::program_end),
                                         Pair(Kind::ended, FlowCause::program_end),
                                         Pair(Kind::ended, FlowCause::program_end)));
}

TEST_P(FlowEvents, ALimitIsNotWhatTheHostLacks) {
  config_.limits.udp_flows = config_.limits.ping_flows = 1;
  start();
  for (const HostError error : {HostError::no_memory, HostError::no_descriptors}) {
    host_.open_error = error;
    frame(udp_frame(ip_to(remote(), IpProtocol::udp), 7));
    frame(echo_frame(ip_to(remote(), IpProtocol::udp)));
    EXPECT_THAT(watch_.take(), ElementsAre(Pair(Kind::refused, FlowCause::host_failed),
                                           Pair(Kind::refused, FlowCause::host_failed)));
    now_ += 10s;
  }
  host_.open_error = HostError::none;
  config_.limits.udp_flows = config_.limits.ping_flows = 0;
  start();
  watch_.take();
  frame(udp_frame(ip_to(remote(), IpProtocol::udp), 7));
  frame(echo_frame(ip_to(remote(), IpProtocol::udp)));
  EXPECT_THAT(watch_.take(),
              ElementsAre(Pair(Kind::refused, FlowCause::limit), Pair(Kind::refused, FlowCause::limit)));
}

TEST_P(FlowEvents, TheRemoteEndIsGoneWithoutAReset) {
  for (const auto& [error, cause] : {std::pair(HostError::timed_out, FlowCause::remote_silent),
                                     std::pair(HostError::host_unreachable, FlowCause::unreachable)}) {
    connect();
    host_.current().receive_error = error;
    event({.readable = true, .error = true});
    EXPECT_THAT(watch_.take(), ElementsAre(Pair(Kind::opened, FlowCause::none), Pair(Kind::ended, cause)));
    connect();
    host_.current().send_error = error;
    host_.current().receive_error = HostError::reset;
    hear(segment(1001), "GET");
    event({.readable = true, .error = true});
    EXPECT_THAT(watch_.take(), ElementsAre(Pair(Kind::opened, FlowCause::none), Pair(Kind::ended, cause)));
  }
}

TEST_P(FlowEvents, ADatagramThatDoesNotLeaveOpensNothing) {
  start();
  for (const auto& [error, cause] : {std::pair(HostError::net_unreachable, FlowCause::unreachable),
                                     std::pair(HostError::prohibited, FlowCause::unreachable),
                                     std::pair(HostError::other, FlowCause::host_failed)}) {
    host_.datagram_error = error;
    frame(udp_frame(ip_to(remote(), IpProtocol::udp), 7));
    frame(echo_frame(ip_to(remote(), IpProtocol::udp)));
    EXPECT_THAT(watch_.take(), ElementsAre(Pair(Kind::refused, cause), Pair(Kind::refused, cause)));
    now_ += 10s;
  }
  for (const HostError error : {HostError::would_block, HostError::message_too_large}) {
    host_.datagram_error = error;
    frame(udp_frame(ip_to(remote(), IpProtocol::udp), 7));
    EXPECT_THAT(watch_.told, IsEmpty());
  }
  host_.datagram_error = HostError::none;
  frame(udp_frame(ip_to(remote(), IpProtocol::udp), 7));
  EXPECT_THAT(watch_.take(), ElementsAre(Pair(Kind::opened, FlowCause::none)));
}

TEST_P(FlowEvents, DatagramFlowsEndWhenTheyAreIdle) {
  start();
  frame(udp_frame(ip_to(remote(), IpProtocol::udp), 7));
  frame(echo_frame(ip_to(remote(), IpProtocol::udp)));
  watch_.take();
  now_ += 301s;
  turn();
  ASSERT_EQ(watch_.told.size(), 2U);
  for (const auto& told : watch_.told) {
    EXPECT_EQ(told.event.cause, FlowCause::idle);
    EXPECT_EQ(told.event.counts.packets_from_guest, 1U);
    EXPECT_EQ(told.event.remote.address, remote());
  }
}

TEST_P(FlowEvents, ThePolicysRefusals) {
  const auto rule = policy::parse_rule(policy::Action::allow, "192.0.2.99");
  auto policy =
      std::make_shared<const policy::Policy>(std::vector{*rule, policy::deny_all()}, policy::Settings{});
  policy::Gate gate(policy, {1, 2}, log_);
  config_.gate = &gate;
  start();
  frame(syn_frame(remote()));
  for (int i = 0; i < 5; ++i) frame(udp_frame(ip_to(remote(), IpProtocol::udp), 7));
  frame(echo_frame(ip_to(remote(), IpProtocol::udp)));
  using testing::Each;
  EXPECT_EQ(watch_.told.size(), 3U) << "one for the same datagram again and again";
  EXPECT_THAT(watch_.take(), Each(Pair(Kind::refused, FlowCause::policy)));
  now_ += RefusalRecords::kAgain;
  frame(udp_frame(ip_to(remote(), IpProtocol::udp), 7));
  EXPECT_EQ(watch_.take().size(), 1U) << "after a while again";
  // An audit lets it pass.
  policy::Settings audit;
  audit.audit = true;
  gate.replace(std::make_shared<const policy::Policy>(std::vector{*rule, policy::deny_all()}, audit));
  frame(udp_frame(ip_to(remote(), IpProtocol::udp), 8));
  ASSERT_EQ(watch_.told.size(), 2U);
  EXPECT_TRUE(watch_.told[1].event.audited);
  EXPECT_THAT(watch_.take(),
              ElementsAre(Pair(Kind::audited, FlowCause::policy), Pair(Kind::opened, FlowCause::none)));
  frame(echo_frame(ip_to(remote(), IpProtocol::udp)));
  ASSERT_EQ(watch_.told.size(), 2U);
  EXPECT_TRUE(watch_.told[1].event.audited);
  watch_.take();
  frame(syn_frame(remote()));
  watch_.take();
  host_.current().connected = HostError::none;
  event({.writable = true});
  ASSERT_EQ(watch_.told.size(), 1U);
  EXPECT_TRUE(watch_.told[0].event.audited);
  watch_.take();
  shard_.reset();
  ASSERT_EQ(watch_.told.size(), 3U);
  for (const auto& told : watch_.told) EXPECT_TRUE(told.event.audited);
}

TEST_P(FlowEvents, AServerNameThatAnAuditLetsPass) {
  policy::Settings audit;
  audit.audit = audit.check_sni = true;
  std::vector<policy::Rule> rules{*policy::parse_rule(policy::Action::allow, v4() ? "0.0.0.0/0" : "::/0"),
                                  policy::deny_all()};
  rules.insert(rules.begin(), *policy::parse_rule(policy::Action::deny, "b.test"));
  policy::Gate gate(std::make_shared<const policy::Policy>(rules, audit), {1, 2}, log_);
  config_.gate = &gate;
  connect();
  ASSERT_EQ(watch_.told.size(), 1U);
  const std::uint64_t id = watch_.told[0].event.id;
  EXPECT_FALSE(watch_.told[0].event.audited);
  hear(segment(1001), "GET / HTTP/1.1\r\nHost: b.test\r\n\r\n");
  ASSERT_EQ(watch_.told.size(), 2U);
  EXPECT_EQ(watch_.told[1].event.kind, Kind::audited);
  EXPECT_EQ(watch_.told[1].event.id, id);
  EXPECT_EQ(watch_.told[1].server_name, "b.test");
  shard_.reset();
  ASSERT_EQ(watch_.told.size(), 3U);
  EXPECT_TRUE(watch_.told[2].event.audited);
  EXPECT_EQ(watch_.told[2].event.id, id);
}

TEST_P(FlowEvents, QuestionsAndAnswers) {
  auto policy = std::make_shared<const policy::Policy>(std::vector{policy::deny_all()}, policy::Settings{});
  policy::Gate gate(policy, {1, 2}, log_);
  config_.gate = &gate;
  start();
  std::array<std::uint8_t, 64> bytes{};
  Writer out(bytes);
  wire::DnsHeader header;
  header.questions = 1;
  header.emit(out);
  wire::DnsQuestion{"no.test", 1, 1}.emit(out);
  for (int i = 0; i < 5; ++i) frame(udp_frame(ip_to(dns(), IpProtocol::udp), 53, out.written()));
  ASSERT_EQ(watch_.told.size(), 1U) << "once for the same name";
  EXPECT_EQ(watch_.told[0].event.protocol, FlowProtocol::dns);
  EXPECT_EQ(watch_.told[0].event.cause, FlowCause::policy);
  EXPECT_EQ(watch_.told[0].name, "no.test");
  shard_.reset();
}

TEST_P(FlowEvents, NobodyWatches) {
  config_.watch = nullptr;
  connect();
  frame(udp_frame(ip_to(remote(), IpProtocol::udp), 7));
  frame(syn_frame(gateway()));
  shard_.reset();
  EXPECT_EQ(watch_.ids, 0U);
}

}  // namespace
}  // namespace sf::engine
