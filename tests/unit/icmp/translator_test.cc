#include "unit/icmp/icmp_fixture.hh"

namespace sf::icmp {
namespace {

using host::HostError;
using link::pattern;
using wire::IcmpError;

class Icmp : public IcmpTest {
 protected:
  bool read() { return translator_.on_readable(flow_, kStart); }
};

INSTANTIATE_TEST_SUITE_P(Version, Icmp, testing::Bool(), version_name);

TEST_P(Icmp, OpensAPingSocketOfTheGuestsFamily) {
  ASSERT_EQ(host_.opened.size(), 1U);
  EXPECT_EQ(host_.opened[0].kind, host::DatagramKind::ping);
  EXPECT_EQ(host_.opened[0].v4, v4());
  EXPECT_EQ(host_.opened[0].token, kToken);
}

TEST_P(Icmp, SendsTheRequestOnWithOneHopLess) {
  wire::IpHeader header;
  header.ttl = 3;
  header.traffic_class = 0x20;
  send(pattern_, header);
  ASSERT_EQ(host_.sent.size(), 1U);
  const auto& sent = host_.sent[0];
  EXPECT_EQ(sent.socket, flow_.socket);
  EXPECT_EQ(sent.to.address, remote());
  EXPECT_EQ(sent.options.ttl, 2);
  EXPECT_EQ(sent.options.traffic_class, 0x20);
  EXPECT_TRUE(sent.options.dont_fragment);
  EXPECT_EQ(sent.options.segment_size, 0);
  const auto message = wire::IcmpMessage::parse(sent.payload);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->type, request_type());
  EXPECT_EQ(message->echo_sequence(), kSequence);
  EXPECT_EQ(copy(message->body), pattern_);
  EXPECT_EQ(translator_.counters().requests, 1U);
}

TEST_P(Icmp, AReplyHasTheGuestsIdentifier) {
  auto datagram = reply(pattern_);
  datagram.datagram.ttl = 61;
  host_.batches.push_back({datagram});
  EXPECT_FALSE(read());
  ASSERT_EQ(link_.sent.size(), 1U);
  const wire::IpPacket packet = to_guest_packet(0);
  EXPECT_EQ(packet.source, remote());
  EXPECT_EQ(packet.protocol, protocol());
  EXPECT_EQ(packet.ttl, 60);
  const auto message = wire::IcmpMessage::parse(packet.payload);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->type, reply_type());
  EXPECT_EQ(message->echo_id(), kId);
  EXPECT_EQ(message->echo_sequence(), kSequence);
  EXPECT_EQ(copy(message->body), pattern_);
  EXPECT_EQ(translator_.counters().replies, 1U);
}

TEST_P(Icmp, ALargeReplyIsFragmentedAndASmallOneAfterItIsNot) {
  host_.batches.push_back({reply(pattern_)});
  EXPECT_FALSE(read());
  link_.sent.clear();
  host_.batches.push_back({reply(pattern(4000)), reply(pattern_)});
  EXPECT_FALSE(read());
  ASSERT_EQ(link_.sent.size(), 4U);
  OwnedBytes whole;
  for (std::size_t i = 0; i < 3; ++i) {
    const wire::IpPacket packet = to_guest_packet(i);
    whole.insert(whole.end(), packet.payload.begin(), packet.payload.end());
  }
  EXPECT_TRUE(wire::verify_transport_checksum(remote(), guest(), protocol(), whole));
  EXPECT_EQ(copy(drop(whole, 8)), pattern(4000));
  EXPECT_EQ(to_guest_packet(3).payload.size(), 8 + pattern_.size());
}

TEST_P(Icmp, ABusyFlowHasABudget) {
  for (int i = 0; i < 9; ++i) host_.batches.push_back({reply(pattern_)});
  EXPECT_TRUE(read());
  EXPECT_EQ(link_.sent.size(), 8U);
  EXPECT_FALSE(read());
  EXPECT_EQ(link_.sent.size(), 9U);
}

