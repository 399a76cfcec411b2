// Fragments of both IP versions, as they come from wire::parse_ip.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <vector>

#include "engine/reassembly.hh"
#include "unit/support/version_name.hh"

namespace sf::engine {

using OwnedBytes = std::vector<std::uint8_t>;

inline OwnedBytes copy(Bytes bytes) {
  return {bytes.begin(), bytes.end()};
}

// Parameterized by IP version: true for IPv4.
class ReassemblyTest : public testing::TestWithParam<bool> {
 protected:
  static constexpr Time kStart{1000s};
  static constexpr MacAddress kMac{{2, 0, 0, 0, 0, 1}};
  static constexpr std::uint8_t kUdp = 17;
  static constexpr std::uint8_t kTcp = 6;

  static bool v4() { return GetParam(); }
  static Address source() { return *Address::parse(v4() ? "10.0.2.100" : "fd00::100"); }
  static Address destination() { return *Address::parse(v4() ? "198.51.100.7" : "2001:db8:1::7"); }
  // Payload of the largest datagram.
  static std::size_t largest() { return v4() ? 65515 : 65535; }

  static OwnedBytes pattern(std::size_t size) {
    OwnedBytes bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 7 + (i >> 8));
    return bytes;
  }
  static wire::IpHeader header(std::uint32_t id = 1, std::uint8_t protocol = kUdp) {
    wire::IpHeader header;
    header.source = source();
    header.destination = destination();
    header.protocol = protocol;
    header.ttl = 9;
    header.fragment = wire::Fragment{id, 0, false};
    return header;
  }
  // A packet as it would be parsed, without the parser's own checks. The view lasts as long as the test.
  wire::IpPacket fragment(const wire::IpHeader& header, std::size_t offset, Bytes payload, bool more) {
    OwnedBytes& bytes = packets_.emplace_back(copy(payload));
    wire::IpPacket packet;
    packet.source = header.source;
    packet.destination = header.destination;
    packet.protocol = header.protocol;
    packet.ttl = header.ttl;
    packet.traffic_class = header.traffic_class;
    packet.fragment = wire::Fragment{header.fragment->id, static_cast<std::uint32_t>(offset), more};
    packet.payload = bytes;
    packet.whole = bytes;
    return packet;
  }
  // Bytes [begin, end) of `datagram`, more to come unless that is its end.
  wire::IpPacket piece(const OwnedBytes& datagram, std::size_t begin, std::size_t end, std::uint32_t id = 1) {
    return fragment(header(id), begin, Bytes{datagram}.subspan(begin, end - begin), end != datagram.size());
  }
  Reassembly::Outcome add(const wire::IpPacket& packet, Time now = kStart) {
    return reassembly_.add(packet, kMac, now);
  }
  // Neither complete nor wrong.
  static bool is_quiet(const Reassembly::Outcome& outcome) { return !outcome.packet && !outcome.drop; }
  void expect_complete(const Reassembly::Outcome& outcome, const OwnedBytes& datagram) {
    EXPECT_FALSE(outcome.drop);
    ASSERT_TRUE(outcome.packet);
    EXPECT_EQ(copy(outcome.packet->payload), datagram);
    EXPECT_FALSE(outcome.packet->fragment);
    const auto parsed = wire::parse_ip(outcome.packet->whole);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->source, source());
    EXPECT_EQ(parsed->destination, destination());
    EXPECT_EQ(copy(parsed->payload), datagram);
    EXPECT_EQ(reassembly_.collecting(), 0U);
  }

  Reassembly reassembly_;

 private:
  std::deque<OwnedBytes> packets_;
};

}  // namespace sf::engine
