// What honest fragments come to.
#include <algorithm>
#include <numeric>
#include <random>

#include "unit/engine/reassembly_fixture.hh"

namespace sf::engine {
namespace {

class ReassemblyOrder : public ReassemblyTest {};

INSTANTIATE_TEST_SUITE_P(Version, ReassemblyOrder, testing::Bool(), version_name);

class Ipv6Reassembly : public ReassemblyTest {};

INSTANTIATE_TEST_SUITE_P(Version, Ipv6Reassembly, testing::Values(false), version_name);

TEST_P(ReassemblyOrder, InOrder) {
  const OwnedBytes datagram = pattern(3000);
  EXPECT_TRUE(is_quiet(add(piece(datagram, 0, 1480))));
  EXPECT_TRUE(is_quiet(add(piece(datagram, 1480, 2960))));
  const auto outcome = add(piece(datagram, 2960, 3000));
  expect_complete(outcome, datagram);
  EXPECT_EQ(outcome.packet->protocol, kUdp);
  EXPECT_EQ(outcome.packet->ttl, 9);
  EXPECT_FALSE(outcome.packet->dont_fragment);
}

TEST_P(ReassemblyOrder, InAnyOrderWithDuplicates) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    const std::size_t size = 9 + random() % 6000;
    const OwnedBytes datagram = pattern(size);
    std::vector<wire::IpPacket> pieces;
    for (std::size_t begin = 0; begin < size;) {
      const std::size_t end = std::min(size, begin + 8 * (1 + random() % 100));
      pieces.push_back(piece(datagram, begin, end, static_cast<std::uint32_t>(round)));
      begin = end;
    }
    if (pieces.size() == 1) continue;
    std::shuffle(pieces.begin(), pieces.end(), random);
    for (std::size_t i = 0; i + 1 < pieces.size(); ++i) {
      ASSERT_TRUE(is_quiet(add(pieces[i]))) << round;
      ASSERT_TRUE(is_quiet(add(pieces[random() % (i + 1)]))) << round;
    }
    expect_complete(add(pieces.back()), datagram);
  }
}

TEST_P(ReassemblyOrder, TheLargestDatagram) {
  const OwnedBytes datagram = pattern(largest());
  Reassembly::Outcome outcome;
  for (std::size_t begin = 0; begin < datagram.size(); begin += 1480) {
    outcome = add(piece(datagram, begin, std::min(begin + 1480, datagram.size())));
  }
  expect_complete(outcome, datagram);
}

TEST_P(ReassemblyOrder, TheSmallestPieces) {
  const OwnedBytes datagram = pattern(600);
  Reassembly::Outcome outcome;
  for (std::size_t begin = datagram.size(); begin > 0; begin -= 8) {
    EXPECT_TRUE(is_quiet(outcome));
    outcome = add(piece(datagram, begin - 8, begin));
  }
  expect_complete(outcome, datagram);
}

TEST_P(ReassemblyOrder, SeveralAtOnceAreKeptApart) {
  const OwnedBytes a = pattern(2000);
  OwnedBytes b = a;
  std::reverse(b.begin(), b.end());
  EXPECT_TRUE(is_quiet(add(piece(a, 0, 1000, 1))));
  EXPECT_TRUE(is_quiet(add(piece(b, 1000, 2000, 2))));
  // The same identification to another destination, or (IPv4) of another protocol, is another datagram.
  wire::IpHeader other = header(1);
  other.destination = source();
  EXPECT_TRUE(is_quiet(add(fragment(other, 1000, Bytes{b}.subspan(1000), false))));
  EXPECT_EQ(reassembly_.collecting(), 3U);
  const auto outcome = add(piece(a, 1000, 2000, 1));
  ASSERT_TRUE(outcome.packet);
  EXPECT_EQ(copy(outcome.packet->payload), a);
  const auto second = add(piece(b, 0, 1000, 2));
  ASSERT_TRUE(second.packet);
  EXPECT_EQ(copy(second.packet->payload), b);
}

// RFC 791 section 3.2 counts the protocol in, RFC 8200 section 4.5 does not: there the first fragment's
// holds.
TEST_P(ReassemblyOrder, TheProtocolIsOfTheKeyInIpv4Alone) {
  const OwnedBytes datagram = pattern(2000);
  EXPECT_TRUE(is_quiet(add(fragment(header(1, 99), 1000, Bytes{datagram}.subspan(1000), false))));
  const auto outcome = add(piece(datagram, 0, 1000));
  if (v4()) {
    EXPECT_TRUE(is_quiet(outcome));
    EXPECT_EQ(reassembly_.collecting(), 2U);
  } else {
    expect_complete(outcome, datagram);
    EXPECT_EQ(outcome.packet->protocol, kUdp);
  }
}

// RFC 3168 section 5.3.
TEST_P(ReassemblyOrder, CongestionOnOneFragmentIsCongestion) {
  const OwnedBytes datagram = pattern(2000);
  wire::IpHeader first = header();
  first.traffic_class = 0xb9;  // EF, ECT(1)
  wire::IpHeader second = first;
  second.traffic_class = 0xbb;
  second.ttl = 3;
  EXPECT_TRUE(is_quiet(add(fragment(second, 1000, Bytes{datagram}.subspan(1000), false))));
  const auto outcome = add(fragment(first, 0, take(datagram, 1000), true));
  expect_complete(outcome, datagram);
  EXPECT_EQ(outcome.packet->traffic_class, 0xbb);
  EXPECT_EQ(outcome.packet->ttl, 9);
}

TEST_P(Ipv6Reassembly, ExtensionHeadersBehindTheFragmentHeader) {
  OwnedBytes datagram = pattern(2000);
  // Destination options: next header UDP, 8 bytes in all, PadN.
  const std::uint8_t options[] = {kUdp, 0, 1, 4, 0, 0, 0, 0};
  std::copy(std::begin(options), std::end(options), datagram.begin());
  EXPECT_TRUE(is_quiet(add(fragment(header(1, 60), 0, take(datagram, 1000), true))));
  const auto outcome = add(fragment(header(1, 60), 1000, Bytes{datagram}.subspan(1000), false));
  ASSERT_TRUE(outcome.packet);
  EXPECT_EQ(outcome.packet->protocol, kUdp);
  EXPECT_EQ(copy(outcome.packet->payload), copy(Bytes{datagram}.subspan(8)));
  EXPECT_EQ(outcome.packet->whole.size(), 2040U);
}

}  // namespace
}  // namespace sf::engine
