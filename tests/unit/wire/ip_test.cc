#include "wire/ip.hh"

#include "unit/wire/support.hh"
#include "wire/checksum.hh"
#include "wire/ethernet.hh"
#include "wire/ipv4.hh"
#include "wire/tcp.hh"

namespace sf::wire {
namespace {

using namespace test;

// Made with scapy 2.5.
const char* const kTcp4 =
    "4510003c123440004006f1d90a000264c63364079c4001bb0102030400000000a002faf030090000020405b40402080a"
    "112233440000000001030307";
const char* const kFragment4 = "4500001cbeef2003401165400a000264c63364074242424242424242";

// `packet` with its header checksum made right again.
Buffer repaired(Buffer packet) {
  const std::size_t header = std::size_t{packet[0] & 0x0fU} * 4;
  store_be16(&packet[10], 0);
  store_be16(&packet[10], checksum_finish(checksum_add(0, take(packet, header))));
  return packet;
}

TEST(Ethernet, RoundTripAndTruncation) {
  const Buffer frame = hex("525400123456 52550a000202 0800");
  const auto header = EthernetHeader::parse(frame);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->destination, mac("52:54:00:12:34:56"));
  EXPECT_EQ(header->source, mac("52:55:0a:00:02:02"));
  EXPECT_EQ(header->type, 0x0800);
  const auto emit = [&](Writer& out) { header->emit(out); };
  EXPECT_EQ(written(14, emit), frame);
  EXPECT_TRUE(fails_when_short(14, emit));
  EXPECT_TRUE(lengths_that_parse(frame, &EthernetHeader::parse).empty());
}

TEST(Ipv4, ParsesACapture) {
  const Buffer packet = hex(kTcp4);
  const auto ip = parse_ip(packet);
  ASSERT_TRUE(ip);
  EXPECT_EQ(ip->source, address("10.0.2.100"));
  EXPECT_EQ(ip->destination, address("198.51.100.7"));
  EXPECT_EQ(ip->protocol, 6);
  EXPECT_EQ(ip->ttl, 64);
  EXPECT_EQ(ip->traffic_class, 0x10);
  EXPECT_TRUE(ip->dont_fragment);
  EXPECT_FALSE(ip->fragment);
  EXPECT_EQ(ip->payload.size(), 40U);
  EXPECT_EQ(ip->payload.data(), packet.data() + 20);
  EXPECT_EQ(ip->whole.size(), 60U);
}

TEST(Ipv4, LinkPaddingIsCut) {
  Buffer packet = hex(kTcp4);
  packet.insert(packet.end(), 10, 0);
  const auto ip = parse_ip(packet);
  ASSERT_TRUE(ip);
  EXPECT_EQ(ip->payload.size(), 40U);
  EXPECT_EQ(ip->whole.size(), 60U);
}

TEST(Ipv4, EveryTruncationIsRefused) {
  const Buffer packet = hex(kTcp4);
  EXPECT_TRUE(lengths_that_parse(packet, &parse_ip).empty());
  parse_with_every_byte_changed(packet, &parse_ip);
}

TEST(Ipv4, OptionsAreSkipped) {
  Buffer packet = hex(kTcp4);
  const Buffer options = hex("0101010194040000");
  packet.insert(packet.begin() + 20, options.begin(), options.end());
  packet[0] = 0x47;
  packet[3] = 68;
  const auto ip = parse_ip(repaired(packet));
  ASSERT_TRUE(ip);
  EXPECT_EQ(ip->payload.size(), 40U);
}

TEST(Ipv4, MalformedHeadersAreCountedByReason) {
  const Buffer good = hex(kTcp4);
  const auto reason = [&](std::size_t at, std::uint8_t value, bool repair = true) {
    Buffer packet = good;
    packet[at] = value;
    const auto ip = parse_ip(repair ? repaired(packet) : packet);
    return ip ? DropReason::count_ : ip.error();
  };
  EXPECT_EQ(reason(0, 0x44), DropReason::bad_header);  // IHL below 5
  EXPECT_EQ(reason(0, 0x75, false), DropReason::bad_version);
  EXPECT_EQ(reason(0, 0x05, false), DropReason::bad_version);
  EXPECT_EQ(reason(3, 61), DropReason::truncated);   // more than there is
  EXPECT_EQ(reason(3, 19), DropReason::bad_header);  // less than the header
  EXPECT_EQ(reason(8, 63, false), DropReason::bad_checksum);
  EXPECT_EQ(reason(12, 224), DropReason::bad_address);  // multicast source
  EXPECT_EQ(reason(8, 63), DropReason::count_);         // the check itself can pass
  Buffer broadcast = good;
  std::fill_n(broadcast.begin() + 12, 4, std::uint8_t{0xff});
  EXPECT_EQ(parse_ip(repaired(broadcast)).error(), DropReason::bad_address);
  Buffer nowhere = good;
  std::fill_n(nowhere.begin() + 16, 4, std::uint8_t{0});
  EXPECT_EQ(parse_ip(repaired(nowhere)).error(), DropReason::bad_address);
}

TEST(Ipv4, Fragments) {
  const auto ip = parse_ip(hex(kFragment4));
  ASSERT_TRUE(ip);
  ASSERT_TRUE(ip->fragment);
  EXPECT_EQ(ip->fragment->id, 0xbeefU);
  EXPECT_EQ(ip->fragment->offset, 24U);
  EXPECT_TRUE(ip->fragment->more);

  Buffer misaligned = hex(kFragment4);
  misaligned[3] = 27;
  EXPECT_EQ(parse_ip(repaired(misaligned)).error(), DropReason::bad_fragment);
  misaligned[6] = 0x00;  // the last one may have any length
  EXPECT_TRUE(parse_ip(repaired(misaligned)));
  Buffer beyond = hex(kFragment4);
  beyond[6] = 0x1f;
  beyond[7] = 0xff;  // offset 65,528 and eight more bytes
  EXPECT_EQ(parse_ip(repaired(beyond)).error(), DropReason::bad_fragment);
}

TEST(Ipv4, QuotedPacketMayBeCutShort) {
  const Buffer packet = hex(kTcp4);
  const auto quoted = parse_quoted_ip(Bytes{packet}.first(28));
  ASSERT_TRUE(quoted);
  EXPECT_EQ(quoted->payload.size(), 8U);
  EXPECT_EQ(parse_quoted_ip(Bytes{packet}.first(19)).error(), DropReason::truncated);
  EXPECT_EQ(lengths_that_parse(packet, &parse_quoted_ip).front(), 20U);
  Buffer longer = packet;
  longer[0] = 0x4f;
  EXPECT_EQ(lengths_that_parse(longer, &parse_quoted_ip), std::vector<std::size_t>{}) << "60 bytes of header";
  EXPECT_TRUE(parse_quoted_ip(longer));
  Buffer changed = packet;
  changed[8] = 1;  // a router's TTL, with the checksum left as it was
  EXPECT_TRUE(parse_quoted_ip(changed));
  parse_with_every_byte_changed(packet, &parse_quoted_ip);
}

TEST(Ipv4, EmitsWhatScapyDoes) {
  IpHeader header{.source = address("10.0.2.100"),
                  .destination = address("198.51.100.7"),
                  .protocol = 6,
                  .traffic_class = 0x10,
                  .id = 0x1234,
                  .fragment = std::nullopt};
  const Buffer packet = hex(kTcp4);
  EXPECT_EQ(header.size(), 20U);
  const auto emit = [&](Writer& out) { header.emit(out, 40); };
  EXPECT_EQ(written(100, emit), Buffer(packet.begin(), packet.begin() + 20));
  EXPECT_TRUE(fails_when_short(20, emit));

  header = {.source = address("10.0.2.100"),
            .destination = address("198.51.100.7"),
            .protocol = 17,
            .fragment = Fragment{0xbeef, 24, true}};
  const Buffer fragment = hex(kFragment4);
  EXPECT_EQ(written(100, [&](Writer& out) { header.emit(out, 8); }),
            Buffer(fragment.begin(), fragment.begin() + 20));
}

TEST(Ipv4, EmitRefusesWhatDoesNotFit) {
  const IpHeader header{
      .source = address("10.0.2.100"), .destination = address("198.51.100.7"), .fragment = {}};
  EXPECT_TRUE(written(100, [&](Writer& out) { header.emit(out, 65515); }));
  EXPECT_FALSE(written(100, [&](Writer& out) { header.emit(out, 65516); }));
  EXPECT_FALSE(written(100, [&](Writer& out) { header.emit(out, SIZE_MAX); }));
  IpHeader mixed = header;
  mixed.destination = address("2001:db8::1");
  EXPECT_FALSE(written(100, [&](Writer& out) { mixed.emit(out, 0); }));
  IpHeader odd = header;
  odd.fragment = Fragment{1, 4, false};
  EXPECT_FALSE(written(100, [&](Writer& out) { odd.emit(out, 8); }));
}

TEST(Ip, EmptyAndUnknownVersions) {
  EXPECT_EQ(parse_ip({}).error(), DropReason::truncated);
  for (unsigned version : {0U, 1U, 2U, 3U, 5U, 7U, 15U}) {
    EXPECT_EQ(parse_ip(Buffer(60, static_cast<std::uint8_t>(version << 4))).error(), DropReason::bad_version);
  }
}

TEST(Ip, EveryDropReasonHasItsOwnName) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kDropReasons; ++i) {
    names.emplace_back(to_string(static_cast<DropReason>(i)));
    EXPECT_NE(names.back(), "unknown");
  }
  std::ranges::sort(names);
  EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
  EXPECT_STREQ(to_string(DropReason::bad_checksum), "bad-checksum");
}

}  // namespace
}  // namespace sf::wire
