// What the tests of ToGuest share: addresses, and looking into the frames that were sent. Every frame is
// checked for its Ethernet header, MTU and IP header as it is taken apart.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "link/to_guest.hh"
#include "unit/link/fake_link.hh"
#include "unit/support/version_name.hh"
#include "wire/checksum.hh"
#include "wire/udp.hh"

namespace sf::link {

inline constexpr MacAddress kGatewayMac{{0x52, 0x55, 10, 0, 2, 2}};
inline constexpr MacAddress kGuestMac{{0x02, 0, 0, 0, 0, 1}};
inline constexpr std::uint32_t kMtu = 1500;

// Parameterized by IP version: true for IPv4.
class ToGuestTest : public testing::TestWithParam<bool> {
 protected:
  static bool v4() { return GetParam(); }
  static std::size_t ip_size() { return v4() ? 20 : 40; }

  static wire::IpHeader header() {
    wire::IpHeader ip;
    ip.source = v4() ? Address::v4(198, 51, 100, 7) : *Address::parse("2001:db8::7");
    ip.destination = v4() ? Address::v4(10, 0, 2, 100) : *Address::parse("fd00::100");
    ip.ttl = 63;
    return ip;
  }

  // `frame` as an IP packet. A view into the frame.
  static wire::IpPacket packet_of(const SentFrame& frame, std::uint32_t mtu) {
    const auto ethernet = wire::EthernetHeader::parse(frame.bytes);
    EXPECT_TRUE(ethernet);
    EXPECT_EQ(ethernet->source, kGatewayMac);
    EXPECT_EQ(ethernet->destination, kGuestMac);
    EXPECT_EQ(ethernet->type, v4() ? 0x0800 : 0x86dd);
    const Bytes bytes = drop(frame.bytes, wire::kEthernetHeaderSize);
    if (frame.offload.gso == wire::GsoType::none) {
      EXPECT_LE(bytes.size(), mtu);
    }
    const auto packet = wire::parse_ip(bytes);
    EXPECT_TRUE(packet);
    if (!packet) return {};
    EXPECT_EQ(packet->whole.size(), bytes.size());
    EXPECT_EQ(packet->source, header().source);
    EXPECT_EQ(packet->destination, header().destination);
    EXPECT_EQ(packet->ttl, 63);
    return *packet;
  }
  static void expect_checksum(const wire::IpPacket& packet) {
    EXPECT_TRUE(
        wire::verify_transport_checksum(packet.source, packet.destination, packet.protocol, packet.payload));
  }
  // The checksum field holds what CHECKSUM_PARTIAL asks for, and the offload points to it.
  static void expect_partial(const SentFrame& frame, const wire::IpPacket& packet, std::size_t offset) {
    EXPECT_TRUE(frame.offload.checksum_needed);
    EXPECT_EQ(frame.offload.checksum_start, wire::kEthernetHeaderSize + ip_size());
    EXPECT_EQ(frame.offload.checksum_offset, offset);
    const auto pseudo = wire::pseudo_header_sum(packet.source, packet.destination, packet.protocol,
                                                static_cast<std::uint32_t>(packet.payload.size()));
    EXPECT_EQ(load_be16(&packet.payload[offset]), wire::checksum_fold(pseudo));
  }
  static std::vector<std::uint8_t> copy(Bytes bytes) { return {bytes.begin(), bytes.end()}; }
};

}  // namespace sf::link
