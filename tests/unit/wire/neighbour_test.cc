// ARP and neighbour discovery.
#include "unit/wire/support.hh"
#include "wire/arp.hh"
#include "wire/ip.hh"
#include "wire/ndp.hh"
#include "wire/tcp.hh"

namespace sf::wire {
namespace {

using namespace test;

// Made with scapy 2.5; the ICMPv6 messages without their IPv6 headers.
const char* const kArp = "00010800060400015254001234560a0002640000000000000a000202";
const char* const kRs = "850071b5000000000101525400123456";
const char* const kRa =
    "86009997404007080000000100000002010152550a00020205010000000005dc030440c0000151800000384000000000"
    "fd0000000000000000000000000000001905000000000708fd00000000000000000000000000000320010db800000000"
    "00000000000000531f050000ffffffff076578616d706c6503636f6d0004636f7270076578616d706c65000000000000";
const char* const kNs = "8700f7dc00000000fd0000000000000000000000000000020101525400123456";
const char* const kNa = "88005f45c0000000fd000000000000000000000000000002020152550a000202";

const MacAddress kGuestMac{{0x52, 0x54, 0x00, 0x12, 0x34, 0x56}};
const MacAddress kGatewayMac{{0x52, 0x55, 0x0a, 0x00, 0x02, 0x02}};

template <typename Message>
void expect_robust(Bytes message) {
  // Without any option the fixed part is a whole message; a cut within an option is none.
  parse_with_every_byte_changed(message, &Message::parse);
  const auto lengths = lengths_that_parse(message, &Message::parse);
  for (const std::size_t length : lengths) EXPECT_EQ(length % 8, 0U) << "options count units of eight bytes";
}

TEST(Arp, RoundTripAndTruncation) {
  const Buffer bytes = hex(kArp);
  const auto packet = ArpPacket::parse(bytes);
  ASSERT_TRUE(packet);
  EXPECT_EQ(*packet,
            (ArpPacket{ArpPacket::kRequest, kGuestMac, address("10.0.2.100"), {}, address("10.0.2.2")}));
  const auto emit = [&](Writer& out) { packet->emit(out); };
  EXPECT_EQ(written(kArpSize, emit), bytes);
  EXPECT_TRUE(fails_when_short(kArpSize, emit));
  EXPECT_TRUE(lengths_that_parse(bytes, &ArpPacket::parse).empty());
  Buffer padded = bytes;
  padded.resize(46);
  EXPECT_EQ(ArpPacket::parse(padded), packet);
}

TEST(Arp, OtherHardwareAndProtocolsAreRefused) {
  for (std::size_t at = 0; at < 6; ++at) {
    Buffer bytes = hex(kArp);
    bytes[at] ^= 2;
    EXPECT_FALSE(ArpPacket::parse(bytes)) << at;
  }
  ArpPacket packet;
  packet.target = address("fd00::1");
  EXPECT_FALSE(written(64, [&](Writer& out) { packet.emit(out); }));
}

TEST(Ndp, RouterSolicitation) {
  const Buffer bytes = hex(kRs);
  const auto message = RouterSolicitation::parse(bytes);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->source_link, kGuestMac);
  const auto emit = [&](Writer& out) { message->emit(out, address("fe80::5054:ff:fe12:3456"), kAllRouters); };
  EXPECT_EQ(written(64, emit), bytes);
  EXPECT_TRUE(fails_when_short(bytes.size(), emit));
  EXPECT_EQ(lengths_that_parse(bytes, &RouterSolicitation::parse), std::vector<std::size_t>{8});
  expect_robust<RouterSolicitation>(bytes);
}

TEST(Ndp, RouterAdvertisement) {
  const Buffer bytes = hex(kRa);
  const auto message = RouterAdvertisement::parse(bytes);
  ASSERT_TRUE(message);
  RouterAdvertisement expected;
  expected.hop_limit = 64;
  expected.other_config = true;
  expected.router_lifetime = std::chrono::seconds{1800};
  expected.reachable_time = std::chrono::milliseconds{1};
  expected.retransmit_timer = std::chrono::milliseconds{2};
  expected.source_link = kGatewayMac;
  expected.mtu = 1500;
  expected.prefixes = {
      {Prefix{address("fd00::"), 64}, true, true, std::chrono::seconds{86400}, std::chrono::seconds{14400}}};
  expected.dns_servers = {{std::chrono::seconds{1800}, {address("fd00::3"), address("2001:db8::53")}}};
  expected.dns_search = {{kInfiniteLifetime, {"example.com", "corp.example"}}};
  EXPECT_EQ(*message, expected);
  const auto emit = [&](Writer& out) { message->emit(out, address("fe80::2"), kAllNodes); };
  EXPECT_EQ(written(256, emit), bytes);
  EXPECT_TRUE(fails_when_short(bytes.size(), emit));
  EXPECT_EQ(lengths_that_parse(bytes, &RouterAdvertisement::parse),
            (std::vector<std::size_t>{16, 24, 32, 64, 104}));
  expect_robust<RouterAdvertisement>(bytes);
}

TEST(Ndp, PrefixesIgnoreTheirHostBits) {
  Buffer bytes =
      hex("860000004000000000000000000000000304 3cc0 00000001 00000002 00000000"
          "20010db8 00000000 ffffffff ffffffff");
  bytes[18] = 60;
  std::fill_n(bytes.begin() + 32 + 4, 4, std::uint8_t{0xff});
  const auto message = RouterAdvertisement::parse(bytes);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->prefixes.at(0).prefix.to_string(), "2001:db8:ffff:fff0::/60");
  bytes[18] = 129;
  EXPECT_FALSE(RouterAdvertisement::parse(bytes));
}

