#include "wire/dhcpv6.hh"

#include "unit/wire/support.hh"

namespace sf::wire {
namespace {

using namespace test;

// Made with scapy 2.5.
const char* const kInformationRequest =
    "0babcdef0001000a0003000152540012345600080002009600060006001700180020";
const char* const kReply =
    "07abcdef0001000a000300015254001234560002000a0003000152550a00020200170010fd0000000000000000000000"
    "000000030018001b076578616d706c6503636f6d0004636f7270076578616d706c6500000d000400006f6b0020000400"
    "015180";
const char* const kSolicit =
    "010000010001000a00030001525400123456000300281234567800000e100000151800050018fd000000000000000000"
    "0000000000050000000000000000000e0000";

const Buffer kClient = duid_from(MacAddress{{0x52, 0x54, 0x00, 0x12, 0x34, 0x56}});

std::optional<Buffer> emitted(const Dhcpv6Message& message, std::size_t room = 1500) {
  return written(room, [&](Writer& out) { message.emit(out); });
}

TEST(Dhcpv6, InformationRequest) {
  const Buffer bytes = hex(kInformationRequest);
  const auto m = Dhcpv6Message::parse(bytes);
  ASSERT_TRUE(m);
  Dhcpv6Message expected;
  expected.type = Dhcpv6Type::information_request;
  expected.transaction = 0xabcdef;
  expected.client_id = kClient;
  expected.elapsed_hundredths = 150;
  expected.requested = {23, 24, 32};
  EXPECT_EQ(*m, expected);
  EXPECT_EQ(Dhcpv6Message::parse(emitted(*m).value()), m);
}

TEST(Dhcpv6, Reply) {
  const auto m = Dhcpv6Message::parse(hex(kReply));
  ASSERT_TRUE(m);
  EXPECT_EQ(m->type, Dhcpv6Type::reply);
  EXPECT_EQ(m->client_id, kClient);
  EXPECT_EQ(m->server_id, duid_from(mac("52:55:0a:00:02:02")));
  EXPECT_EQ(m->dns_servers, std::vector{address("fd00::3")});
  EXPECT_EQ(m->domain_search, (std::vector<std::string>{"example.com", "corp.example"}));
  EXPECT_EQ(m->status, (Dhcpv6StatusCode{Dhcpv6Status::success, "ok"}));
  EXPECT_EQ(m->information_refresh, std::chrono::seconds{86400});
  const auto out = emitted(*m);
  ASSERT_TRUE(out);
  EXPECT_EQ(Dhcpv6Message::parse(*out), m);
  EXPECT_TRUE(fails_when_short(out->size(), [&](Writer& w) { m->emit(w); }));
}

TEST(Dhcpv6, SolicitKeepsItsAssociations) {
  const auto m = Dhcpv6Message::parse(hex(kSolicit));
  ASSERT_TRUE(m);
  EXPECT_EQ(m->type, Dhcpv6Type::solicit);
  EXPECT_TRUE(m->rapid_commit);
  ASSERT_EQ(m->associations.size(), 1U);
  EXPECT_EQ(m->associations[0], (IdentityAssociation{dhcpv6_option::kIaNa, 0x12345678, std::nullopt}));
}

TEST(Dhcpv6, AssociationsRoundTrip) {
  Dhcpv6Message m;
  m.type = Dhcpv6Type::advertise;
  m.associations = {{dhcpv6_option::kIaNa, 1, Dhcpv6StatusCode{Dhcpv6Status::no_addresses, "none here"}},
                    {dhcpv6_option::kIaTa, 2, std::nullopt},
                    {dhcpv6_option::kIaPd, 3, Dhcpv6StatusCode{Dhcpv6Status::no_prefixes, ""}}};
  EXPECT_EQ(Dhcpv6Message::parse(emitted(m).value()), m);
}

TEST(Dhcpv6, TruncationsAndChangedBytes) {
  for (const char* text : {kInformationRequest, kReply, kSolicit}) {
    const Buffer bytes = hex(text);
    const auto lengths = lengths_that_parse(bytes, &Dhcpv6Message::parse);
    ASSERT_FALSE(lengths.empty());
    EXPECT_EQ(lengths.front(), 4U);
    EXPECT_LE(lengths.size(), 7U) << "only between options";
    parse_with_every_byte_changed(bytes, &Dhcpv6Message::parse);
  }
}

TEST(Dhcpv6, MalformedOptionsAreRefused) {
  const auto parses = [](const std::string& options) {
    const Exact exact(hex("0b000001" + options));
    return Dhcpv6Message::parse(exact.bytes()).has_value();
  };
  EXPECT_TRUE(parses(""));
  EXPECT_TRUE(parses("0000 0001 ff"));     // unknown
  EXPECT_FALSE(parses("0001 0002 0001"));  // a DUID of a type alone
  EXPECT_TRUE(parses("0001 0003 000101"));
  EXPECT_FALSE(parses("0006 0003 000102"));  // half an option number
  EXPECT_FALSE(parses("0008 0001 00"));
  EXPECT_FALSE(parses("000d 0001 00"));
  EXPECT_FALSE(parses("000e 0001 00"));
  EXPECT_FALSE(parses("0017 000f " + std::string(30, '0')));
  EXPECT_FALSE(parses("0018 0002 0161"));              // a name without an end
  EXPECT_FALSE(parses("0018 0007 016100 0162 c000"));  // compression is not allowed (RFC 8415 section 10)
  EXPECT_FALSE(parses("0020 0003 000001"));
  EXPECT_FALSE(parses("0003 000b 0000000100000000000000"));
  EXPECT_FALSE(parses("0003 0010 00000001 00000000 00000000 000d0001"));  // an inner option past the end
  EXPECT_TRUE(parses("0004 0004 00000001"));
  EXPECT_FALSE(parses("0001 0082 " + std::string(2 * 0x81, '1')));  // one byte short
  EXPECT_TRUE(parses("0001 0082 " + std::string(2 * 0x82, '1')));
  EXPECT_FALSE(parses("0001 0083 " + std::string(2 * 0x83, '1')));  // longer than a DUID may be
}

TEST(Dhcpv6, RelayMessagesAreRefused) {
  EXPECT_FALSE(Dhcpv6Message::parse(hex("0c000001")));
  EXPECT_FALSE(Dhcpv6Message::parse(hex("0d000001")));
}

TEST(Dhcpv6, DuidOfAMac) {
  EXPECT_EQ(to_hex(kClient), "00030001525400123456");
}

TEST(Dhcpv6, NamesThatCannotBeEmitted) {
  Dhcpv6Message m;
  m.domain_search = {""};
  EXPECT_FALSE(emitted(m));
}

}  // namespace
}  // namespace sf::wire