TEST_P(Icmp, OnlyRepliesPass) {
  auto other_type = reply(pattern_);
  other_type.bytes[0] = request_type();
  auto other_code = reply(pattern_);
  other_code.bytes[1] = 1;
  auto cut = reply(pattern_);
  cut.datagram.truncated = true;
  auto short_one = reply(pattern_);
  short_one.bytes.resize(7);
  host_.batches.push_back({other_type, other_code, cut, short_one});
  EXPECT_FALSE(read());
  EXPECT_TRUE(link_.sent.empty());
  EXPECT_EQ(translator_.counters().not_delivered, 4U);
}

TEST_P(Icmp, OnlyFromWhereTheGuestCouldSend) {
  for (const Address& address : {loopback(), gateway(), pick("169.254.1.1", "fe80::1")}) {
    auto datagram = reply(pattern_);
    datagram.datagram.from.address = address;
    host_.batches.push_back({datagram});
  }
  EXPECT_FALSE(read());
  EXPECT_TRUE(link_.sent.empty());
  EXPECT_EQ(translator_.counters().filtered, 3U);
}

TEST_P(Icmp, TheHostsLoopbackIsTheGatewayWhereItIsOpen) {
  network_.host_loopback = true;
  auto datagram = reply(pattern_);
  datagram.datagram.from.address = loopback();
  host_.batches.push_back({datagram});
  EXPECT_FALSE(read());
  ASSERT_EQ(link_.sent.size(), 1U);
  EXPECT_EQ(to_guest_packet(0).source, gateway());
}

// What makes `traceroute -I` and `ping -t 1` show the hops.
TEST_P(Icmp, AHopsErrorQuotesTheGuestsRequest) {
  host_.errors.push_back(queued(IcmpError::time_exceeded, router(), pattern_));
  translator_.on_error(flow_, kStart);
  ASSERT_EQ(link_.sent.size(), 1U);
  const SentError sent = to_guest_error(0);
  EXPECT_EQ(sent.from, router());
  EXPECT_EQ(sent.error, IcmpError::time_exceeded);
  EXPECT_EQ(sent.quoted.destination, remote());
  EXPECT_EQ(sent.quoted.protocol, protocol());
  EXPECT_TRUE(wire::verify_transport_checksum(guest(), remote(), protocol(), sent.quoted.payload));
  const auto message = wire::IcmpMessage::parse(sent.quoted.payload);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->type, request_type());
  EXPECT_EQ(message->echo_id(), kId);
  EXPECT_EQ(message->echo_sequence(), kSequence);
  EXPECT_EQ(copy(message->body), pattern_);
  EXPECT_EQ(translator_.errors_sent(), 1U);
}

TEST_P(Icmp, AnErrorWithoutTheRequestStillNamesIt) {
  auto error = queued(IcmpError::host_unreachable, Address{}, {});
  error.bytes.clear();
  host_.errors.push_back(error);
  translator_.on_error(flow_, kStart);
  ASSERT_EQ(link_.sent.size(), 1U);
  const SentError sent = to_guest_error(0);
  EXPECT_EQ(sent.from, gateway());
  const auto message = wire::IcmpMessage::parse(sent.quoted.payload);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->echo_id(), kId);
}

TEST_P(Icmp, TooLargeForThePathTellsTheGuestTheMtu) {
  host_.send_error = HostError::message_too_large;
  auto local = queued(IcmpError::packet_too_big, Address{}, {});
  local.error.mtu = 1400;
  host_.errors.push_back(local);
  send(pattern(1440));
  ASSERT_EQ(link_.sent.size(), 1U);
  const SentError sent = to_guest_error(0);
  EXPECT_EQ(sent.error, IcmpError::packet_too_big);
  EXPECT_EQ(sent.rest, 1400U);
  EXPECT_EQ(wire::IcmpMessage::parse(sent.quoted.payload)->echo_sequence(), kSequence);
}

TEST_P(Icmp, UnreachableAtOnce) {
  host_.send_error = HostError::net_unreachable;
  send(pattern_);
  ASSERT_EQ(link_.sent.size(), 1U);
  EXPECT_EQ(to_guest_error(0).error, IcmpError::net_unreachable);
  EXPECT_EQ(to_guest_error(0).from, gateway());
  EXPECT_EQ(translator_.counters().not_sent, 1U);
}

