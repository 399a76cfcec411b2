#include "wire/ipv6.hh"

#include "unit/wire/support.hh"
#include "wire/tcp.hh"

namespace sf::wire {
namespace {

using namespace test;

// Made with scapy 2.5.
const char* const kUdp6 =
    "6b812345000b113ffd00000000000000000000000000010020010db800010000000000000000000714e90035000bfa95"
    "616263";
// Hop-by-hop (router alert), destination options, routing (no hops left), atomic fragment, UDP.
const char* const kExtensions =
    "6000000000390040fd00000000000000000000000000010020010db80001000000000000000000073c00050200000100"
    "2b000104000000002c0204000000000020010db800000000000000000000000111000000000000090001000200095c17"
    "78";
const char* const kFragment6 =
    "6000000000182c40fd00000000000000000000000000010020010db800010000000000000000000711000011deadbeef"
    "41414141414141414141414141414141";

// A packet with `next` as its Next Header and `rest` behind the fixed header.
Buffer packet_of(std::uint8_t next, std::string_view rest) {
  Buffer packet = hex(kUdp6);
  packet.resize(kIpv6HeaderSize);
  const Buffer tail = hex(rest);
  packet.insert(packet.end(), tail.begin(), tail.end());
  packet[6] = next;
  store_be16(&packet[4], static_cast<std::uint16_t>(tail.size()));
  return packet;
}

DropReason reason(const Buffer& packet) {
  const Exact exact(packet);
  const auto ip = parse_ip(exact.bytes());
  return ip ? DropReason::count_ : ip.error();
}

TEST(Ipv6, ParsesACapture) {
  const Buffer packet = hex(kUdp6);
  const auto ip = parse_ip(packet);
  ASSERT_TRUE(ip);
  EXPECT_EQ(ip->source, address("fd00::100"));
  EXPECT_EQ(ip->destination, address("2001:db8:1::7"));
  EXPECT_EQ(ip->protocol, 17);
  EXPECT_EQ(ip->ttl, 63);
  EXPECT_EQ(ip->traffic_class, 0xb8);
  EXPECT_FALSE(ip->dont_fragment);
  EXPECT_FALSE(ip->fragment);
  EXPECT_EQ(ip->payload.size(), 11U);
  EXPECT_EQ(ip->whole.size(), 51U);
  EXPECT_EQ(Ipv6View::check(packet, Ipv6View::Strictness::whole)->flow_label(), 0x12345U);
}

TEST(Ipv6, EveryTruncationIsRefused) {
  for (const char* text : {kUdp6, kExtensions, kFragment6}) {
    const Buffer packet = hex(text);
    EXPECT_TRUE(lengths_that_parse(packet, &parse_ip).empty());
    parse_with_every_byte_changed(packet, &parse_ip);
    parse_with_every_byte_changed(packet, &parse_quoted_ip);
  }
}

// Here the length field follows the cut, so that the walk itself meets the end.
TEST(Ipv6, ExtensionHeadersCutAtEveryLength) {
  const Buffer packet = hex(kExtensions);
  constexpr std::size_t kUdpAt = 88;
  for (std::size_t length = kIpv6HeaderSize; length < packet.size(); ++length) {
    Buffer cut(packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(length));
    store_be16(&cut[4], static_cast<std::uint16_t>(length - kIpv6HeaderSize));
    EXPECT_EQ(reason(cut), length < kUdpAt ? DropReason::truncated : DropReason::count_) << length;
  }
}

TEST(Ipv6, WalksExtensionHeaders) {
  const Buffer packet = hex(kExtensions);
  const auto ip = parse_ip(packet);
  ASSERT_TRUE(ip);
  EXPECT_EQ(ip->protocol, 17);
  EXPECT_FALSE(ip->fragment) << "an atomic fragment is no fragment (RFC 6946)";
  EXPECT_EQ(to_hex(ip->payload), "0001000200095c1778");
}

TEST(Ipv6, FragmentStopsTheWalk) {
  const auto packet = hex(kFragment6);
  const auto ip = parse_ip(packet);
  ASSERT_TRUE(ip);
  ASSERT_TRUE(ip->fragment);
  EXPECT_EQ(ip->fragment->id, 0xdeadbeefU);
  EXPECT_EQ(ip->fragment->offset, 16U);
  EXPECT_TRUE(ip->fragment->more);
  EXPECT_EQ(ip->protocol, 17);
  EXPECT_EQ(ip->payload.size(), 16U);

  // The first fragment's own extension headers belong to the fragmented part.
  const Buffer first = packet_of(ipv6_next::kFragment, "3c000001 00000009 1100010400000000");
  const auto parsed = parse_ip(first);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->protocol, ipv6_next::kDestination);
  EXPECT_EQ(parsed->payload.size(), 8U);
  const auto upper = walk_ipv6_extensions(parsed->protocol, parsed->payload, false);
  ASSERT_TRUE(upper);
  EXPECT_EQ(upper->protocol, 17);
  EXPECT_TRUE(upper->payload.empty());
}

TEST(Ipv6, BadFragments) {
  // Seven bytes in a fragment that is not the last.
  EXPECT_EQ(reason(packet_of(ipv6_next::kFragment, "11000001 00000001 41414141414141")),
            DropReason::bad_fragment);
  // Nothing in it.
  EXPECT_EQ(reason(packet_of(ipv6_next::kFragment, "11000011 00000001")), DropReason::bad_fragment);
  // Past 65,535.
  EXPECT_EQ(reason(packet_of(ipv6_next::kFragment, "1100fff8 00000001 4141414141414141")),
            DropReason::bad_fragment);
  EXPECT_EQ(reason(packet_of(ipv6_next::kFragment, "1100fff8 00000001 41414141414141")), DropReason::count_);
  // A fragment header behind another.
  EXPECT_EQ(reason(packet_of(ipv6_next::kFragment, "2c000000 00000001 11000000 00000001")),
            DropReason::bad_header);
}

TEST(Ipv6, BadExtensionHeaders) {
  // Hop-by-hop options that are not first (RFC 8200 section 4.1).
  EXPECT_EQ(reason(packet_of(ipv6_next::kDestination, "0000010400000000 1100010400000000")),
            DropReason::bad_header);
  // A header longer than the packet.
  EXPECT_EQ(reason(packet_of(ipv6_next::kDestination, "11ff010400000000")), DropReason::truncated);
  // An option longer than its header.
  EXPECT_EQ(reason(packet_of(ipv6_next::kDestination, "1100010500000000")), DropReason::bad_header);
  // An option whose length byte is missing.
  EXPECT_EQ(reason(packet_of(ipv6_next::kDestination, "1100010300000001")), DropReason::bad_header);
  // An unknown option that may be skipped, and one that must not be.
  EXPECT_EQ(reason(packet_of(ipv6_next::kDestination, "11001e0400000000")), DropReason::count_);
  EXPECT_EQ(reason(packet_of(ipv6_next::kDestination, "11009e0400000000")), DropReason::bad_header);
  // A jumbogram.
  EXPECT_EQ(reason(packet_of(ipv6_next::kHopByHop, "1100c20400010000")), DropReason::bad_header);
  // A routing header with a hop to go.
  EXPECT_EQ(reason(packet_of(ipv6_next::kRouting, "1100040100000000")), DropReason::bad_header);
}

TEST(Ipv6, ChainsAreLimited) {
  std::string chain;
  for (int i = 0; i < kMaxIpv6ExtensionHeaders - 1; ++i) chain += "3c00010400000000";
  EXPECT_EQ(reason(packet_of(ipv6_next::kDestination, chain + "1100010400000000")), DropReason::count_);
  chain += "3c00010400000000";
  EXPECT_EQ(reason(packet_of(ipv6_next::kDestination, chain + "1100010400000000")), DropReason::bad_header);
}

TEST(Ipv6, NoNextHeader) {
  const Buffer packet = packet_of(ipv6_next::kNone, "4141");
  const auto ip = parse_ip(packet);
  ASSERT_TRUE(ip);
  EXPECT_EQ(ip->protocol, 59);
  EXPECT_TRUE(ip->payload.empty());
}

TEST(Ipv6, BadAddresses) {
  const auto with = [](std::size_t at, const char* text) {
    Buffer packet = hex(kUdp6);
    const auto bytes = hex(text);
    std::ranges::copy(bytes, packet.begin() + static_cast<std::ptrdiff_t>(at));
    return reason(packet);
  };
  EXPECT_EQ(with(8, "ff020000000000000000000000000001"), DropReason::bad_address);
  EXPECT_EQ(with(24, "00000000000000000000000000000000"), DropReason::bad_address);
  // These would pass for IPv4 above wire/.
  EXPECT_EQ(with(8, "00000000000000000000ffff0a000202"), DropReason::bad_address);
  EXPECT_EQ(with(24, "00000000000000000000ffff7f000001"), DropReason::bad_address);
  // The unspecified source of duplicate address detection.
  EXPECT_EQ(with(8, "00000000000000000000000000000000"), DropReason::count_);
}

TEST(Ipv6, EmitsWhatScapyDoes) {
  const Buffer packet = hex(kFragment6);
  const IpHeader header{.source = address("fd00::100"),
                        .destination = address("2001:db8:1::7"),
                        .protocol = 17,
                        .fragment = Fragment{0xdeadbeef, 16, true}};
  EXPECT_EQ(header.size(), 48U);
  const auto emit = [&](Writer& out) { header.emit(out, 16); };
  EXPECT_EQ(written(100, emit), Buffer(packet.begin(), packet.begin() + 48));
  EXPECT_TRUE(fails_when_short(48, emit));

  const IpHeader plain{.source = address("fd00::100"),
                       .destination = address("2001:db8:1::7"),
                       .protocol = 17,
                       .ttl = 63,
                       .traffic_class = 0xb8,
                       .fragment = {}};
  EXPECT_EQ(plain.size(), 40U);
  Buffer expected = hex(kUdp6);
  expected.resize(40);
  expected[1] = 0x80;  // without the flow label
  expected[2] = expected[3] = 0;
  EXPECT_EQ(written(100, [&](Writer& out) { plain.emit(out, 11); }), expected);
}

TEST(Ipv6, EmitRefusesWhatDoesNotFit) {
  IpHeader header{.source = address("fd00::1"), .destination = address("fd00::2"), .fragment = {}};
  EXPECT_TRUE(written(100, [&](Writer& out) { header.emit(out, 65535); }));
  EXPECT_FALSE(written(100, [&](Writer& out) { header.emit(out, 65536); }));
  header.fragment = Fragment{1, 0, true};
  EXPECT_TRUE(written(100, [&](Writer& out) { header.emit(out, 65527); }));
  EXPECT_FALSE(written(100, [&](Writer& out) { header.emit(out, 65528); }));
}

}  // namespace
}  // namespace sf::wire
