#include "unit/link/to_guest_fixture.hh"

namespace sf::link {
namespace {

class ToGuestUdp : public ToGuestTest {
 protected:
  // Puts the fragments in `frames` together, in the order sent.
  static std::vector<std::uint8_t> reassemble(std::span<const SentFrame> frames, std::uint32_t mtu) {
    std::vector<std::uint8_t> all;
    std::optional<std::uint32_t> id;
    for (const SentFrame& frame : frames) {
      EXPECT_EQ(frame.offload, wire::Offload{});
      const auto packet = packet_of(frame, mtu);
      EXPECT_EQ(packet.protocol, 17);
      EXPECT_TRUE(packet.fragment);
      if (!packet.fragment) return all;
      EXPECT_EQ(packet.fragment->offset, all.size());
      EXPECT_EQ(packet.fragment->more, &frame != &frames.back());
      EXPECT_EQ(packet.fragment->id, id.value_or(packet.fragment->id));
      id = packet.fragment->id;
      // All but the last are as large as they may be.
      if (packet.fragment->more) {
        EXPECT_GT(packet.whole.size() + 8, mtu);
      }
      all.insert(all.end(), packet.payload.begin(), packet.payload.end());
    }
    return all;
  }
  static void expect_udp(Bytes packet, Bytes payload) {
    EXPECT_TRUE(wire::verify_transport_checksum(header().source, header().destination, 17, packet));
    const auto udp = wire::UdpDatagram::parse(packet);
    ASSERT_TRUE(udp);
    EXPECT_EQ(udp->source_port, 53);
    EXPECT_EQ(udp->destination_port, 4000);
    EXPECT_NE(udp->checksum, 0);
    EXPECT_EQ(copy(udp->payload), copy(payload));
  }
  static std::size_t header_size() { return ip_size() + wire::kUdpHeaderSize; }
};

INSTANTIATE_TEST_SUITE_P(Version, ToGuestUdp, testing::Bool(), version_name);

TEST_P(ToGuestUdp, SendsWholeUpToTheMtu) {
  for (const bool checksum : {false, true}) {
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kMtu - header_size()}) {
      FakeLink link(Features{.checksum = checksum});
      ToGuest to_guest(link, kGatewayMac, kMtu);
      const auto payload = pattern(size);
      ASSERT_EQ(to_guest.send_udp(kGuestMac, header(), 53, 4000, payload), Status::ok);
      ASSERT_EQ(link.sent.size(), 1U);
      const auto packet = packet_of(link.sent[0], kMtu);
      EXPECT_FALSE(packet.fragment);
      if (checksum) {
        expect_partial(link.sent[0], packet, wire::kUdpChecksumOffset);
        EXPECT_EQ(copy(wire::UdpDatagram::parse(packet.payload)->payload), payload);
      } else {
        expect_udp(packet.payload, payload);
      }
    }
  }
}

TEST_P(ToGuestUdp, FragmentsAboveTheMtu) {
  for (const std::uint32_t mtu : {1280U, 1500U, 1501U, 9000U}) {
    for (const std::size_t size : {mtu - header_size() + 1, std::size_t{20000}, wire::kUdpMaxPayload}) {
      FakeLink link(kAllFeatures);
      ToGuest to_guest(link, kGatewayMac, mtu);
      const auto payload = pattern(size);
      ASSERT_EQ(to_guest.send_udp(kGuestMac, header(), 53, 4000, payload), Status::ok);
      ASSERT_GE(link.sent.size(), 2U);
      expect_udp(reassemble(link.sent, mtu), payload);
    }
  }
}

TEST_P(ToGuestUdp, GivesEachDatagramAnIdentificationOfItsOwn) {
  FakeLink link(kAllFeatures);
  ToGuest to_guest(link, kGatewayMac, kMtu);
  const auto payload = pattern(2000);
  ASSERT_EQ(to_guest.send_udp(kGuestMac, header(), 53, 4000, payload), Status::ok);
  ASSERT_EQ(to_guest.send_udp(kGuestMac, header(), 53, 4000, payload), Status::ok);
  ASSERT_EQ(link.sent.size(), 4U);
  EXPECT_NE(packet_of(link.sent[0], kMtu).fragment->id, packet_of(link.sent[2], kMtu).fragment->id);
}

TEST_P(ToGuestUdp, SendsNoMoreFragmentsAfterALoss) {
  FakeLink link(kAllFeatures);
  ToGuest to_guest(link, kGatewayMac, kMtu);
  link.status = Status::dropped;
  const auto payload = pattern(20000);
  EXPECT_EQ(to_guest.send_udp(kGuestMac, header(), 53, 4000, payload), Status::dropped);
  EXPECT_EQ(link.attempts, 1);
}