TEST_P(Icmp, DeniedIsSaidOnceAndToldTheGuest) {
  host_.open_error = HostError::denied;
  for (int i = 0; i < 2; ++i) {
    Flow other;
    other.guest = {guest(), 1};
    other.guest_mac = kGuestMac;
    EXPECT_EQ(translator_.open(other, 1, request(pattern_), kStart), HostError::denied);
    EXPECT_EQ(other.socket, host::kNoSocket);
  }
  ASSERT_EQ(warnings_.size(), 1U);
  EXPECT_THAT(warnings_[0], testing::HasSubstr("sysctl -w net.ipv4.ping_group_range=\"0 2147483647\""));
  EXPECT_EQ(warnings_[0].find('\n'), std::string::npos);
  ASSERT_EQ(link_.sent.size(), 2U);
  EXPECT_EQ(to_guest_error(1).error, IcmpError::admin_prohibited);
  admit_errors_ = false;
  Flow other;
  other.guest = {guest(), 1};
  EXPECT_EQ(translator_.open(other, 1, request(pattern_), kStart), HostError::denied);
  EXPECT_EQ(link_.sent.size(), 2U);
}

TEST_P(Icmp, OtherFailuresToOpenAreNotAboutPingGroupRange) {
  host_.open_error = HostError::no_descriptors;
  Flow other;
  other.guest = {guest(), 1};
  EXPECT_EQ(translator_.open(other, 1, request(pattern_), kStart), HostError::no_descriptors);
  EXPECT_TRUE(warnings_.empty());
  EXPECT_TRUE(link_.sent.empty());
}

TEST_P(Icmp, AnswersForOurselves) {
  wire::IpHeader header;
  header.destination = gateway();
  header.traffic_class = 0x10;
  const wire::IpPacket packet = request(pattern(3000), header);
  translator_.answer(kGuestMac, packet, *wire::IcmpMessage::parse(packet.payload));
  const wire::IpPacket small = request(pattern_, header);
  translator_.answer(kGuestMac, small, *wire::IcmpMessage::parse(small.payload));
  ASSERT_EQ(link_.sent.size(), 4U);
  const wire::IpPacket answer = to_guest_packet(3);
  EXPECT_EQ(answer.source, gateway());
  EXPECT_EQ(answer.traffic_class, 0x10);
  const auto message = wire::IcmpMessage::parse(answer.payload);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->type, reply_type());
  EXPECT_EQ(message->echo_id(), kId);
  EXPECT_EQ(message->echo_sequence(), kSequence);
  EXPECT_EQ(copy(message->body), pattern_);
  EXPECT_TRUE(host_.sent.empty());
  EXPECT_EQ(translator_.counters().answered, 2U);
}

TEST_P(Icmp, KnowsAnEchoRequest) {
  const wire::IpPacket packet = request(pattern_);
  const wire::IcmpMessage message = *wire::IcmpMessage::parse(packet.payload);
  EXPECT_TRUE(is_echo_request(packet, message));
  wire::IcmpMessage other = message;
  other.code = 1;
  EXPECT_FALSE(is_echo_request(packet, other));
  // The other version's request is something else in this one.
  other = message;
  other.type = v4() ? 128 : 8;
  EXPECT_FALSE(is_echo_request(packet, other));
  wire::IpPacket mixed = packet;
  mixed.protocol = v4() ? 58 : 1;
  EXPECT_FALSE(is_echo_request(mixed, message));
}

TEST_P(Icmp, IdleForAMinute) {
  EXPECT_EQ(Translator::deadline(flow_), kStart + 60s);
  flow_.last_active = {};
  send(pattern_);
  EXPECT_EQ(Translator::deadline(flow_), kStart + 60s);
  flow_.last_active = {};
  host_.batches.push_back({reply(pattern_)});
  EXPECT_FALSE(read());
  EXPECT_EQ(Translator::deadline(flow_), kStart + 60s);
}

TEST_P(Icmp, ClosesOnce) {
  translator_.close(flow_);
  translator_.close(flow_);
  EXPECT_THAT(host_.closed, testing::ElementsAre(host::SocketId{1}));
}

}  // namespace
}  // namespace sf::icmp
