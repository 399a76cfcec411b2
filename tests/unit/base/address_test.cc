#include "base/address.hh"

#include <gtest/gtest.h>

namespace sf {
namespace {

std::string canonical(std::string_view text) {
  const auto address = Address::parse(text);
  return address ? address->to_string() : "refused";
}

// RFC 5952 sections 2 and 4: many spellings, one text.
TEST(Address, CanonicalText) {
  EXPECT_EQ(canonical("2001:db8:0:0:1:0:0:1"), "2001:db8::1:0:0:1");
  EXPECT_EQ(canonical("2001:0db8:0:0:1:0:0:1"), "2001:db8::1:0:0:1");
  EXPECT_EQ(canonical("2001:db8::1:0:0:1"), "2001:db8::1:0:0:1");
  EXPECT_EQ(canonical("2001:db8::0:1:0:0:1"), "2001:db8::1:0:0:1");
  EXPECT_EQ(canonical("2001:DB8:0:0:1::1"), "2001:db8::1:0:0:1");
  EXPECT_EQ(canonical("2001:db8:0:1:1:1:1:1"), "2001:db8:0:1:1:1:1:1") << "one group alone is never ::";
  EXPECT_EQ(canonical("2001:db8::1:1:1:1:1"), "2001:db8:0:1:1:1:1:1");
  EXPECT_EQ(canonical("2001:0:0:1:0:0:0:1"), "2001:0:0:1::1") << "the longest run";
  EXPECT_EQ(canonical("2001:db8:0:0:0:0:2:1"), "2001:db8::2:1");
  EXPECT_EQ(canonical("0:0:0:0:0:0:0:0"), "::");
  EXPECT_EQ(canonical("0:0:0:0:0:0:0:1"), "::1");
  EXPECT_EQ(canonical("1:0:0:0:0:0:0:0"), "1::");
  EXPECT_EQ(canonical("fe80:0:0:0:0:0:0:0a"), "fe80::a");
  EXPECT_EQ(canonical("1:2:3:4:5:6:7:8"), "1:2:3:4:5:6:7:8");
  EXPECT_EQ(canonical("64:ff9b::192.0.2.33"), "64:ff9b::c000:221");
  EXPECT_EQ(canonical("1:2:3:4:5:6:192.0.2.33"), "1:2:3:4:5:6:c000:221");
  EXPECT_EQ(canonical("::ffff:192.0.2.33"), "192.0.2.33");
  EXPECT_EQ(canonical("192.0.2.33"), "192.0.2.33");
  EXPECT_EQ(canonical("0.0.0.0"), "0.0.0.0");
  EXPECT_EQ(canonical("255.255.255.255"), "255.255.255.255");
}

TEST(Address, MalformedTextIsRefused) {
  for (const char* text : {"",
                           ":",
                           ":::",
                           "1",
                           "1.2.3",
                           "1.2.3.4.",
                           ".1.2.3",
                           "1.2.3.4.5",
                           "1..2.3",
                           "256.1.1.1",
                           "1.2.3.1000",
                           "01.2.3.4",
                           "1.2.3.04",
                           "1.2.3.-4",
                           "1.2.3.4 ",
                           " 1.2.3.4",
                           "a.b.c.d",
                           "1:2:3:4:5:6:7",
                           "1:2:3:4:5:6:7:8:9",
                           "1:2:3:4:5:6:7:8:",
                           ":1:2:3:4:5:6:7:8",
                           "1::2::3",
                           "12345::",
                           "g::",
                           "1:2:3:4:5:6:7:1.2.3.4",
                           "::1.2.3",
                           "1.2.3.4::",
                           "::1.2.3.4:5",
                           "1:2:3:4::5:6:7:8",
                           "fe80::1%eth0",
                           "[::1]",
                           "::1/64",
                           "1:::2",
                           "::1:",
                           ":::1",
                           "-1::",
                           "0x1::"}) {
    EXPECT_EQ(canonical(text), "refused") << text;
  }
}

TEST(Address, TextRoundTrips) {
  // Every pattern of zero and other groups.
  for (unsigned pattern = 0; pattern < 256; ++pattern) {
    std::array<std::uint8_t, 16> bytes{};
    for (unsigned group = 0; group < 8; ++group) {
      if ((pattern >> group & 1) != 0)
        store_be16(&bytes[2 * group], static_cast<std::uint16_t>(0xa0 + group));
    }
    const Address address = Address::v6(bytes);
    EXPECT_EQ(Address::parse(address.to_string()), address) << address.to_string();
    EXPECT_EQ(address.to_string().find(":::"), std::string::npos);
  }
}

TEST(Address, Families) {
  const Address v4 = Address::v4(10, 0, 2, 100);
  EXPECT_TRUE(v4.is_v4());
  EXPECT_FALSE(v4.is_v6());
  EXPECT_EQ(v4.to_v4(), 0x0a000264U);
  EXPECT_EQ(v4.wire_bytes().size(), 4U);
  EXPECT_EQ(v4.wire_bytes()[3], 100);
  const Address v6 = Address::parse("fd00::1").value();
  EXPECT_TRUE(v6.is_v6());
  EXPECT_EQ(v6.wire_bytes().size(), 16U);
  EXPECT_TRUE(Address().is_v6());
  EXPECT_NE(Address(), Address::v4(0));
}

TEST(Address, Kinds) {
  const auto a = [](const char* text) { return Address::parse(text).value(); };
  EXPECT_TRUE(a("::").is_unspecified());
  EXPECT_TRUE(a("0.0.0.0").is_unspecified());
  EXPECT_FALSE(a("::1").is_unspecified());
  EXPECT_TRUE(a("::1").is_loopback());
  EXPECT_FALSE(a("::2").is_loopback());
  EXPECT_TRUE(a("127.255.0.1").is_loopback());
  EXPECT_FALSE(a("128.0.0.1").is_loopback());
  EXPECT_TRUE(a("224.0.0.1").is_multicast());
  EXPECT_TRUE(a("239.255.255.255").is_multicast());
  EXPECT_FALSE(a("240.0.0.1").is_multicast());
  EXPECT_TRUE(a("ff02::1").is_multicast());
  EXPECT_FALSE(a("fe80::1").is_multicast());
  EXPECT_TRUE(a("255.255.255.255").is_broadcast());
  EXPECT_FALSE(a("10.0.2.255").is_broadcast());
  EXPECT_TRUE(a("169.254.1.1").is_link_local());
  EXPECT_FALSE(a("169.255.1.1").is_link_local());
  EXPECT_TRUE(a("fe80::1").is_link_local());
  EXPECT_TRUE(a("febf::1").is_link_local());
  EXPECT_FALSE(a("fec0::1").is_link_local());
}

TEST(Address, ScopeOfALinksAddress) {
  const Address plain = Address::parse("fe80::1").value();
  const Address scoped = plain.with_scope(7);
  EXPECT_EQ(plain.scope(), 0U);
  EXPECT_EQ(scoped.scope(), 7U);
  EXPECT_NE(scoped, plain);
  EXPECT_EQ(scoped.with_scope(0), plain);
  EXPECT_TRUE(scoped.is_link_local());
  EXPECT_EQ(scoped.to_string(), "fe80::1");
  for (const char* text : {"2001:db8:0:7::1", "169.254.1.1", "::1"}) {
    const Address other = Address::parse(text).value();
    EXPECT_EQ(other.scope(), 0U) << text;
    EXPECT_EQ(other.with_scope(7), other) << text;
  }
}

TEST(Address, PlusCountsInTheLast32Bits) {
  EXPECT_EQ(Address::v4(10, 0, 2, 255).plus(1), Address::v4(10, 0, 3, 0));
  EXPECT_EQ(Address::v4(255, 255, 255, 255).plus(1), Address::v4(0));
  EXPECT_EQ(Address::parse("fd00::ffff")->plus(1).to_string(), "fd00::1:0");
}

TEST(Endpoint, Text) {
  EXPECT_EQ((Endpoint{Address::v4(192, 0, 2, 1), 80}.to_string()), "192.0.2.1:80");
  EXPECT_EQ((Endpoint{Address::parse("2001:db8::1").value(), 443}.to_string()), "[2001:db8::1]:443");
}

TEST(Prefix, Parses) {
  for (const char* text : {"10.0.2.0/24", "0.0.0.0/0", "10.0.2.1/32", "10.0.2.128/25", "fd00::/64", "::/0",
                           "2001:db8::1/128", "2001:db8:8000::/33"}) {
    const auto prefix = Prefix::parse(text);
    ASSERT_TRUE(prefix) << text;
    EXPECT_EQ(prefix->to_string(), text);
  }
  for (const char* text :
       {"10.0.2.0", "10.0.2.1/24", "10.0.2.0/33", "10.0.2.0/", "10.0.2.0/-1", "10.0.2.0/024x", "10.0.2.64/25",
        "fd00::1/64", "fd00::/129", "2001:db8:8000::/32", "/24", "x/24", "10.0.2.0/24/24"}) {
    EXPECT_FALSE(Prefix::parse(text)) << text;
  }
}

TEST(Prefix, Contains) {
  const auto contains = [](const char* prefix, const char* address) {
    return Prefix::parse(prefix)->contains(Address::parse(address).value());
  };
  EXPECT_TRUE(contains("10.0.2.0/24", "10.0.2.255"));
  EXPECT_FALSE(contains("10.0.2.0/24", "10.0.3.0"));
  EXPECT_TRUE(contains("10.0.2.128/25", "10.0.2.200"));
  EXPECT_FALSE(contains("10.0.2.128/25", "10.0.2.127"));
  EXPECT_TRUE(contains("0.0.0.0/0", "255.255.255.255"));
  EXPECT_FALSE(contains("0.0.0.0/0", "::1"));
  EXPECT_FALSE(contains("::/0", "10.0.2.1")) << "families never mix";
  EXPECT_TRUE(contains("::/0", "::1"));
  EXPECT_TRUE(contains("fd00::/64", "fd00::ffff:ffff:ffff:ffff"));
  EXPECT_FALSE(contains("fd00::/64", "fd00:0:0:1::"));
  EXPECT_TRUE(contains("10.0.2.1/32", "10.0.2.1"));
  EXPECT_FALSE(contains("10.0.2.1/32", "10.0.2.0"));
}

TEST(Prefix, MaskAndBroadcast) {
  EXPECT_EQ(Prefix::parse("10.0.2.0/24")->v4_mask(), 0xffffff00U);
  EXPECT_EQ(Prefix::parse("0.0.0.0/0")->v4_mask(), 0U);
  EXPECT_EQ(Prefix::parse("10.0.2.1/32")->v4_mask(), 0xffffffffU);
  EXPECT_EQ(Prefix::parse("10.0.2.128/25")->v4_broadcast(), Address::v4(10, 0, 2, 255));
}

TEST(Mac, ParsesAndPrints) {
  const auto mac = MacAddress::parse("52:55:0A:00:02:02");
  ASSERT_TRUE(mac);
  EXPECT_EQ(mac->to_string(), "52:55:0a:00:02:02");
  EXPECT_FALSE(mac->is_multicast());
  EXPECT_TRUE(MacAddress::parse("01:00:5e:00:00:01")->is_multicast());
  EXPECT_TRUE(kBroadcastMac.is_multicast());
  for (const char* text :
       {"", "52:55:0a:00:02", "52:55:0a:00:02:02:", "52-55-0a-00-02-02", "52:55:0a:00:02:0g",
        "5255:0a:00:02:02:", "52:55:0a:00:02:2 ", "525:5:0a:00:02:02"}) {
    EXPECT_FALSE(MacAddress::parse(text)) << text;
  }
}

TEST(Mac, MakesALinkLocalAddress) {
  EXPECT_EQ(link_local_from(*MacAddress::parse("52:54:00:12:34:56")).to_string(), "fe80::5054:ff:fe12:3456");
}

}  // namespace
}  // namespace sf
