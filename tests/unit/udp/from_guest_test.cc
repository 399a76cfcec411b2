#include "unit/udp/udp_fixture.hh"

namespace sf::udp {
namespace {

using host::HostError;
using link::pattern;
using wire::IcmpError;

class UdpFromGuest : public UdpTest {};

INSTANTIATE_TEST_SUITE_P(Version, UdpFromGuest, testing::Bool(), version_name);

TEST_P(UdpFromGuest, OpensOneSocketOfTheGuestsFamily) {
  ASSERT_EQ(host_.opened.size(), 1U);
  EXPECT_EQ(host_.opened[0].kind, host::DatagramKind::udp);
  EXPECT_EQ(host_.opened[0].v4, v4());
  EXPECT_EQ(host_.opened[0].token, kToken);
  EXPECT_EQ(flow_.socket, host::SocketId{1});
}

TEST_P(UdpFromGuest, OpenTellsWhyItFailed) {
  host_.open_error = HostError::no_descriptors;
  Flow other;
  other.guest = {guest(), 6000};
  EXPECT_EQ(translator_.open(other, 1, kStart), HostError::no_descriptors);
  EXPECT_EQ(other.socket, host::kNoSocket);
}

TEST_P(UdpFromGuest, SendsOnWithOneHopLess) {
  wire::IpHeader header;
  header.ttl = 7;
  header.traffic_class = 0xb8;
  const OwnedBytes payload = pattern(100);
  send(payload, header);
  ASSERT_EQ(host_.sent.size(), 1U);
  EXPECT_EQ(host_.sent[0].socket, flow_.socket);
  EXPECT_EQ(host_.sent[0].to, (Endpoint{remote(), kRemotePort}));
  EXPECT_EQ(host_.sent[0].payload, payload);
  EXPECT_EQ(host_.sent[0].options.ttl, 6);
  EXPECT_EQ(host_.sent[0].options.traffic_class, 0xb8);
  EXPECT_EQ(host_.sent[0].options.segment_size, 0);
  EXPECT_EQ(translator_.counters().from_guest, 1U);
  EXPECT_TRUE(link_.sent.empty());
}

TEST_P(UdpFromGuest, OneSocketServesAllDestinations) {
  send(pattern(10));
  wire::IpHeader header;
  header.destination = router();
  send(pattern(10), header, 9);
  ASSERT_EQ(host_.sent.size(), 2U);
  EXPECT_EQ(host_.opened.size(), 1U);
  EXPECT_EQ(host_.sent[0].socket, host_.sent[1].socket);
  EXPECT_EQ(host_.sent[1].to, (Endpoint{router(), 9}));
}

TEST_P(UdpFromGuest, AnEmptyDatagramIsSent) {
  send({});
  ASSERT_EQ(host_.sent.size(), 1U);
  EXPECT_TRUE(host_.sent[0].payload.empty());
}

// See link/forwarding.hh: DF counts up to an Ethernet's 1500 bytes, and IPv6 has it always.
TEST_P(UdpFromGuest, HonoursDfUpTo1500Bytes) {
  const std::size_t headers = v4() ? 28 : 48;
  wire::IpHeader header;
  header.dont_fragment = true;
  send(pattern(1500 - headers), header);
  send(pattern(1501 - headers), header);
  header.dont_fragment = false;
  send(pattern(100), header);
  ASSERT_EQ(host_.sent.size(), 3U);
  EXPECT_TRUE(host_.sent[0].options.dont_fragment);
  EXPECT_FALSE(host_.sent[1].options.dont_fragment);
  EXPECT_EQ(host_.sent[2].options.dont_fragment, !v4());
}

TEST_P(UdpFromGuest, SuperFramesStayWhole) {
  const OwnedBytes payload = pattern(3 * 1400 + 5);
  send(payload, {}, kRemotePort, 1400);
  ASSERT_EQ(host_.sent.size(), 1U);
  EXPECT_EQ(host_.sent[0].payload, payload);
  EXPECT_EQ(host_.sent[0].options.segment_size, 1400);
  // It is the segment that has to fit the path, not the frame.
  EXPECT_TRUE(host_.sent[0].options.dont_fragment);
}

TEST_P(UdpFromGuest, OneSegmentIsNoSuperFrame) {
  send(pattern(1400), {}, kRemotePort, 1400);
  ASSERT_EQ(host_.sent.size(), 1U);
  EXPECT_EQ(host_.sent[0].options.segment_size, 0);
}

TEST_P(UdpFromGuest, WhatTheHostCannotRouteIsAnIcmpErrorFromTheGateway) {
  const std::pair<HostError, IcmpError> cases[] = {
      {HostError::net_unreachable, IcmpError::net_unreachable},
      {HostError::no_ports, IcmpError::net_unreachable},
      {HostError::host_unreachable, IcmpError::host_unreachable},
      {HostError::prohibited, IcmpError::admin_prohibited},
  };
  for (const auto& [error, expected] : cases) {
    link_.sent.clear();
    host_.send_error = error;
    send(pattern(40));
    ASSERT_EQ(link_.sent.size(), 1U) << host::to_string(error);
    const SentError sent = to_guest_error(0);
    EXPECT_EQ(sent.from, gateway());
    EXPECT_EQ(sent.error, expected);
    EXPECT_EQ(sent.quoted.destination, remote());
    const auto datagram = wire::UdpDatagram::parse(sent.quoted.payload);
    ASSERT_TRUE(datagram);
    EXPECT_EQ(datagram->source_port, kGuestPort);
    EXPECT_EQ(datagram->destination_port, kRemotePort);
  }
  EXPECT_EQ(translator_.counters().not_sent, 4U);
  EXPECT_EQ(translator_.errors_sent(), 4U);
}

TEST_P(UdpFromGuest, AFullBufferIsSilentLoss) {
  for (const HostError error : {HostError::would_block, HostError::no_memory}) {
    host_.send_error = error;
    send(pattern(40));
  }
  EXPECT_TRUE(link_.sent.empty());
  EXPECT_EQ(translator_.counters().not_sent, 2U);
  EXPECT_EQ(translator_.counters().from_guest, 0U);
}

TEST_P(UdpFromGuest, TooLargeForThePathTellsTheGuestTheMtu) {
  host_.send_error = HostError::message_too_large;
  // The host queues the MTU, here twice as it was tried twice, behind an older error.
  host_.errors.push_back(queued(IcmpError::port_unreachable, router()));
  for (int i = 0; i < 2; ++i) {
    auto local = queued(IcmpError::packet_too_big, Address{});
    local.error.mtu = 1420;
    host_.errors.push_back(local);
  }
  send(pattern(1440));
  ASSERT_EQ(link_.sent.size(), 2U);
  EXPECT_EQ(to_guest_error(0).error, IcmpError::port_unreachable);
  const SentError sent = to_guest_error(1);
  EXPECT_EQ(sent.error, IcmpError::packet_too_big);
  EXPECT_EQ(sent.rest, 1420U);
  EXPECT_EQ(sent.from, gateway());
  EXPECT_TRUE(host_.errors.empty());
}

TEST_P(UdpFromGuest, AnotherPathsMtuIsNotThisOnes) {
  host_.send_error = HostError::message_too_large;
  auto other = queued(IcmpError::packet_too_big, Address{});
  other.error.destination.address = router();
  other.error.mtu = 1300;
  auto local = queued(IcmpError::packet_too_big, Address{});
  local.error.mtu = 1420;
  host_.errors.push_back(local);
  host_.errors.push_back(other);
  send(pattern(1440));
  ASSERT_EQ(link_.sent.size(), 2U);
  EXPECT_EQ(to_guest_error(0).quoted.destination, router());
  EXPECT_EQ(to_guest_error(0).rest, 1300U);
  EXPECT_EQ(to_guest_error(1).quoted.destination, remote());
  EXPECT_EQ(to_guest_error(1).rest, 1420U);
}

TEST_P(UdpFromGuest, TooLargeWithoutAKnownMtu) {
  host_.send_error = HostError::message_too_large;
  send(pattern(1440));
  ASSERT_EQ(link_.sent.size(), 1U);
  EXPECT_EQ(to_guest_error(0).rest, v4() ? 0U : 1280U);
}

TEST_P(UdpFromGuest, TooLargeWithoutDfIsDropped) {
  host_.send_error = HostError::message_too_large;
  send(pattern(20000));
  EXPECT_TRUE(link_.sent.empty());
}

TEST_P(UdpFromGuest, ARefusalBelongsToAnOlderDatagram) {
  host_.send_error = HostError::refused;
  auto older = queued(IcmpError::port_unreachable, remote(), pattern(10));
  older.error.destination.port = 9;
  host_.errors.push_back(older);
  send(pattern(40));
  ASSERT_EQ(link_.sent.size(), 1U);
  EXPECT_EQ(wire::UdpDatagram::parse(to_guest_error(0).quoted.payload)->destination_port, 9);
}

TEST_P(UdpFromGuest, ErrorsAreLimited) {
  admit_errors_ = false;
  host_.send_error = HostError::net_unreachable;
  send(pattern(40));
  EXPECT_EQ(asked_to_admit_, 1);
  EXPECT_TRUE(link_.sent.empty());
  EXPECT_EQ(translator_.errors_sent(), 0U);
}

TEST_P(UdpFromGuest, IdleTimes) {
  send(pattern(10), {}, 53, 0, kStart + 1s);
  EXPECT_EQ(Translator::deadline(flow_), kStart + 31s);
  // RFC 4787 REQ-5: two minutes at the least for all but well-known ports, five once it is answered.
  send(pattern(10), {}, kRemotePort, 0, kStart + 2s);
  EXPECT_EQ(Translator::deadline(flow_), kStart + 2s + 120s);
  host_.batches.push_back({incoming(pattern(10))});
  EXPECT_FALSE(translator_.on_readable(flow_, kStart + 3s));
  EXPECT_EQ(Translator::deadline(flow_), kStart + 3s + 300s);
  send(pattern(10), {}, 53, 0, kStart + 4s);
  EXPECT_EQ(Translator::deadline(flow_), kStart + 4s + 300s);
}

TEST_P(UdpFromGuest, ClosesOnce) {
  translator_.close(flow_);
  translator_.close(flow_);
  EXPECT_THAT(host_.closed, testing::ElementsAre(host::SocketId{1}));
  EXPECT_EQ(flow_.socket, host::kNoSocket);
}

}  // namespace
}  // namespace sf::udp
