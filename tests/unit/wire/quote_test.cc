#include "wire/quote.hh"

#include <gtest/gtest.h>

#include <vector>

#include "wire/tcp.hh"
#include "wire/udp.hh"

namespace sf::wire {
namespace {

class QuoteTest : public testing::TestWithParam<bool> {
 protected:
  static bool v4() { return GetParam(); }
  static IpHeader header() {
    IpHeader header;
    header.source = v4() ? Address::v4(10, 0, 2, 100) : *Address::parse("fd00::100");
    header.destination = v4() ? Address::v4(198, 51, 100, 7) : *Address::parse("2001:db8::7");
    return header;
  }
  static std::vector<std::uint8_t> payload(std::size_t size) {
    std::vector<std::uint8_t> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 31 + 1);
    return bytes;
  }
};

INSTANTIATE_TEST_SUITE_P(Version, QuoteTest, testing::Bool(),
                         [](const auto& version) { return version.param ? "v4" : "v6"; });

TEST_P(QuoteTest, AShortDatagramIsWhole) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{100}}) {
    const auto data = payload(size);
    const Quote quote = Quote::udp(header(), 1000, 2000, data);
    const auto packet = parse_ip(quote.packet().whole);
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet->source, header().source);
    EXPECT_EQ(packet->destination, header().destination);
    EXPECT_TRUE(verify_transport_checksum(packet->source, packet->destination, 17, packet->payload));
    const auto datagram = UdpDatagram::parse(packet->payload);
    ASSERT_TRUE(datagram);
    EXPECT_EQ(datagram->source_port, 1000);
    EXPECT_EQ(datagram->destination_port, 2000);
    EXPECT_TRUE(std::equal(data.begin(), data.end(), datagram->payload.begin(), datagram->payload.end()));
    EXPECT_EQ(quote.packet().protocol, 17);
    EXPECT_EQ(quote.packet().payload.size(), packet->payload.size());
  }
}

TEST_P(QuoteTest, ALongDatagramIsCutButKeepsItsLengths) {
  for (const std::size_t size : {std::size_t{5000}, std::size_t{70000}}) {
    const auto data = payload(size);
    const Quote quote = Quote::udp(header(), 1000, 2000, data);
    const IpPacket packet = quote.packet();
    EXPECT_EQ(packet.whole.size(), icmp_quote_limit(v4()));
    EXPECT_FALSE(parse_ip(packet.whole));  // cut
    ASSERT_TRUE(parse_quoted_ip(packet.whole));
    const std::size_t headers = v4() ? 28 : 48;
    const std::size_t expected = std::min<std::size_t>(size + headers, 65535);
    EXPECT_EQ(load_be16(&packet.payload[4]), expected - headers + 8);
    EXPECT_EQ(load_be16(&packet.whole[v4() ? 2 : 4]), v4() ? expected : expected - 40);
    EXPECT_EQ(packet.payload[8], data[0]);
  }
}

TEST_P(QuoteTest, AnEchoRequest) {
  const auto data = payload(57);
  const Quote quote = Quote::echo_request(header(), 0xabcd, 12, data);
  const auto packet = parse_ip(quote.packet().whole);
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->protocol, v4() ? 1 : 58);
  EXPECT_TRUE(
      verify_transport_checksum(packet->source, packet->destination, packet->protocol, packet->payload));
  const auto message = IcmpMessage::parse(packet->payload);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->type, v4() ? 8 : 128);
  EXPECT_EQ(message->code, 0);
  EXPECT_EQ(message->echo_id(), 0xabcd);
  EXPECT_EQ(message->echo_sequence(), 12);
  EXPECT_EQ(message->body.size(), 57U);
}

}  // namespace
}  // namespace sf::wire