TEST(Ndp, AdvertisementThatDoesNotFitIsRefused) {
  const auto emitted = [](const RouterAdvertisement& message) {
    return written(65536, [&](Writer& out) { message.emit(out, address("fe80::2"), kAllNodes); });
  };
  RouterAdvertisement message;
  message.dns_servers = {{std::chrono::seconds{1}, std::vector(127, address("fd00::3"))}};
  ASSERT_TRUE(emitted(message));
  EXPECT_EQ(RouterAdvertisement::parse(*emitted(message)), message);
  message.dns_servers[0].servers.push_back(address("fd00::4"));
  EXPECT_FALSE(emitted(message));
  message.dns_servers.clear();
  message.dns_search = {{std::chrono::seconds{1}, std::vector<std::string>(156, "example.com")}};
  EXPECT_TRUE(emitted(message));
  message.dns_search[0].domains.emplace_back("example.com");
  EXPECT_FALSE(emitted(message));
  message.dns_search = {{std::chrono::seconds{1}, {"a..b"}}};
  EXPECT_FALSE(emitted(message));
  message.dns_search.clear();
  message.router_lifetime = std::chrono::seconds{70000};
  EXPECT_EQ(RouterAdvertisement::parse(*emitted(message))->router_lifetime, std::chrono::seconds{65535});
}

// Found by the fuzz target `wire`: it was read, but could not be written.
TEST(Ndp, SearchListWithoutADomainIsRefused) {
  Buffer message = hex("86000000 00000000 00000000 00000000 1f020000 000000ff 00000000 00000000");
  EXPECT_FALSE(RouterAdvertisement::parse(message));
  message[24] = 1;  // a domain of one letter
  message[25] = 'a';
  EXPECT_TRUE(RouterAdvertisement::parse(message));
}

TEST(Ndp, NeighborSolicitation) {
  const Buffer bytes = hex(kNs);
  const auto message = NeighborSolicitation::parse(bytes);
  ASSERT_TRUE(message);
  EXPECT_EQ(*message, (NeighborSolicitation{address("fd00::2"), kGuestMac}));
  const auto emit = [&](Writer& out) { message->emit(out, address("fd00::100"), address("ff02::1:ff00:2")); };
  EXPECT_EQ(written(64, emit), bytes);
  EXPECT_TRUE(fails_when_short(bytes.size(), emit));
  EXPECT_EQ(lengths_that_parse(bytes, &NeighborSolicitation::parse), std::vector<std::size_t>{24});
  expect_robust<NeighborSolicitation>(bytes);
  Buffer multicast = bytes;
  multicast[8] = 0xff;
  EXPECT_FALSE(NeighborSolicitation::parse(multicast));
}

TEST(Ndp, NeighborAdvertisement) {
  const Buffer bytes = hex(kNa);
  const auto message = NeighborAdvertisement::parse(bytes);
  ASSERT_TRUE(message);
  EXPECT_EQ(*message, (NeighborAdvertisement{true, true, false, address("fd00::2"), kGatewayMac}));
  const auto emit = [&](Writer& out) { message->emit(out, address("fd00::2"), address("fd00::100")); };
  EXPECT_EQ(written(64, emit), bytes);
  EXPECT_TRUE(fails_when_short(bytes.size(), emit));
  expect_robust<NeighborAdvertisement>(bytes);
  NeighborAdvertisement other = *message;
  other.override_cache = true;
  other.router = other.solicited = false;
  other.target_link = std::nullopt;
  const auto again = written(64, [&](Writer& out) { other.emit(out, address("fd00::2"), kAllNodes); });
  ASSERT_TRUE(again);
  EXPECT_EQ(NeighborAdvertisement::parse(*again), other);
  Buffer multicast = bytes;
  multicast[8] = 0xff;
  EXPECT_FALSE(NeighborAdvertisement::parse(multicast));
}

TEST(Ndp, OtherTypesCodesAndEmptyOptionsAreRefused) {
  Buffer bytes = hex(kNs);
  bytes[1] = 1;
  EXPECT_FALSE(NeighborSolicitation::parse(bytes));
  bytes = hex(kNs);
  EXPECT_FALSE(NeighborAdvertisement::parse(bytes));
  bytes[25] = 0;
  EXPECT_FALSE(NeighborSolicitation::parse(bytes));
  bytes[25] = 2;
  EXPECT_FALSE(NeighborSolicitation::parse(bytes));
  bytes = hex(kNs);
  bytes[24] = 14;  // a nonce: not known, skipped
  ASSERT_TRUE(NeighborSolicitation::parse(bytes));
  EXPECT_FALSE(NeighborSolicitation::parse(bytes)->source_link);
}

TEST(Ndp, MulticastAddresses) {
  EXPECT_EQ(solicited_node(address("fd00::ab:cdef:1234")), address("ff02::1:ffef:1234"));
  EXPECT_EQ(multicast_mac(address("ff02::1:ffef:1234")), mac("33:33:ff:ef:12:34"));
  EXPECT_EQ(multicast_mac(address("224.129.2.3")), mac("01:00:5e:01:02:03"));
  EXPECT_EQ(kAllNodes, address("ff02::1"));
  EXPECT_EQ(kAllRouters, address("ff02::2"));
}

}  // namespace
}  // namespace sf::wire
