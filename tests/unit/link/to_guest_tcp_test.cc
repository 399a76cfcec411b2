#include "unit/link/to_guest_fixture.hh"

namespace sf::link {
namespace {

class ToGuestTcp : public ToGuestTest {
 protected:
  static wire::TcpSegment segment() {
    wire::TcpSegment s;
    s.source_port = 80;
    s.destination_port = 40000;
    s.sequence = 0xfffff000;  // wraps within a super-frame
    s.acknowledgment = 77;
    s.flags = {.fin = true, .psh = true, .ack = true};
    s.window = 512;
    s.options.timestamps = wire::TcpTimestamps{1, 2};
    return s;
  }
  static std::uint16_t mss() {
    return static_cast<std::uint16_t>(kMtu - ip_size() - segment().header_size());
  }
};

INSTANTIATE_TEST_SUITE_P(Version, ToGuestTcp, testing::Bool(), version_name);

TEST_P(ToGuestTcp, LeavesTheChecksumToTheLink) {
  FakeLink link(kAllFeatures);
  ToGuest to_guest(link, kGatewayMac, kMtu);
  const auto payload = pattern(1000);
  ASSERT_EQ(to_guest.send_tcp(kGuestMac, header(), segment(), std::array{Bytes{payload}}, mss()), Status::ok);
  ASSERT_EQ(link.sent.size(), 1U);
  const auto packet = packet_of(link.sent[0], kMtu);
  EXPECT_EQ(packet.protocol, 6);
  expect_partial(link.sent[0], packet, wire::kTcpChecksumOffset);
  EXPECT_EQ(link.sent[0].offload.gso, wire::GsoType::none);
  const auto tcp = wire::TcpSegment::parse(packet.payload);
  ASSERT_TRUE(tcp);
  EXPECT_EQ(tcp->sequence, segment().sequence);
  EXPECT_EQ(tcp->flags, segment().flags);
  EXPECT_EQ(tcp->options.timestamps, segment().options.timestamps);
  EXPECT_EQ(copy(tcp->payload), payload);
  EXPECT_EQ(to_guest.counters().packets, 1U);
  EXPECT_EQ(to_guest.counters().bytes, link.sent[0].bytes.size());
}

TEST_P(ToGuestTcp, CompletesTheChecksumWhereTheLinkDoesNot) {
  // Pieces of odd sizes: a checksum over pieces has to swap bytes behind them.
  for (const auto& sizes :
       {std::vector<std::size_t>{}, {1}, {3, 4, 5}, {1, 1, 1, 1, 1, 1, 1}, {0, 701, 0, 33}}) {
    FakeLink link;
    ToGuest to_guest(link, kGatewayMac, kMtu);
    std::vector<std::vector<std::uint8_t>> data;
    std::vector<std::uint8_t> all;
    for (const std::size_t size : sizes) {
      data.push_back(pattern(size, all.size()));
      all.insert(all.end(), data.back().begin(), data.back().end());
    }
    const std::vector<Bytes> pieces(data.begin(), data.end());
    ASSERT_EQ(to_guest.send_tcp(kGuestMac, header(), segment(), pieces, mss()), Status::ok);
    ASSERT_EQ(link.sent.size(), 1U);
    EXPECT_EQ(link.sent[0].offload.checksum_needed, false);
    const auto packet = packet_of(link.sent[0], kMtu);
    expect_checksum(packet);
    EXPECT_EQ(copy(wire::TcpSegment::parse(packet.payload)->payload), all);
  }
}

TEST_P(ToGuestTcp, SendsASuperFrame) {
  FakeLink link(kAllFeatures);
  ToGuest to_guest(link, kGatewayMac, kMtu);
  const auto first = pattern(30000);
  const auto second = pattern(30000, 30000);
  const std::array<Bytes, 2> pieces{first, second};
  ASSERT_EQ(to_guest.send_tcp(kGuestMac, header(), segment(), pieces, mss()), Status::ok);
  ASSERT_EQ(link.sent.size(), 1U);
  const SentFrame& frame = link.sent[0];
  EXPECT_EQ(frame.parts, 3U);
  EXPECT_EQ(frame.offload.gso, v4() ? wire::GsoType::tcp4 : wire::GsoType::tcp6);
  EXPECT_EQ(frame.offload.gso_size, mss());
  EXPECT_EQ(frame.offload.header_length, 14 + ip_size() + 32);
  const auto packet = packet_of(frame, kMtu);
  expect_partial(frame, packet, wire::kTcpChecksumOffset);
  EXPECT_EQ(copy(wire::TcpSegment::parse(packet.payload)->payload), pattern(60000));
  EXPECT_EQ(to_guest.counters().packets, (60000U + mss() - 1) / mss());
}

TEST_P(ToGuestTcp, TakesTheLargestSuperFrame) {
  FakeLink link(kAllFeatures);
  ToGuest to_guest(link, kGatewayMac, kMtu);
  const std::size_t room = (65535 - ip_size() - segment().header_size()) / mss() * mss();
  const auto fits = pattern(room);
  EXPECT_EQ(to_guest.send_tcp(kGuestMac, header(), segment(), std::array{Bytes{fits}}, mss()), Status::ok);
  EXPECT_EQ(link.sent.size(), 1U);
}

TEST_P(ToGuestTcp, CutsWhatIsLargerThanAnySuperFrame) {
  FakeLink link(kAllFeatures);
  ToGuest to_guest(link, kGatewayMac, kMtu);
  wire::TcpSegment segment = ToGuestTcp::segment();
  segment.flags.fin = true;
  const auto all = pattern(150'000);
  const std::array<Bytes, 2> pieces{take(all, 70'001), drop(all, 70'001)};
  ASSERT_EQ(to_guest.send_tcp(kGuestMac, header(), segment, pieces, mss()), Status::ok);
  ASSERT_EQ(link.sent.size(), 3U);
  std::vector<std::uint8_t> heard;
  for (const SentFrame& frame : link.sent) {
    const auto packet = packet_of(frame, 65535);
    expect_partial(frame, packet, wire::kTcpChecksumOffset);
    const auto tcp = wire::TcpSegment::parse(packet.payload);
    ASSERT_TRUE(tcp);
    EXPECT_EQ(tcp->sequence, segment.sequence + static_cast<std::uint32_t>(heard.size()));
    EXPECT_EQ(tcp->flags.fin, &frame == &link.sent.back());
    heard.insert(heard.end(), tcp->payload.begin(), tcp->payload.end());
  }
  EXPECT_EQ(heard, all);
}

// BIG TCP: one frame of four times 64 KiB, whose length stands in no length field of IPv4 (Linux 6.3), and in
// a jumbo option of IPv6 (RFC 2675).
TEST_P(ToGuestTcp, SendsABigSuperFrame) {
  Features features = kAllFeatures;
  features.big_tcp = true;
  FakeLink link(features);
  ToGuest to_guest(link, kGatewayMac, kMtu);
  const auto all = pattern(250'000);
  const std::array<Bytes, 2> pieces{take(all, 70'001), drop(all, 70'001)};
  ASSERT_EQ(to_guest.send_tcp(kGuestMac, header(), segment(), pieces, mss()), Status::ok);
  ASSERT_EQ(link.sent.size(), 1U);
  const SentFrame& frame = link.sent[0];
  const std::size_t tcp = 14 + (v4() ? 20 : 48);
  EXPECT_EQ(frame.offload.gso, v4() ? wire::GsoType::tcp4 : wire::GsoType::tcp6);
  EXPECT_EQ(frame.offload.checksum_start, tcp);
  EXPECT_EQ(frame.offload.header_length, tcp + segment().header_size());
  ASSERT_EQ(frame.bytes.size(), tcp + segment().header_size() + all.size());
  EXPECT_EQ(copy(drop(frame.bytes, frame.offload.header_length)), all);
  EXPECT_EQ(to_guest.counters().packets, (all.size() + mss() - 1) / mss());
  const Bytes ip = drop(frame.bytes, 14);
  if (v4()) {
    EXPECT_EQ(load_be16(&ip[2]), 0);
    EXPECT_EQ(wire::checksum_finish(wire::checksum_add(0, ip.first(20))), 0);
  } else {
    EXPECT_EQ(load_be16(&ip[4]), 0);
    EXPECT_EQ(ip[6], 0);  // hop-by-hop
    EXPECT_EQ(load_be32(&ip[40]), 0x0600c204U);
    EXPECT_EQ(load_be32(&ip[44]), ip.size() - 40);
  }
}

// A kernel whose memory is in small pieces refuses such a frame: then it goes in smaller ones, and is not
// lost.
TEST_P(ToGuestTcp, ABigSuperFrameThatIsRefusedGoesInSmallerOnes) {
  class SmallMemory final : public FakeLink {
   public:
    using FakeLink::FakeLink;
    Status send(std::span<const Bytes> parts, const wire::Offload& offload) override {
      std::size_t size = 0;
      for (const Bytes part : parts) size += part.size();
      return size > 66'000 ? Status::dropped : FakeLink::send(parts, offload);
    }
  };
  Features features = kAllFeatures;
  features.big_tcp = true;
  SmallMemory link(features);
  ToGuest to_guest(link, kGatewayMac, kMtu);
  const auto all = pattern(250'000);
  ASSERT_EQ(to_guest.send_tcp(kGuestMac, header(), segment(), std::array{Bytes{all}}, mss()), Status::ok);
  std::vector<std::uint8_t> heard;
  for (const SentFrame& frame : link.sent) {
    const auto tcp = wire::TcpSegment::parse(packet_of(frame, 65535).payload);
    heard.insert(heard.end(), tcp->payload.begin(), tcp->payload.end());
  }
  EXPECT_EQ(heard, all);
  EXPECT_EQ(to_guest.counters().dropped, 0U);
  link.status = Status::dropped;
  EXPECT_EQ(to_guest.send_tcp(kGuestMac, header(), segment(), std::array{Bytes{all}}, 65'000),
            Status::dropped);
  EXPECT_EQ(to_guest.counters().dropped, 4U);
}

TEST_P(ToGuestTcp, SegmentsWhereTheLinkDoesNot) {
  for (const bool checksum : {false, true}) {
    FakeLink link(Features{.checksum = checksum});
    ToGuest to_guest(link, kGatewayMac, kMtu);
    wire::TcpSegment segment = ToGuestTcp::segment();
    segment.flags.cwr = true;
    const auto first = pattern(5001);
    const auto second = pattern(4000, 5001);
    const std::array<Bytes, 2> pieces{first, second};
    ASSERT_EQ(to_guest.send_tcp(kGuestMac, header(), segment, pieces, mss()), Status::ok);
    ASSERT_EQ(link.sent.size(), (9001U + mss() - 1) / mss());
    std::vector<std::uint8_t> all;
    for (const SentFrame& frame : link.sent) {
      const bool last = &frame == &link.sent.back();
      const auto packet = packet_of(frame, kMtu);
      if (checksum) {
        expect_partial(frame, packet, wire::kTcpChecksumOffset);
      } else {
        expect_checksum(packet);
      }
      EXPECT_EQ(frame.offload.gso, wire::GsoType::none);
      const auto tcp = wire::TcpSegment::parse(packet.payload);
      ASSERT_TRUE(tcp);
      EXPECT_EQ(tcp->sequence, segment.sequence + static_cast<std::uint32_t>(all.size()));
      EXPECT_EQ(tcp->flags.fin, last);
      EXPECT_EQ(tcp->flags.psh, last);
      EXPECT_EQ(tcp->flags.cwr, &frame == &link.sent.front());
      EXPECT_EQ(tcp->payload.size(), last ? 9001U % mss() : mss());
      all.insert(all.end(), tcp->payload.begin(), tcp->payload.end());
    }
    EXPECT_EQ(all, pattern(9001));
  }
}

TEST_P(ToGuestTcp, TellsWhatBecameOfTheFrame) {
  FakeLink link(kAllFeatures);
  ToGuest to_guest(link, kGatewayMac, kMtu);
  link.status = Status::dropped;
  EXPECT_EQ(to_guest.send_tcp(kGuestMac, header(), segment(), {}, mss()), Status::dropped);
  link.status = Status::gone;
  EXPECT_EQ(to_guest.send_tcp(kGuestMac, header(), segment(), {}, mss()), Status::gone);
  EXPECT_EQ(to_guest.counters().dropped, 2U);
  EXPECT_EQ(to_guest.counters().packets, 0U);
}

TEST_P(ToGuestTcp, RefusesMorePiecesThanTheLinkTakes) {
  FakeLink link(kAllFeatures);
  ToGuest to_guest(link, kGatewayMac, kMtu);
  const auto data = pattern(10);
  const std::vector<Bytes> pieces(Link::kMaxParts, data);
  EXPECT_EQ(to_guest.send_tcp(kGuestMac, header(), segment(), pieces, mss()), Status::dropped);
  EXPECT_EQ(link.attempts, 0);
  const auto most = std::span(pieces).first(Link::kMaxParts - 1);
  EXPECT_EQ(to_guest.send_tcp(kGuestMac, header(), segment(), most, mss()), Status::ok);
  EXPECT_EQ(link.sent.at(0).parts, Link::kMaxParts);
}

}  // namespace
}  // namespace sf::link