TEST_P(ToGuestUdp, RefusesWhatNoIpPacketHolds) {
  FakeLink link(kAllFeatures);
  ToGuest to_guest(link, kGatewayMac, kMtu);
  const auto payload = pattern(65535 - 8 - (v4() ? 20 : 0) + 1);
  EXPECT_EQ(to_guest.send_udp(kGuestMac, header(), 53, 4000, payload), Status::dropped);
  EXPECT_EQ(link.attempts, 0);
  EXPECT_EQ(to_guest.counters().dropped, 1U);
}

TEST_P(ToGuestUdp, SendsSuperFrames) {
  FakeLink link(kAllFeatures);
  ToGuest to_guest(link, kGatewayMac, kMtu);
  const auto payload = pattern(10 * 1200 + 7);
  ASSERT_EQ(to_guest.send_udp(kGuestMac, header(), 53, 4000, payload, 1200), Status::ok);
  ASSERT_EQ(link.sent.size(), 1U);
  const SentFrame& frame = link.sent[0];
  EXPECT_EQ(frame.offload.gso, wire::GsoType::udp);
  EXPECT_EQ(frame.offload.gso_size, 1200);
  const auto packet = packet_of(frame, kMtu);
  expect_partial(frame, packet, wire::kUdpChecksumOffset);
  EXPECT_EQ(copy(wire::UdpDatagram::parse(packet.payload)->payload), payload);
  EXPECT_EQ(to_guest.counters().packets, 11U);
}

TEST_P(ToGuestUdp, KeepsSuperFramesWithinTheirLimits) {
  FakeLink link(kAllFeatures);
  ToGuest to_guest(link, kGatewayMac, kMtu);
  // 64 segments, 64, 64, and 7 with a short one; then a single one that is left over and is no super-frame.
  const auto payload = pattern(199 * 100 + 1);
  ASSERT_EQ(to_guest.send_udp(kGuestMac, header(), 53, 4000, payload, 100), Status::ok);
  ASSERT_EQ(link.sent.size(), 4U);
  std::vector<std::uint8_t> all;
  for (const SentFrame& frame : link.sent) {
    const auto udp = wire::UdpDatagram::parse(packet_of(frame, kMtu).payload);
    EXPECT_LE(udp->payload.size(), 6400U);
    EXPECT_EQ(frame.offload.gso, wire::GsoType::udp);
    all.insert(all.end(), udp->payload.begin(), udp->payload.end());
  }
  EXPECT_EQ(all, payload);
  link.sent.clear();
  const auto one_over = pattern(65 * 100);
  ASSERT_EQ(to_guest.send_udp(kGuestMac, header(), 53, 4000, one_over, 100), Status::ok);
  ASSERT_EQ(link.sent.size(), 2U);
  EXPECT_EQ(link.sent[1].offload.gso, wire::GsoType::none);
  EXPECT_EQ(link.sent[1].offload.gso_size, 0);
}

TEST_P(ToGuestUdp, SendsSingleDatagramsWhereTheLinkDoesNotCut) {
  FakeLink link;
  ToGuest to_guest(link, kGatewayMac, kMtu);
  const auto payload = pattern(5 * 1201 - 3);
  ASSERT_EQ(to_guest.send_udp(kGuestMac, header(), 53, 4000, payload, 1201), Status::ok);
  ASSERT_EQ(link.sent.size(), 5U);
  Bytes left = payload;
  for (const SentFrame& frame : link.sent) {
    expect_udp(packet_of(frame, kMtu).payload, take(left, 1201));
    left = drop(left, 1201);
  }
  EXPECT_TRUE(left.empty());
}

TEST_P(ToGuestUdp, FragmentsEachOfManyLargeDatagrams) {
  FakeLink link(kAllFeatures);
  ToGuest to_guest(link, kGatewayMac, kMtu);
  const auto payload = pattern(3 * 2000);
  ASSERT_EQ(to_guest.send_udp(kGuestMac, header(), 53, 4000, payload, 2000), Status::ok);
  ASSERT_EQ(link.sent.size(), 6U);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto whole = reassemble(std::span(link.sent).subspan(2 * i, 2), kMtu);
    expect_udp(whole, Bytes(payload).subspan(2000 * i, 2000));
  }
}

TEST_P(ToGuestUdp, KeepsTheIdentificationOfPacketsThatMayBeFragmented) {
  FakeLink link(kAllFeatures);
  ToGuest to_guest(link, kGatewayMac, kMtu);
  wire::IpHeader ip = header();
  ip.dont_fragment = false;
  const auto payload = pattern(10);
  ASSERT_EQ(to_guest.send_udp(kGuestMac, ip, 53, 4000, payload), Status::ok);
  ASSERT_EQ(to_guest.send_udp(kGuestMac, ip, 53, 4000, payload), Status::ok);
  if (!v4()) return;
  const auto id = [&](std::size_t i) { return load_be16(&link.sent.at(i).bytes[14 + 4]); };
  EXPECT_NE(id(0), id(1));
  EXPECT_FALSE(packet_of(link.sent[0], kMtu).dont_fragment);
}

}  // namespace
}  // namespace sf::link
