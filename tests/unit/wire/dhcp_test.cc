#include "wire/dhcp.hh"

#include "unit/wire/support.hh"

namespace sf::wire {
namespace {

using namespace test;

// Made with scapy 2.5, in two parts: up to the hardware address, and from the magic cookie on. 202 zeros
// stand between.
const char* const kDiscoverHead = "010106003903f3260004800000000000000000000000000000000000525400123456";
const char* const kDiscoverOptions =
    "638253633501013d070152540012345632040a000214390205dc0c03626f78370a0103060f1a1c333a3b77ff";
const char* const kOfferHead = "020106003903f32600000000000000000a00020f0000000000000000525400123456";
// The domain search says "eng.example.com" and "lab" with a pointer to "example.com".
const char* const kOfferOptions =
    "6382536335010236040a0002023304000151803a040000a8c03b04000127500104ffffff0003040a00020206080a0002"
    "030a0002040f0b6578616d706c652e636f6d1a0205dc1c040a0002ff771703656e67076578616d706c6503636f6d0003"
    "6c6162c004ff";

constexpr std::size_t kServerNameAt = 44;
constexpr std::size_t kFileAt = 108;
constexpr std::size_t kOptionsAt = 240;

Buffer message_of(std::string_view head, std::string_view options) {
  Buffer out = hex(head);
  out.resize(kOptionsAt - 4);
  const Buffer tail = hex(options);
  out.insert(out.end(), tail.begin(), tail.end());
  return out;
}

// A message with these options, without the cookie, and no others.
std::optional<DhcpMessage> with_options(std::string_view options) {
  const Exact exact(message_of(kDiscoverHead, "63825363" + std::string(options)));
  return DhcpMessage::parse(exact.bytes());
}

std::optional<Buffer> emitted(const DhcpMessage& message, std::size_t room = 1500) {
  return written(room, [&](Writer& out) { message.emit(out); });
}

TEST(Dhcp, ParsesADiscover) {
  const auto m = DhcpMessage::parse(message_of(kDiscoverHead, kDiscoverOptions));
  ASSERT_TRUE(m);
  EXPECT_EQ(m->operation, DhcpMessage::kBootRequest);
  EXPECT_EQ(m->transaction, 0x3903f326U);
  EXPECT_EQ(m->seconds, 4);
  EXPECT_TRUE(m->broadcast_flag);
  EXPECT_EQ(m->hardware, mac("52:54:00:12:34:56"));
  EXPECT_EQ(m->type, DhcpType::discover);
  EXPECT_EQ(m->client_id, hex("01525400123456"));
  EXPECT_EQ(m->requested_address, address("10.0.2.20"));
  EXPECT_EQ(m->max_message_size, 1500);
  EXPECT_EQ(m->host_name, "box");
  EXPECT_EQ(m->parameters, (Buffer{1, 3, 6, 15, 26, 28, 51, 58, 59, 119}));
}

TEST(Dhcp, ParsesAnOffer) {
  const auto m = DhcpMessage::parse(message_of(kOfferHead, kOfferOptions));
  ASSERT_TRUE(m);
  DhcpMessage expected;
  expected.operation = DhcpMessage::kBootReply;
  expected.transaction = 0x3903f326;
  expected.yours = address("10.0.2.15");
  expected.hardware = mac("52:54:00:12:34:56");
  expected.type = DhcpType::offer;
  expected.server_id = address("10.0.2.2");
  expected.lease_time = std::chrono::seconds{86400};
  expected.renewal_time = std::chrono::seconds{43200};
  expected.rebinding_time = std::chrono::seconds{75600};
  expected.subnet_mask = address("255.255.255.0");
  expected.routers = {address("10.0.2.2")};
  expected.dns_servers = {address("10.0.2.3"), address("10.0.2.4")};
  expected.domain_name = "example.com";
  expected.mtu = 1500;
  expected.broadcast = address("10.0.2.255");
  expected.domain_search = {"eng.example.com", "lab.example.com"};
  EXPECT_EQ(*m, expected);
}

TEST(Dhcp, RoundTrips) {
  for (const Buffer& bytes :
       {message_of(kDiscoverHead, kDiscoverOptions), message_of(kOfferHead, kOfferOptions)}) {
    DhcpMessage m = DhcpMessage::parse(bytes).value();
    m.hops = 3;
    m.client = address("10.0.2.5");
    m.server = address("10.0.2.6");
    m.gateway = address("10.0.2.7");
    m.message = "no";
    const auto out = emitted(m);
    ASSERT_TRUE(out);
    EXPECT_GE(out->size(), kDhcpMinSize);
    EXPECT_EQ(DhcpMessage::parse(*out), m);
    EXPECT_TRUE(fails_when_short(out->size(), [&](Writer& w) { m.emit(w); }));
  }
}

TEST(Dhcp, ShortMessagesArePadded) {
  const auto out = emitted(DhcpMessage{});
  ASSERT_TRUE(out);
  EXPECT_EQ(out->size(), kDhcpMinSize);
  EXPECT_EQ(DhcpMessage::parse(*out), DhcpMessage{});
}

TEST(Dhcp, TruncationsAndChangedBytes) {
  for (const Buffer& bytes :
       {message_of(kDiscoverHead, kDiscoverOptions), message_of(kOfferHead, kOfferOptions)}) {
    const auto lengths = lengths_that_parse(bytes, &DhcpMessage::parse);
    ASSERT_FALSE(lengths.empty());
    // A missing end is forgiven; a cut within the fixed fields or an option is not.
    EXPECT_EQ(lengths.front(), kOptionsAt);
    EXPECT_LT(lengths.size(), 20U);
    parse_with_every_byte_changed(bytes, &DhcpMessage::parse);
  }
}

TEST(Dhcp, LongOptionsAreCutAndJoined) {
  DhcpMessage m;
  for (int i = 0; i < 40; ++i) m.domain_search.push_back("department" + std::to_string(i) + ".example.com");
  m.domain_name.assign(300, 'a');
  m.dns_servers.assign(100, address("10.0.2.3"));
  const auto out = emitted(m, 4096);
  ASSERT_TRUE(out);
  EXPECT_EQ(DhcpMessage::parse(*out), m);
  EXPECT_EQ(with_options("0f0161 1a0205dc 0f0162")->domain_name, "ab");
}

TEST(Dhcp, OptionsContinueInFileAndServerName) {
  Buffer bytes = message_of(kDiscoverHead, "63825363 340103 0f0161 ff");
  const Buffer in_file = hex("350101 0f0162 ff");
  const Buffer in_name = hex("0c0178 0f0163 ff");
  std::ranges::copy(in_file, bytes.begin() + kFileAt);
  std::ranges::copy(in_name, bytes.begin() + kServerNameAt);
  auto m = DhcpMessage::parse(bytes);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->type, DhcpType::discover);
  EXPECT_EQ(m->host_name, "x");
  EXPECT_EQ(m->domain_name, "abc") << "options, file, sname: RFC 3396 section 5";

