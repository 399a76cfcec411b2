#include "unit/udp/udp_fixture.hh"

namespace sf::udp {
namespace {

using link::pattern;
using wire::IcmpError;

class UdpToGuest : public UdpTest {
 protected:
  bool read() { return translator_.on_readable(flow_, kStart); }
};

INSTANTIATE_TEST_SUITE_P(Version, UdpToGuest, testing::Bool(), version_name);

TEST_P(UdpToGuest, ADatagramComesFromItsSender) {
  auto datagram = incoming(pattern(100));
  datagram.datagram.ttl = 50;
  datagram.datagram.traffic_class = 0x28;
  host_.batches.push_back({datagram});
  EXPECT_FALSE(read());
  ASSERT_EQ(link_.sent.size(), 1U);
  const wire::IpPacket packet = to_guest_packet(0);
  EXPECT_EQ(packet.source, remote());
  EXPECT_EQ(packet.ttl, 49);
  EXPECT_EQ(packet.traffic_class, 0x28);
  EXPECT_FALSE(packet.dont_fragment);
  const wire::UdpDatagram udp = udp_to_guest(0);
  EXPECT_EQ(udp.source_port, kRemotePort);
  EXPECT_EQ(udp.destination_port, kGuestPort);
  EXPECT_EQ(copy(udp.payload), pattern(100));
  EXPECT_TRUE(flow_.seen_reply);
  EXPECT_EQ(translator_.counters().to_guest, 1U);
}

TEST_P(UdpToGuest, ReadsUntilNothingIsLeft) {
  for (int i = 0; i < 3; ++i) host_.batches.push_back({incoming(pattern(10))});
  EXPECT_FALSE(read());
  EXPECT_EQ(link_.sent.size(), 3U);
  EXPECT_EQ(host_.receive_calls, 4);
}

TEST_P(UdpToGuest, ABusyFlowHasABudget) {
  for (int i = 0; i < 10; ++i) host_.batches.push_back({incoming(pattern(10))});
  EXPECT_TRUE(read());
  EXPECT_EQ(link_.sent.size(), 8U);
  EXPECT_FALSE(read());
  EXPECT_EQ(link_.sent.size(), 10U);
}

TEST_P(UdpToGuest, LargeOnesAreFragmented) {
  host_.batches.push_back({incoming(pattern(4000))});
  EXPECT_FALSE(read());
  ASSERT_EQ(link_.sent.size(), 3U);
  OwnedBytes whole;
  for (std::size_t i = 0; i < 3; ++i) {
    const wire::IpPacket packet = to_guest_packet(i);
    ASSERT_TRUE(packet.fragment);
    whole.insert(whole.end(), packet.payload.begin(), packet.payload.end());
  }
  EXPECT_EQ(copy(wire::UdpDatagram::parse(whole)->payload), pattern(4000));
}

TEST_P(UdpToGuest, ASegmentedOneStaysASuperFrame) {
  link::FakeLink link(link::kAllFeatures);
  link::ToGuest to_guest(link, kGatewayMac, 1500);
  Translator translator(host_, to_guest, network_, admit_);
  auto datagram = incoming(pattern(2500));
  datagram.datagram.segment_size = 1000;
  host_.batches.push_back({datagram});
  EXPECT_FALSE(translator.on_readable(flow_, kStart));
  ASSERT_EQ(link.sent.size(), 1U);
  EXPECT_EQ(link.sent[0].offload.gso, wire::GsoType::udp);
  EXPECT_EQ(link.sent[0].offload.gso_size, 1000);
  EXPECT_EQ(translator.counters().to_guest, 3U);
}

TEST_P(UdpToGuest, EqualNeighboursGoAsOneSuperFrame) {
  link::FakeLink link(link::kAllFeatures);
  link::ToGuest to_guest(link, kGatewayMac, 1500);
  Translator translator(host_, to_guest, network_, admit_);
  const auto whole = pattern(1000 + 1000 + 1000 + 300 + 1000);
  const auto part = [&](std::size_t offset, std::size_t size) {
    return incoming(copy(Bytes{whole}.subspan(offset, size)));
  };
  // The shorter one ends a run, the last one stands alone.
  host_.batches.push_back(
      {part(0, 1000), part(1000, 1000), part(2000, 1000), part(3000, 300), part(3300, 1000)});
  EXPECT_FALSE(translator.on_readable(flow_, kStart));
  ASSERT_EQ(link.sent.size(), 2U);
  EXPECT_EQ(link.sent[0].offload.gso, wire::GsoType::udp);
  EXPECT_EQ(link.sent[0].offload.gso_size, 1000);
  const std::size_t headers = 14 + (v4() ? 28 : 48);
  EXPECT_EQ(copy(drop(link.sent[0].bytes, headers)), copy(take(whole, 3300)));
  EXPECT_EQ(link.sent[1].offload.gso, wire::GsoType::none);
  EXPECT_EQ(copy(drop(link.sent[1].bytes, headers)), copy(drop(whole, 3300)));
  EXPECT_EQ(translator.counters().to_guest, 5U);
}

TEST_P(UdpToGuest, OnlyAlikeOnesMakeASuperFrame) {
  link::FakeLink link(link::kAllFeatures);
  link::ToGuest to_guest(link, kGatewayMac, 1500);
  Translator translator(host_, to_guest, network_, admit_);
  std::vector<host::ScriptedHost::Incoming> others(6, incoming(pattern(500)));
  others[0].datagram.from.port += 1;
  others[1].datagram.from.address = router();
  others[2].datagram.ttl = 9;
  others[3].datagram.traffic_class = 3;
  others[4].bytes = pattern(501);
  others[5].datagram.segment_size = 250;
  for (const auto& other : others) {
    link.sent.clear();
    host_.batches.push_back({incoming(pattern(500)), other});
    EXPECT_FALSE(translator.on_readable(flow_, kStart));
    EXPECT_EQ(link.sent.size(), 2U) << &other - others.data();
  }
  link.sent.clear();
  host_.batches.push_back({incoming(pattern(500)), incoming(pattern(500))});
  EXPECT_FALSE(translator.on_readable(flow_, kStart));
  EXPECT_EQ(link.sent.size(), 1U);
}

TEST_P(UdpToGuest, EmptyOnesAndSuchAboveTheMtuGoAlone) {
  host_.batches.push_back({incoming({}), incoming({})});
  EXPECT_FALSE(read());
  EXPECT_EQ(link_.sent.size(), 2U);
  EXPECT_TRUE(udp_to_guest(1).payload.empty());
  link_.sent.clear();
  host_.batches.push_back({incoming(pattern(2000)), incoming(pattern(2000))});
  EXPECT_FALSE(read());
  EXPECT_EQ(link_.sent.size(), 4U);
}

// RFC 4787 REQ-8: anyone may answer, but from where the guest could send to itself.
TEST_P(UdpToGuest, OnlyFromWhereTheGuestCouldSend) {
  const Address forbidden[] = {loopback(), gateway(), pick("10.0.2.50", "fd00::50"),
                               pick("10.0.2.3", "fd00::3"), pick("169.254.1.1", "fe80::1")};
  for (const Address& address : forbidden) {
    auto datagram = incoming(pattern(10));
    datagram.datagram.from.address = address;
    host_.batches.push_back({datagram});
  }
  EXPECT_FALSE(read());
  EXPECT_TRUE(link_.sent.empty());
  EXPECT_EQ(translator_.counters().filtered, 5U);
  EXPECT_FALSE(flow_.seen_reply);
}

TEST_P(UdpToGuest, TheHostsLoopbackIsTheGatewayWhereItIsOpen) {
  network_.host_loopback = true;
  auto datagram = incoming(pattern(10));
  datagram.datagram.from.address = loopback();
  host_.batches.push_back({datagram});
  EXPECT_FALSE(read());
  ASSERT_EQ(link_.sent.size(), 1U);
  EXPECT_EQ(to_guest_packet(0).source, gateway());
}

TEST_P(UdpToGuest, WhatIsCutShortIsDropped) {
  auto datagram = incoming(pattern(10));
  datagram.datagram.truncated = true;
  host_.batches.push_back({datagram});
  EXPECT_FALSE(read());
  EXPECT_TRUE(link_.sent.empty());
  EXPECT_EQ(translator_.counters().not_delivered, 1U);
}

TEST_P(UdpToGuest, AFullLinkDropsAndGoesOn) {
  link_.status = link::Status::dropped;
  auto other = incoming(pattern(20));
  host_.batches.push_back({incoming(pattern(10)), other});
  host_.batches.push_back({incoming(pattern(10))});
  EXPECT_FALSE(read());
  EXPECT_EQ(link_.attempts, 3);
  EXPECT_EQ(translator_.counters().not_delivered, 3U);
  EXPECT_EQ(translator_.counters().to_guest, 0U);
}

TEST_P(UdpToGuest, ALinkThatIsGoneEndsIt) {
  link_.status = link::Status::gone;
  for (int i = 0; i < 3; ++i) host_.batches.push_back({incoming(pattern(10))});
  EXPECT_FALSE(read());
  EXPECT_EQ(link_.attempts, 1);
}

TEST_P(UdpToGuest, AnErrorQuotesTheGuestsOwnDatagram) {
  host_.errors.push_back(queued(IcmpError::port_unreachable, remote(), pattern(33)));
  translator_.on_error(flow_, kStart);
  ASSERT_EQ(link_.sent.size(), 1U);
  const SentError sent = to_guest_error(0);
  EXPECT_EQ(sent.from, remote());
  EXPECT_EQ(sent.error, IcmpError::port_unreachable);
  EXPECT_EQ(sent.quoted.destination, remote());
  EXPECT_EQ(sent.quoted.protocol, 17);
  EXPECT_TRUE(wire::verify_transport_checksum(guest(), remote(), 17, sent.quoted.payload));
  const auto datagram = wire::UdpDatagram::parse(sent.quoted.payload);
  ASSERT_TRUE(datagram);
  EXPECT_EQ(datagram->source_port, kGuestPort);
  EXPECT_EQ(datagram->destination_port, kRemotePort);
  EXPECT_EQ(copy(datagram->payload), pattern(33));
}

TEST_P(UdpToGuest, AHopsErrorComesFromTheHop) {
  host_.errors.push_back(queued(IcmpError::time_exceeded, router(), pattern(32)));
  auto too_big = queued(IcmpError::packet_too_big, router(), pattern(600));
  too_big.error.mtu = 1400;
  host_.errors.push_back(too_big);
  translator_.on_error(flow_, kStart);
  ASSERT_EQ(link_.sent.size(), 2U);
  EXPECT_EQ(to_guest_error(0).from, router());
  EXPECT_EQ(to_guest_error(0).error, IcmpError::time_exceeded);
  EXPECT_EQ(to_guest_error(1).error, IcmpError::packet_too_big);
  EXPECT_EQ(to_guest_error(1).rest, 1400U);
  EXPECT_FALSE(flow_.seen_reply);
}

// Which interface of the host's it came by is no part of its address.
TEST_P(UdpToGuest, AHopOnTheHostsOwnLink) {
  const Address hop = v4() ? Address::v4(169, 254, 1, 7) : *Address::parse("fe80::1:7");
  host_.errors.push_back(queued(IcmpError::time_exceeded, hop.with_scope(5), pattern(32)));
  translator_.on_error(flow_, kStart);
  ASSERT_EQ(link_.sent.size(), 1U);
  EXPECT_EQ(to_guest_error(0).from, hop);
}

TEST_P(UdpToGuest, WhatTheHostSaysComesFromTheGateway) {
  network_.host_loopback = true;
  auto local = queued(IcmpError::host_unreachable, Address{});
  auto from_loopback = queued(IcmpError::port_unreachable, loopback());
  from_loopback.error.destination.address = loopback();
  host_.errors.push_back(local);
  host_.errors.push_back(from_loopback);
  translator_.on_error(flow_, kStart);
  ASSERT_EQ(link_.sent.size(), 2U);
  EXPECT_EQ(to_guest_error(0).from, gateway());
  EXPECT_EQ(to_guest_error(0).quoted.destination, remote());
  EXPECT_EQ(to_guest_error(1).from, gateway());
  EXPECT_EQ(to_guest_error(1).quoted.destination, gateway());
}

TEST_P(UdpToGuest, AnErrorOfTheOtherVersionIsNone) {
  auto error = queued(IcmpError::port_unreachable, Address{});
  error.error.destination.address = v4() ? *Address::parse("2001:db8::1") : Address::v4(192, 0, 2, 1);
  host_.errors.push_back(error);
  translator_.on_error(flow_, kStart);
  EXPECT_TRUE(link_.sent.empty());
}

TEST_P(UdpToGuest, ALargeQuoteIsCut) {
  host_.errors.push_back(queued(IcmpError::port_unreachable, router(), pattern(4000)));
  translator_.on_error(flow_, kStart);
  ASSERT_EQ(link_.sent.size(), 1U);
  EXPECT_EQ(link_.sent[0].bytes.size(), 14U + (v4() ? 576U : 1280U));
}

TEST_P(UdpToGuest, TheQueueIsDrainedEvenWhereErrorsAreLimited) {
  admit_errors_ = false;
  for (int i = 0; i < 5; ++i) host_.errors.push_back(queued(IcmpError::port_unreachable, router()));
  translator_.on_error(flow_, kStart);
  EXPECT_TRUE(host_.errors.empty());
  EXPECT_TRUE(link_.sent.empty());
  EXPECT_EQ(asked_to_admit_, 5);
}

}  // namespace
}  // namespace sf::udp
