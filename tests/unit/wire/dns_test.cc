#include "wire/dns.hh"

#include "unit/wire/support.hh"

namespace sf::wire {
namespace {

using namespace test;

// A query for www.Example.com AAAA with EDNS, made with scapy 2.5.
const char* const kQuery =
    "beef0120000100000000000103777777074578616d706c6503636f6d00001c000100002904d0000080000000";
// An answer to www.example.com A: a CNAME with a compressed name, and an address.
const char* const kAnswer =
    "beef 8180 0001 0002 0000 0000 0377777707 6578616d706c6503636f6d00 0001 0001"
    "c00c 0005 0001 0000000a 0006 03776562 c010  c02d 0001 0001 0000000a 0004 c0000250";

std::optional<std::string> name_of(std::string_view text, std::size_t at = 0, std::size_t first = 0) {
  const Exact exact(hex(text));
  return read_dns_name(exact.bytes(), at, first);
}

TEST(Dns, ParsesAQuery) {
  const Buffer bytes = hex(kQuery);
  const auto m = DnsMessage::parse(bytes);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->header, (DnsHeader{.id = 0xbeef,
                                  .recursion_desired = true,
                                  .authentic_data = true,
                                  .questions = 1,
                                  .additionals = 1}));
  EXPECT_EQ(m->question, (DnsQuestion{"www.Example.com", 28, 1}));
  EXPECT_EQ(m->question_end, 33U);
  EXPECT_EQ(dns_id(bytes), 0xbeef);
  const auto emit = [&](Writer& out) {
    m->header.emit(out);
    m->question.emit(out);
  };
  EXPECT_EQ(written(512, emit), Buffer(bytes.begin(), bytes.begin() + 33));
  EXPECT_TRUE(fails_when_short(33, emit));
}

TEST(Dns, ParsesAnAnswersCompressedNames) {
  const Buffer bytes = hex(kAnswer);
  const auto m = DnsMessage::parse(bytes);
  ASSERT_TRUE(m);
  EXPECT_TRUE(m->header.response);
  EXPECT_TRUE(m->header.recursion_available);
  EXPECT_EQ(m->header.answers, 2);
  std::size_t at = m->question_end;
  EXPECT_EQ(read_dns_name(bytes, at, kDnsHeaderSize), "www.example.com");
  EXPECT_EQ(at, m->question_end + 2);
  at += 10;
  EXPECT_EQ(read_dns_name(bytes, at, kDnsHeaderSize), "web.example.com");
  EXPECT_EQ(read_dns_name(bytes, at, kDnsHeaderSize), "web.example.com") << "a pointer to a pointer's name";
}

TEST(Dns, EveryFlagOfTheHeader) {
  for (unsigned flags = 0; flags <= 0xffff; ++flags) {
    if ((flags & 0x0040) != 0) continue;  // Z, reserved
    Buffer bytes = hex("0001 0000 0002 0003 0004 0005");
    store_be16(&bytes[2], static_cast<std::uint16_t>(flags));
    const auto header = DnsHeader::parse(bytes);
    ASSERT_TRUE(header);
    ASSERT_EQ(written(12, [&](Writer& out) { header->emit(out); }), bytes) << flags;
  }
  EXPECT_TRUE(lengths_that_parse(Buffer(12), &DnsHeader::parse).empty());
}

TEST(Dns, TruncationsAndChangedBytes) {
  for (const char* text : {kQuery, kAnswer}) {
    const Buffer bytes = hex(text);
    EXPECT_EQ(lengths_that_parse(bytes, &DnsMessage::parse).front(), 33U);
    parse_with_every_byte_changed(bytes, &DnsMessage::parse);
  }
  Buffer bytes = hex(kQuery);
  bytes[5] = 0;
  EXPECT_FALSE(DnsMessage::parse(bytes));
  bytes[5] = 2;
  EXPECT_FALSE(DnsMessage::parse(bytes));
}

TEST(Dns, QuestionsMatchInAnyCase) {
  const DnsQuestion question{"www.Example.com", 28, 1};
  EXPECT_TRUE(question.matches({"WWW.example.COM", 28, 1}));
  EXPECT_FALSE(question.matches({"www.example.com", 1, 1}));
  EXPECT_FALSE(question.matches({"www.example.com", 28, 3}));
  EXPECT_FALSE(question.matches({"www.example.co", 28, 1}));
  EXPECT_FALSE(question.matches({"www.example.com.net", 28, 1}));
  EXPECT_FALSE((DnsQuestion{"a@b", 1, 1}.matches({"a`b", 1, 1}))) << "only letters have a case";
}

TEST(Dns, PointersMustLeadStrictlyBack) {
  EXPECT_EQ(name_of("0161 00 0162 c000", 3), "b.a");
  EXPECT_FALSE(name_of("c000"));                     // itself
  EXPECT_FALSE(name_of("0161 c000"));                // a loop through its own labels
  EXPECT_FALSE(name_of("c002 c000", 0));             // forward
  EXPECT_FALSE(name_of("c002 c000", 2));             // back, then forward
  EXPECT_EQ(name_of("00 c000 c001 c003", 5), ".");   // each one further back
  EXPECT_FALSE(name_of("0161 00 0162 c000", 3, 1));  // below the first allowed offset
  EXPECT_FALSE(name_of("c0"));
  EXPECT_FALSE(name_of("40 61 00"));  // reserved label types
  EXPECT_FALSE(name_of("80 61 00"));
  // A question's name has nothing before it but the header.
  EXPECT_FALSE(DnsMessage::parse(hex("0001 0100 0001 0000 0000 0000 c000 0001 0001")));
  EXPECT_FALSE(DnsMessage::parse(hex("0001 0100 0001 0000 0000 0000 c00c 0001 0001")));
}

TEST(Dns, NamesAreBounded) {
  std::string labels;
  for (int i = 0; i < 3; ++i) labels += "3f" + std::string(126, '6');
  const std::string longest = labels + "3d" + std::string(122, '6') + "00";  // 3 * 64 + 62 + 1 = 255
  ASSERT_TRUE(name_of(longest));
  EXPECT_FALSE(name_of(labels + "3e" + std::string(124, '6') + "00"));
  const std::string name = *name_of(longest);
  EXPECT_EQ(written(300, [&](Writer& out) { write_dns_name(out, name); }), hex(longest));
  EXPECT_FALSE(written(300, [&](Writer& out) { write_dns_name(out, name + "f"); }));
  EXPECT_FALSE(written(300, [&](Writer& out) { write_dns_name(out, std::string(64, 'a')); }));
  EXPECT_TRUE(written(300, [&](Writer& out) { write_dns_name(out, std::string(63, 'a')); }));
  EXPECT_FALSE(name_of("40" + std::string(128, '6') + "00"));
}

TEST(Dns, NamesAsText) {
  const auto wire = [](std::string_view name) {
    const auto bytes = written(300, [&](Writer& out) { write_dns_name(out, name); });
    return bytes ? to_hex(*bytes) : "refused";
  };
  EXPECT_EQ(wire("a.bc"), "016102626300");
  EXPECT_EQ(wire("a.bc."), "016102626300");
  EXPECT_EQ(wire("."), "00");
  EXPECT_EQ(wire(R"(a\.b)"), "03612e6200");
  EXPECT_EQ(wire(R"(\009\255\\)"), "0309ff5c00");
  for (const char* bad : {"", "..", ".a", "a..b", R"(\)", R"(\25)", R"(\256)", R"(\2x5)"}) {
    EXPECT_EQ(wire(bad), "refused") << bad;
  }
  EXPECT_EQ(name_of("00"), ".");
  for (unsigned byte = 0; byte < 256; ++byte) {
    const Buffer label{1, static_cast<std::uint8_t>(byte), 0};
    std::size_t at = 0;
    const auto text = read_dns_name(label, at, 0);
    ASSERT_TRUE(text);
    EXPECT_EQ(wire(*text), to_hex(label));
    for (const char c : *text) EXPECT_TRUE(c > 0x20 && c < 0x7f) << byte;
  }
}

TEST(Dns, ErrorRepliesEchoTheQuestion) {
  const Buffer query = hex(kQuery);
  const auto reply = written(512, [&](Writer& out) { emit_dns_error(out, query, DnsRcode::server_failure); });
  ASSERT_TRUE(reply);
  const auto m = DnsMessage::parse(*reply);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->header, (DnsHeader{.id = 0xbeef,
                                  .response = true,
                                  .recursion_desired = true,
                                  .recursion_available = true,
                                  .rcode = DnsRcode::server_failure,
                                  .questions = 1}));
  EXPECT_EQ(m->question, (DnsQuestion{"www.Example.com", 28, 1}));
  EXPECT_EQ(m->question_end, reply->size());

