// TCP, UDP and ICMP.
#include "unit/wire/support.hh"
#include "wire/icmp.hh"
#include "wire/ip.hh"
#include "wire/tcp.hh"
#include "wire/udp.hh"

namespace sf::wire {
namespace {

using namespace test;

// Whole IP packets, made with scapy 2.5.
const char* const kSyn =
    "4510003c123440004006f1d90a000264c63364079c4001bb0102030400000000a002faf030090000020405b40402080a"
    "112233440000000001030307";
const char* const kSack =
    "4500004d00070000400644060a000264c63364079c4001bb000003e8000007d0d01001f5b41c00000101080a00000005"
    "000000060101051200000bb800000fa0000013880000177068656c6c6f";
const char* const kUdp6 =
    "6b812345000b113ffd00000000000000000000000000010020010db800010000000000000000000714e90035000bfa95"
    "616263";
const char* const kEcho6 =
    "60000000000c3a40fd00000000000000000000000000010020010db80001000000000000000000078000742101020003"
    "70696e67";
const char* const kEcho4 = "45000021000100004001443d0a000264c63364070800f7290102000370696e6721";

const Address kGuest4 = Address::v4(10, 0, 2, 100);
const Address kServer4 = Address::v4(198, 51, 100, 7);

Buffer payload_of(const char* packet) {
  const Buffer bytes = hex(packet);
  const auto ip = parse_ip(bytes).value();
  return {ip.payload.begin(), ip.payload.end()};
}

// A segment with `options` behind its fixed header; padded with End of options.
Buffer segment_with(std::string_view options) {
  Buffer bytes = payload_of(kSyn);
  bytes.resize(kTcpHeaderSize);
  const Buffer tail = hex(options);
  bytes.insert(bytes.end(), tail.begin(), tail.end());
  bytes.resize((bytes.size() + 3) / 4 * 4);
  bytes[12] = static_cast<std::uint8_t>(bytes.size() / 4 << 4);
  return bytes;
}

TcpOptions options_of(std::string_view options) {
  const Exact exact(segment_with(options));
  return TcpSegment::parse(exact.bytes()).value().options;
}

TEST(Tcp, ParsesASyn) {
  const Buffer bytes = payload_of(kSyn);
  const auto segment = TcpSegment::parse(bytes);
  ASSERT_TRUE(segment);
  EXPECT_EQ(segment->source_port, 40000);
  EXPECT_EQ(segment->destination_port, 443);
  EXPECT_EQ(segment->sequence, 0x01020304U);
  EXPECT_EQ(segment->acknowledgment, 0U);
  EXPECT_EQ(segment->flags, (TcpFlags{.syn = true}));
  EXPECT_EQ(segment->window, 64240);
  EXPECT_EQ(segment->options.mss, 1460);
  EXPECT_EQ(segment->options.window_scale, 7);
  EXPECT_TRUE(segment->options.sack_permitted);
  EXPECT_EQ(segment->options.timestamps, (TcpTimestamps{0x11223344, 0}));
  EXPECT_TRUE(segment->payload.empty());
  EXPECT_EQ(segment->length(), 1U);
  // Emitted in the order in which Linux sends them, so byte by byte the same.
  const auto emit = [&](Writer& out) { segment->emit(out, 0x3009); };
  EXPECT_EQ(written(60, emit), bytes);
  EXPECT_TRUE(fails_when_short(bytes.size(), emit));
}

TEST(Tcp, ParsesSackBlocksAndPayload) {
  const Buffer bytes = payload_of(kSack);
  const auto segment = TcpSegment::parse(bytes);
  ASSERT_TRUE(segment);
  EXPECT_EQ(segment->options.sack_count, 2);
  EXPECT_EQ(segment->options.sack[0], (SackBlock{3000, 4000}));
  EXPECT_EQ(segment->options.sack[1], (SackBlock{5000, 6000}));
  EXPECT_EQ(segment->options.timestamps, (TcpTimestamps{5, 6}));
  EXPECT_EQ(to_hex(segment->payload), "68656c6c6f");
  EXPECT_EQ(segment->length(), 5U);
  EXPECT_EQ(written(60, [&](Writer& out) { segment->emit(out, 0xb41c); }),
            Buffer(bytes.begin(), bytes.end() - 5));
}

TEST(Tcp, EveryFlagAlone) {
  for (unsigned bit = 0; bit < 8; ++bit) {
    Buffer bytes = payload_of(kSyn);
    bytes[13] = static_cast<std::uint8_t>(1U << bit);
    const auto segment = TcpSegment::parse(bytes);
    ASSERT_TRUE(segment);
    const TcpFlags f = segment->flags;
    const bool flags[] = {f.fin, f.syn, f.rst, f.psh, f.ack, f.urg, f.ece, f.cwr};
    for (unsigned i = 0; i < 8; ++i) EXPECT_EQ(flags[i], i == bit) << i << " " << bit;
    EXPECT_EQ(written(60, [&](Writer& out) { segment->emit(out, 0x3009); }), bytes);
  }
}

TEST(Tcp, TruncationsAndChangedBytes) {
  // What is shorter than its data offset is refused; from there on, a cut only takes payload.
  const Buffer bytes = payload_of(kSack);
  EXPECT_EQ(lengths_that_parse(bytes, &TcpSegment::parse).front(), 52U);
  parse_with_every_byte_changed(bytes, &TcpSegment::parse);
  Buffer small = bytes;
  small[12] = 0x40;
  EXPECT_FALSE(TcpSegment::parse(small));
}

TEST(Tcp, MalformedOptionsEndOptionParsing) {
  EXPECT_EQ(options_of("020405b4 0202 030307").mss, 1460);
  for (const char* malformed :
       {"020405b4 0300 020405b5", "020405b4 0301 020405b5", "020405b4 030407 00 020405b5",
        "020405b4 0203ff 020405b5", "020405b4 080905 020405b5", "020405b4 05 0a", "020405b4 0502 020405b5",
        "020405b4 0503 00 020405b5", "020405b4 040300 020405b5", "020405b4 00 020405b5"}) {
    const TcpOptions options = options_of(malformed);
    EXPECT_EQ(options.mss, 1460) << malformed;
    EXPECT_FALSE(options.window_scale) << malformed;
    EXPECT_FALSE(options.timestamps) << malformed;
    EXPECT_EQ(options.sack_count, 0) << malformed;
  }
  // Unknown ones are skipped by their length.
  EXPECT_EQ(options_of("fd04ffff 020405b4").mss, 1460);
  // A length past the end.
  EXPECT_FALSE(options_of("01010204").mss);
}

TEST(Tcp, OptionsOfEveryCombinationRoundTrip) {
  for (unsigned mask = 0; mask < 16; ++mask) {
    for (std::uint8_t blocks = 0; blocks <= TcpOptions::kMaxSackBlocks; ++blocks) {
      TcpSegment segment;
      TcpOptions& o = segment.options;
      if ((mask & 1) != 0) o.mss = 1400;
      if ((mask & 2) != 0) o.window_scale = 9;
      o.sack_permitted = (mask & 4) != 0;
      if ((mask & 8) != 0) o.timestamps = TcpTimestamps{1, 2};
      o.sack_count = blocks;
      for (std::uint32_t i = 0; i < blocks; ++i) o.sack[i] = {100 * i, 100 * i + 50};
      ASSERT_LE(o.size(), 40U);
      ASSERT_EQ(o.size() % 4, 0U);
      const auto bytes = written(60, [&](Writer& out) { segment.emit(out, 0); });
      ASSERT_TRUE(bytes);
      ASSERT_EQ(bytes->size(), segment.header_size());
      const auto back = TcpSegment::parse(*bytes);
      ASSERT_TRUE(back) << mask << " " << int{blocks};
      EXPECT_EQ(back->options.mss, o.mss);
      EXPECT_EQ(back->options.window_scale, o.window_scale);
      EXPECT_EQ(back->options.sack_permitted, o.sack_permitted);
      EXPECT_EQ(back->options.timestamps, o.timestamps);
      EXPECT_LE(back->options.sack_count, blocks);
      for (std::size_t i = 0; i < back->options.sack_count; ++i) EXPECT_EQ(back->options.sack[i], o.sack[i]);
      if (mask == 0) {
        EXPECT_EQ(back->options.sack_count, blocks);
      }
      if (mask == 8) {
        EXPECT_EQ(back->options.sack_count, std::min<int>(blocks, 3));
      }
    }
  }
}

TEST(Udp, RoundTripAndBounds) {
  const Buffer bytes = payload_of(kUdp6);
  const auto datagram = UdpDatagram::parse(bytes);
  ASSERT_TRUE(datagram);
  EXPECT_EQ(datagram->source_port, 5353);
  EXPECT_EQ(datagram->destination_port, 53);
  EXPECT_EQ(datagram->checksum, 0xfa95);
  EXPECT_EQ(to_hex(datagram->payload), "616263");
  const auto emit = [&](Writer& out) { datagram->emit(out, 3, 0xfa95); };
  EXPECT_EQ(written(8, emit), Buffer(bytes.begin(), bytes.begin() + 8));
  EXPECT_TRUE(fails_when_short(8, emit));
  EXPECT_TRUE(lengths_that_parse(bytes, &UdpDatagram::parse).empty());
  parse_with_every_byte_changed(bytes, &UdpDatagram::parse);

  Buffer padded = bytes;
  padded.push_back(0xee);
  EXPECT_EQ(UdpDatagram::parse(padded)->payload.size(), 3U);
  Buffer small = bytes;
  small[5] = 7;
  EXPECT_FALSE(UdpDatagram::parse(small));
  EXPECT_FALSE(written(8, [&](Writer& out) { datagram->emit(out, 65528, 0); }));
  EXPECT_TRUE(written(8, [&](Writer& out) { datagram->emit(out, 65527, 0); }));
}

TEST(TransportChecksum, HoldsForCapturesAndForNothingElse) {
  for (const char* text : {kSyn, kSack, kUdp6, kEcho6, kEcho4}) {
    const Buffer packet = hex(text);
    const auto ip = parse_ip(packet).value();
    EXPECT_TRUE(verify_transport_checksum(ip.source, ip.destination, ip.protocol, ip.payload)) << text;
    for (std::size_t at = 0; at < ip.payload.size(); ++at) {
      if (ip.protocol == 17 && (at == 4 || at == 5)) continue;  // the length says how much is summed
      Exact changed(ip.payload);
      changed.mutable_bytes()[at] ^= 0x10;
      EXPECT_FALSE(verify_transport_checksum(ip.source, ip.destination, ip.protocol, changed.bytes())) << at;
    }
  }
}

TEST(TransportChecksum, UdpWithoutOne) {
  Buffer bytes = payload_of(kUdp6);
  store_be16(&bytes[6], 0);
  EXPECT_TRUE(verify_transport_checksum(kGuest4, kServer4, 17, bytes));
  EXPECT_FALSE(verify_transport_checksum(address("fd00::100"), address("2001:db8:1::7"), 17, bytes));
  for (std::size_t length = 0; length < 8; ++length) {
    const Exact cut(Bytes{bytes}.first(length));
    EXPECT_FALSE(verify_transport_checksum(kGuest4, kServer4, 17, cut.bytes()));
  }
  EXPECT_EQ(udp_checksum_field(0), 0xffff);
  EXPECT_EQ(udp_checksum_field(0x1234), 0x1234);
}

TEST(Icmp, EchoOfBothVersions) {
  for (const char* text : {kEcho4, kEcho6}) {
    const Buffer packet = hex(text);
    const auto ip = parse_ip(packet).value();
    const auto message = IcmpMessage::parse(ip.payload);
    ASSERT_TRUE(message);
    EXPECT_EQ(message->type, ip.source.is_v4() ? icmpv4::kEchoRequest : icmpv6::kEchoRequest);
    EXPECT_EQ(message->echo_id(), 0x0102);
    EXPECT_EQ(message->echo_sequence(), 3);
    const auto emit = [&](Writer& out) { message->emit(out, ip.source, ip.destination); };
    EXPECT_EQ(written(64, emit), Buffer(ip.payload.begin(), ip.payload.end()));
    EXPECT_TRUE(fails_when_short(ip.payload.size(), emit));
    EXPECT_EQ(lengths_that_parse(ip.payload, &IcmpMessage::parse).front(), kIcmpHeaderSize);
  }
}

TEST(Icmp, ErrorsMapBothWays) {
  struct Row {
    IcmpError error;
    unsigned type4, code4, type6, code6;
  };
  const Row rows[] = {
      {IcmpError::net_unreachable, 3, 0, 1, 0},      {IcmpError::host_unreachable, 3, 1, 1, 3},
      {IcmpError::protocol_unreachable, 3, 2, 4, 1}, {IcmpError::port_unreachable, 3, 3, 1, 4},
      {IcmpError::packet_too_big, 3, 4, 2, 0},       {IcmpError::admin_prohibited, 3, 13, 1, 1},
      {IcmpError::time_exceeded, 11, 0, 3, 0},       {IcmpError::reassembly_timeout, 11, 1, 3, 1},
  };
  EXPECT_EQ(icmp_error_from(1, 2, false), IcmpError::beyond_scope);
  EXPECT_EQ(icmp_type_code(IcmpError::beyond_scope, false).code, 2);
  for (const Row& row : rows) {
    const auto v4 = icmp_type_code(row.error, true);
    const auto v6 = icmp_type_code(row.error, false);
    EXPECT_EQ(v4.type, row.type4);
    EXPECT_EQ(v4.code, row.code4);
    EXPECT_EQ(v6.type, row.type6);
    EXPECT_EQ(v6.code, row.code6);
    EXPECT_EQ(icmp_error_from(v4.type, v4.code, true), row.error);
    EXPECT_EQ(icmp_error_from(v6.type, v6.code, false), row.error);
  }
  EXPECT_EQ(icmp_error_from(3, 99, true), IcmpError::net_unreachable);
  EXPECT_EQ(icmp_error_from(1, 99, false), IcmpError::net_unreachable);
  EXPECT_EQ(icmp_error_from(3, 10, true), IcmpError::admin_prohibited);
  EXPECT_FALSE(icmp_error_from(icmpv4::kEchoRequest, 0, true));
  EXPECT_FALSE(icmp_error_from(icmpv4::kParameterProblem, 0, true));
  EXPECT_FALSE(icmp_error_from(icmpv6::kEchoReply, 0, false));
  EXPECT_FALSE(icmp_error_from(icmpv6::kParameterProblem, 0, false));
}

TEST(Icmp, QuotesFillAMinimalPacket) {
  EXPECT_EQ(20 + kIcmpHeaderSize + icmp_quote_limit(true), 576U);
  EXPECT_EQ(40 + kIcmpHeaderSize + icmp_quote_limit(false), 1280U);
}

}  // namespace
}  // namespace sf::wire
