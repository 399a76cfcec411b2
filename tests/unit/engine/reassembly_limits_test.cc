// Fragments that are wrong, too many, or too late.
#include "unit/engine/reassembly_fixture.hh"

namespace sf::engine {
namespace {

using wire::DropReason;

class ReassemblyLimits : public ReassemblyTest {
 protected:
  // `second` after `first` discards the datagram, and what comes of it later.
  void expect_discarded(const wire::IpPacket& first, const wire::IpPacket& second) {
    EXPECT_TRUE(is_quiet(add(first)));
    EXPECT_EQ(add(second).drop, DropReason::bad_fragment);
    EXPECT_EQ(reassembly_.collecting(), 0U);
    EXPECT_EQ(reassembly_.memory(), 0U);
    const auto late = add(first);
    EXPECT_EQ(late.drop, DropReason::bad_fragment);
    EXPECT_FALSE(late.packet);
    // Silently: nothing is due to the sender (RFC 5722 section 4).
    EXPECT_FALSE(reassembly_.expire(kStart + 31s));
    EXPECT_EQ(reassembly_.deadline(), kNever);
  }
  const OwnedBytes datagram_ = pattern(3000);
};

INSTANTIATE_TEST_SUITE_P(Version, ReassemblyLimits, testing::Bool(), version_name);

class Ipv6ReassemblyLimits : public ReassemblyLimits {};

INSTANTIATE_TEST_SUITE_P(Version, Ipv6ReassemblyLimits, testing::Values(false), version_name);

TEST_P(ReassemblyLimits, AnOverlapDiscardsTheDatagram) {
  expect_discarded(piece(datagram_, 0, 1480), piece(datagram_, 1472, 2960));
}

TEST_P(ReassemblyLimits, AnOverlapFromBelowToo) {
  expect_discarded(piece(datagram_, 1480, 2960), piece(datagram_, 0, 1488));
}

TEST_P(ReassemblyLimits, TheSameRangeWithOtherBytes) {
  OwnedBytes other = datagram_;
  other[1000] ^= 1;
  expect_discarded(piece(datagram_, 0, 1480), piece(other, 0, 1480));
}

// What is still in the buffer of an earlier datagram is not there.
TEST_P(ReassemblyLimits, AnOverlapIsNoDuplicateOfAnEarlierDatagram) {
  EXPECT_TRUE(is_quiet(add(piece(datagram_, 0, 1480, 1))));
  expect_complete(add(piece(datagram_, 1480, 3000, 1)), datagram_);
  EXPECT_TRUE(is_quiet(add(piece(datagram_, 0, 1480, 2))));
  EXPECT_EQ(add(piece(datagram_, 1472, 2960, 2)).drop, DropReason::bad_fragment);
}

TEST_P(ReassemblyLimits, TwoEnds) {
  expect_discarded(fragment(header(), 1480, take(datagram_, 100), false),
                   fragment(header(), 2960, take(datagram_, 40), false));
}

TEST_P(ReassemblyLimits, AnEndBeforeWhatIsThere) {
  expect_discarded(fragment(header(), 1480, take(datagram_, 1480), true),
                   fragment(header(), 800, take(datagram_, 100), false));
}

TEST_P(ReassemblyLimits, SomethingBehindTheEnd) {
  expect_discarded(fragment(header(), 800, take(datagram_, 100), false),
                   fragment(header(), 1480, take(datagram_, 1480), true));
}

TEST_P(ReassemblyLimits, AnEndThatWasNone) {
  expect_discarded(fragment(header(), 800, take(datagram_, 80), true),
                   fragment(header(), 800, take(datagram_, 80), false));
}

TEST_P(ReassemblyLimits, AnEndThatIsOneNoMore) {
  expect_discarded(fragment(header(), 800, take(datagram_, 80), false),
                   fragment(header(), 800, take(datagram_, 80), true));
}

TEST_P(ReassemblyLimits, ImplausibleFragmentsTakeNoSlot) {
  const OwnedBytes bytes = pattern(70000);
  const wire::IpPacket bad[] = {
      fragment(header(), 0, {}, true),                                       // nothing in it
      fragment(header(), 1480, {}, false),                                   // the same at the end
      fragment(header(), 4, take(bytes, 800), true),                         // begins off a boundary
      fragment(header(), 0, take(bytes, 801), true),                         // ends off a boundary
      fragment(header(), 65528, take(bytes, 8), true),                       // past the largest datagram
      fragment(header(), 65512, take(bytes, largest() - 65512 + 1), false),  // by one byte
      fragment(header(), 65528, take(bytes, 1000), false),                   // the ping of death
      fragment(header(1, kTcp), 0, take(bytes, 16), true),                   // not even a TCP header
  };
  for (const wire::IpPacket& packet : bad) {
    EXPECT_EQ(add(packet).drop, DropReason::bad_fragment) << packet.fragment->offset;
    EXPECT_EQ(reassembly_.collecting(), 0U);
    EXPECT_EQ(reassembly_.memory(), 0U);
  }
  EXPECT_TRUE(is_quiet(add(fragment(header(), 65512, take(bytes, largest() - 65512), false))));
  EXPECT_TRUE(is_quiet(add(fragment(header(2, kTcp), 0, take(bytes, 24), true))));
}

// RFC 7112 section 5.
TEST_P(Ipv6ReassemblyLimits, TheHeaderChainHasToBeInTheFirstFragment) {
  OwnedBytes chain = pattern(64);
  const std::uint8_t options[] = {kUdp, 7, 1, 60};  // 64 bytes of options, and no UDP header behind them
  std::copy(std::begin(options), std::end(options), chain.begin());
  EXPECT_EQ(add(fragment(header(1, 60), 0, chain, true)).drop, DropReason::bad_fragment);
  chain[1] = 8;  // longer than the fragment
  EXPECT_EQ(add(fragment(header(1, 60), 0, chain, true)).drop, DropReason::bad_fragment);
}

TEST_P(ReassemblyLimits, TheOldestGoesWhenAllSlotsAreTaken) {
  for (std::uint32_t id = 1; id <= Reassembly::kSlots; ++id) {
    EXPECT_TRUE(is_quiet(add(piece(datagram_, 0, 1480, id), kStart + id * 1ms)));
  }
  const std::size_t full = reassembly_.memory();
  EXPECT_EQ(add(piece(datagram_, 0, 1480, 100), kStart + 1s).drop, DropReason::fragment_limit);
  EXPECT_EQ(reassembly_.collecting(), Reassembly::kSlots);
  EXPECT_EQ(reassembly_.memory(), full);
  // The first one is lost, the second one is still whole.
  EXPECT_FALSE(add(piece(datagram_, 1480, 3000, 2), kStart + 1s).drop);
  EXPECT_TRUE(add(piece(datagram_, 1480, 3000, 100), kStart + 1s).packet);
  EXPECT_FALSE(add(piece(datagram_, 1480, 3000, 1), kStart + 1s).packet);
}

TEST_P(ReassemblyLimits, ADiscardedOneGoesBeforeOneThatIsCollected) {
  EXPECT_TRUE(is_quiet(add(piece(datagram_, 0, 1480, 1))));
  for (std::uint32_t id = 2; id <= Reassembly::kSlots; ++id) {
    EXPECT_TRUE(is_quiet(add(piece(datagram_, 0, 1480, id), kStart + 1ms)));
  }
  EXPECT_EQ(add(piece(datagram_, 1472, 2960, 5), kStart + 2ms).drop, DropReason::bad_fragment);
  EXPECT_TRUE(is_quiet(add(piece(datagram_, 0, 1480, 100), kStart + 3ms)));
  EXPECT_TRUE(add(piece(datagram_, 1480, 3000, 1), kStart + 3ms).packet);
}

TEST_P(ReassemblyLimits, MemoryIsBoundedAndGivenBack) {
  EXPECT_EQ(reassembly_.memory(), 0U);
  for (std::uint32_t id = 1; id <= 1000; ++id) (void)add(piece(datagram_, 0, 1480, id));
  EXPECT_GT(reassembly_.memory(), Reassembly::kSlots * 65535);
  EXPECT_LT(reassembly_.memory(), (Reassembly::kSlots + 1) * 70000);
  while (reassembly_.expire(kStart + 30s)) {
  }
  // The last one quoted is kept for a while, and for no longer.
  EXPECT_LT(reassembly_.memory(), 70000U);
  EXPECT_EQ(reassembly_.deadline(), kStart + 60s);
  EXPECT_FALSE(reassembly_.expire(kStart + 60s));
  EXPECT_EQ(reassembly_.memory(), 0U);
  EXPECT_EQ(reassembly_.deadline(), kNever);
}

TEST_P(ReassemblyLimits, TheBufferIsUsedAgain) {
  for (std::uint32_t id = 1; id <= 3; ++id) {
    EXPECT_TRUE(is_quiet(add(piece(datagram_, 1480, 3000, id))));
    expect_complete(add(piece(datagram_, 0, 1480, id)), datagram_);
    EXPECT_LT(reassembly_.memory(), 70000U);
  }
}

TEST_P(ReassemblyLimits, TimesOutWithTheFirstFragmentQuoted) {
  EXPECT_EQ(reassembly_.deadline(), kNever);
  wire::IpPacket second = piece(datagram_, 1480, 2960);
  second.traffic_class = 3;  // congestion experienced, but not by the first
  EXPECT_TRUE(is_quiet(add(second, kStart)));
  EXPECT_TRUE(is_quiet(add(piece(datagram_, 0, 1480), kStart + 10s)));
  EXPECT_EQ(reassembly_.deadline(), kStart + 30s);
  EXPECT_FALSE(reassembly_.expire(kStart + 29999ms));
  EXPECT_EQ(reassembly_.collecting(), 1U);
  const auto expired = reassembly_.expire(kStart + 30s);
  ASSERT_TRUE(expired);
  EXPECT_EQ(expired->from, kMac);
  EXPECT_EQ(expired->quoted.source, source());
  EXPECT_EQ(expired->quoted.destination, destination());
  ASSERT_TRUE(expired->quoted.fragment);
  EXPECT_EQ(expired->quoted.fragment->offset, 0U);
  const auto parsed = wire::parse_ip(expired->quoted.whole);
  ASSERT_TRUE(parsed);
  ASSERT_TRUE(parsed->fragment);
  EXPECT_TRUE(parsed->fragment->more);
  EXPECT_EQ(parsed->fragment->id, 1U);
  EXPECT_EQ(parsed->traffic_class, 0);
  EXPECT_EQ(copy(parsed->payload), copy(take(datagram_, 1480)));
  EXPECT_EQ(reassembly_.collecting(), 0U);
  EXPECT_FALSE(reassembly_.expire(kStart + 30s));
}

// RFC 8200 section 4.5, RFC 792: only then.
TEST_P(ReassemblyLimits, TimesOutSilentlyWithoutTheFirstFragment) {
  EXPECT_TRUE(is_quiet(add(piece(datagram_, 1480, 2960))));
  EXPECT_FALSE(reassembly_.expire(kStart + 30s));
  EXPECT_EQ(reassembly_.collecting(), 0U);
  EXPECT_EQ(reassembly_.memory(), 0U);
}

TEST_P(ReassemblyLimits, ALateFragmentDoesNotCompleteAnOverdueDatagram) {
  EXPECT_TRUE(is_quiet(add(piece(datagram_, 0, 1480))));
  EXPECT_TRUE(is_quiet(add(piece(datagram_, 1480, 3000), kStart + 30s)));
  EXPECT_TRUE(reassembly_.expire(kStart + 30s));
  EXPECT_EQ(reassembly_.collecting(), 1U);
}

}  // namespace
}  // namespace sf::engine