  bytes[kOptionsAt + 2] = 1;  // the file alone
  m = DhcpMessage::parse(bytes);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->domain_name, "ab");
  bytes[kOptionsAt + 2] = 2;
  EXPECT_EQ(DhcpMessage::parse(bytes)->domain_name, "ac");
  bytes[kOptionsAt + 2] = 4;
  EXPECT_FALSE(DhcpMessage::parse(bytes));
  bytes[kOptionsAt + 2] = 1;
  bytes[kFileAt] = 0xfe;
  bytes[kFileAt + 1] = 127;  // past the field
  EXPECT_FALSE(DhcpMessage::parse(bytes));
}

TEST(Dhcp, WrongLengthsAreRefused) {
  EXPECT_TRUE(with_options("350101ff"));
  for (const char* options :
       {"35020101ff", "3500ff", "01030a0002ff", "03050a000202ffff", "0300ff", "060300ff", "1a01ffff",
        "33020001ff", "36050a00020200ff", "3903010203ff", "ff"}) {
    EXPECT_EQ(with_options(options).has_value(), std::string_view(options) == "ff") << options;
  }
}

TEST(Dhcp, OtherMessagesAreRefused) {
  const Buffer good = message_of(kDiscoverHead, kDiscoverOptions);
  for (const std::size_t at : {1U, 2U, 236U, 237U, 238U, 239U}) {
    Buffer bytes = good;
    bytes[at] ^= 2;
    EXPECT_FALSE(DhcpMessage::parse(bytes)) << at;
  }
}

TEST(Dhcp, TextMayEndWithZeros) {
  EXPECT_EQ(with_options("0c04 626f7800 ff")->host_name, "box");
}

TEST(Dhcp, UnknownOptionsAndPaddingAreSkipped) {
  EXPECT_EQ(with_options("00 00 e003010203 00 350103 ff 350104")->type, DhcpType::request);
}

TEST(Dhcp, DomainSearchPointersMustLeadBack) {
  EXPECT_EQ(with_options("7707 0161 00 0162c000")->domain_search, (std::vector<std::string>{"a", "b.a"}));
  EXPECT_FALSE(with_options("7702 c000"));           // to itself
  EXPECT_FALSE(with_options("7704 0161c002"));       // to itself behind a label
  EXPECT_FALSE(with_options("7706 0161c004 0162"));  // forward
  EXPECT_FALSE(with_options("7704 0161c000"));       // to where its own labels began
  EXPECT_FALSE(with_options("7702 0161"));           // without an end
}

TEST(Dhcp, NamesAndAddressesThatCannotBeEmitted) {
  DhcpMessage m;
  m.domain_search = {"a..b"};
  EXPECT_FALSE(emitted(m));
  m.domain_search.clear();
  m.routers = {address("fd00::1")};
  EXPECT_FALSE(emitted(m));
  m.routers.clear();
  m.yours = address("fd00::1");
  EXPECT_FALSE(emitted(m));
}

}  // namespace
}  // namespace sf::wire
