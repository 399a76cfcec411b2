#include "unit/link/to_guest_fixture.hh"

namespace sf::link {
namespace {

class ToGuestIcmp : public ToGuestTest {
 protected:
  static Address router() { return v4() ? Address::v4(10, 0, 2, 2) : *Address::parse("fd00::2"); }
  static Address guest() { return header().destination; }
  static std::uint8_t icmp() { return v4() ? 1 : 58; }

  // A packet from the guest, from the IP header on.
  static std::vector<std::uint8_t> offending(std::uint8_t protocol, const Address& destination,
                                             std::size_t size, std::uint8_t first_byte = 0,
                                             std::optional<wire::Fragment> fragment = std::nullopt) {
    wire::IpHeader ip;
    ip.source = guest();
    ip.destination = destination;
    ip.protocol = protocol;
    ip.fragment = fragment;
    std::vector<std::uint8_t> bytes(ip.size() + size);
    Writer out(bytes);
    ip.emit(out, size);
    out.u8(first_byte);
    out.bytes(pattern(size - 1));
    EXPECT_TRUE(out.ok());
    return bytes;
  }
  Status send(const std::vector<std::uint8_t>& bytes, wire::IcmpError error, std::uint32_t mtu = 0) {
    const auto quoted = wire::parse_ip(bytes);
    EXPECT_TRUE(quoted);
    return to_guest_.send_icmp_error(kGuestMac, router(), *quoted, error, mtu);
  }

  FakeLink link_{kAllFeatures};
  ToGuest to_guest_{link_, kGatewayMac, kMtu};
};

INSTANTIATE_TEST_SUITE_P(Version, ToGuestIcmp, testing::Bool(), version_name);

TEST_P(ToGuestIcmp, QuotesTheOffendingPacket) {
  for (const std::size_t size : {std::size_t{8}, std::size_t{3000}}) {
    link_.sent.clear();
    const auto bytes = offending(17, header().source, size);
    ASSERT_EQ(send(bytes, wire::IcmpError::port_unreachable), Status::ok);
    ASSERT_EQ(link_.sent.size(), 1U);
    const auto packet = wire::parse_ip(drop(link_.sent[0].bytes, 14));
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet->source, router());
    EXPECT_EQ(packet->destination, guest());
    EXPECT_EQ(packet->protocol, icmp());
    EXPECT_LE(packet->whole.size(), v4() ? 576U : 1280U);
    expect_checksum(*packet);
    const auto message = wire::IcmpMessage::parse(packet->payload);
    ASSERT_TRUE(message);
    EXPECT_EQ(message->type, v4() ? 3 : 1);
    EXPECT_EQ(message->code, v4() ? 3 : 4);
    EXPECT_EQ(copy(message->body), copy(take(bytes, message->body.size())));
    if (size == 8) {
      EXPECT_EQ(message->body.size(), bytes.size());
    }
  }
}

TEST_P(ToGuestIcmp, TellsTheMtu) {
  ASSERT_EQ(send(offending(17, header().source, 100), wire::IcmpError::packet_too_big, 1400), Status::ok);
  const auto message = wire::IcmpMessage::parse(wire::parse_ip(drop(link_.sent.at(0).bytes, 14))->payload);
  EXPECT_EQ(message->type, v4() ? 3 : 2);
  EXPECT_EQ(message->rest, 1400U);
}

TEST_P(ToGuestIcmp, IsSilentAboutWhatMustNotBeAnswered) {
  const auto error = wire::IcmpError::host_unreachable;
  const Address group = v4() ? Address::v4(224, 0, 0, 251) : *Address::parse("ff02::fb");
  EXPECT_EQ(send(offending(17, group, 20), error), Status::ok);
  EXPECT_EQ(send(offending(17, header().source, 16, 0, wire::Fragment{1, 1480, true}), error), Status::ok);
  for (const std::uint8_t type :
       v4() ? std::vector<std::uint8_t>{3, 4, 5, 11, 12} : std::vector<std::uint8_t>{1, 3, 137}) {
    EXPECT_EQ(send(offending(icmp(), header().source, 20, type), error), Status::ok);
  }
  EXPECT_EQ(link_.attempts, 0);
  // While these are answered.
  EXPECT_EQ(send(offending(17, header().source, 16, 0, wire::Fragment{1, 0, true}), error), Status::ok);
  EXPECT_EQ(send(offending(icmp(), header().source, 20, v4() ? 8 : 128), error), Status::ok);
  EXPECT_EQ(link_.attempts, 2);
}

TEST_P(ToGuestIcmp, SendsUpperLayerPacketsWholeOrFragmented) {
  wire::IpHeader ip = header();
  ip.protocol = icmp();
  const auto fits = pattern(kMtu - ip_size());
  ASSERT_EQ(to_guest_.send_ip(kGuestMac, ip, fits), Status::ok);
  ASSERT_EQ(link_.sent.size(), 1U);
  EXPECT_EQ(copy(packet_of(link_.sent[0], kMtu).payload), fits);
  link_.sent.clear();
  const auto larger = pattern(kMtu - ip_size() + 1);
  ASSERT_EQ(to_guest_.send_ip(kGuestMac, ip, larger), Status::ok);
  ASSERT_EQ(link_.sent.size(), 2U);
  auto all = copy(packet_of(link_.sent[0], kMtu).payload);
  const auto rest = packet_of(link_.sent[1], kMtu);
  EXPECT_EQ(rest.protocol, icmp());
  all.insert(all.end(), rest.payload.begin(), rest.payload.end());
  EXPECT_EQ(all, larger);
}

TEST_P(ToGuestIcmp, SendsBareFrames) {
  const auto body = pattern(28);
  ASSERT_EQ(to_guest_.send_frame(kGuestMac, wire::EtherType::arp, body), Status::ok);
  ASSERT_EQ(link_.sent.size(), 1U);
  const auto ethernet = wire::EthernetHeader::parse(link_.sent[0].bytes);
  EXPECT_EQ(ethernet->type, 0x0806);
  EXPECT_EQ(ethernet->source, kGatewayMac);
  EXPECT_EQ(copy(drop(link_.sent[0].bytes, 14)), body);
}

}  // namespace
}  // namespace sf::link