  // A question that cannot be read is left out.
  const Bytes cut = Bytes{query}.first(20);
  const auto short_reply =
      written(512, [&](Writer& out) { emit_dns_error(out, cut, DnsRcode::format_error); });
  ASSERT_TRUE(short_reply);
  EXPECT_EQ(to_hex(*short_reply), "beef81810000000000000000");
  EXPECT_FALSE(
      written(512, [&](Writer& out) { emit_dns_error(out, cut.first(11), DnsRcode::format_error); }));
}

TEST(Dns, TruncatedReplies) {
  for (const char* text : {kQuery, kAnswer}) {
    const Buffer message = hex(text);
    const auto reply = written(512, [&](Writer& out) { emit_dns_truncated(out, message); });
    ASSERT_TRUE(reply);
    const auto m = DnsMessage::parse(*reply);
    ASSERT_TRUE(m);
    EXPECT_TRUE(m->header.truncated);
    EXPECT_TRUE(m->header.response);
    EXPECT_EQ(m->header.id, 0xbeef);
    EXPECT_EQ(m->header.answers + m->header.authorities + m->header.additionals, 0);
    EXPECT_EQ(m->question, DnsMessage::parse(message)->question);
    EXPECT_EQ(m->question_end, reply->size());
    EXPECT_FALSE(written(512, [&](Writer& out) { emit_dns_truncated(out, Bytes{message}.first(32)); }));
  }
}

TEST(Dns, IdentificationIsPatchedInPlace) {
  Buffer bytes = hex(kQuery);
  set_dns_id(bytes, 0x1234);
  EXPECT_EQ(dns_id(bytes), 0x1234);
  EXPECT_EQ(to_hex(Bytes{bytes}.subspan(2)), to_hex(Bytes{hex(kQuery)}.subspan(2)));
}

}  // namespace
}  // namespace sf::wire
