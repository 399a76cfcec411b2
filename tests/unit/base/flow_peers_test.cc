// FlowPeers: who talks with whom by one socket.
#include "base/flow_peers.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/support/recorded_flows.hh"

namespace sf::base {
namespace {

using Kind = FlowEvent::Kind;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

constexpr Endpoint kGuest{Address::v4(10, 0, 2, 100), 5000};
constexpr Time kStart{100s};

Endpoint remote(std::uint16_t port) {
  return {Address::v4(192, 0, 2, 1), port};
}

TEST(FlowPeers, OneRecordForEachOtherEnd) {
  RecordedFlows watch;
  FlowPeers peers(watch, FlowProtocol::udp, kGuest);
  for (int i = 0; i < 3; ++i) {
    for (const std::uint16_t port : {std::uint16_t{1}, std::uint16_t{2}}) {
      peers.from_guest(remote(port), 1, 10, kStart);
      peers.to_guest(remote(port), 2, 100, kStart + 5s);
    }
  }
  EXPECT_THAT(watch.take(),
              ElementsAre(Pair(Kind::opened, FlowCause::none), Pair(Kind::opened, FlowCause::none)));
  peers.end(FlowCause::idle, kStart + 300s);
  ASSERT_EQ(watch.told.size(), 2U);
  const FlowEvent& first = watch.told[0].event;
  EXPECT_EQ(first.remote, remote(1));
  EXPECT_EQ(first.counts.packets_from_guest, 3U);
  EXPECT_EQ(first.counts.bytes_from_guest, 30U);
  EXPECT_EQ(first.counts.packets_to_guest, 6U);
  EXPECT_EQ(first.counts.bytes_to_guest, 300U);
  EXPECT_EQ(first.duration, 5s) << "to the last datagram";
  EXPECT_FALSE(first.inbound);
}

TEST(FlowPeers, WhoeverWasNotAskedIsInbound) {
  RecordedFlows watch;
  FlowPeers peers(watch, FlowProtocol::udp, kGuest);
  peers.to_guest(remote(9), 1, 1, kStart);
  ASSERT_EQ(watch.told.size(), 1U);
  EXPECT_TRUE(watch.told[0].event.inbound);
}

TEST(FlowPeers, TheSilentOneMakesRoom) {
  RecordedFlows watch;
  FlowPeers peers(watch, FlowProtocol::udp, kGuest);
  for (std::uint16_t port = 1; port <= FlowPeers::kMost; ++port)
    peers.from_guest(remote(port), 1, 1, kStart + 1s * port);
  peers.from_guest(remote(1), 1, 1, kStart + 100s);
  watch.take();
  peers.from_guest(remote(1000), 1, 1, kStart + 101s);
  ASSERT_EQ(watch.told.size(), 2U);
  EXPECT_EQ(watch.told[0].event.cause, FlowCause::evicted);
  EXPECT_EQ(watch.told[0].event.remote, remote(2));
  EXPECT_EQ(watch.told[1].event.kind, Kind::opened);
}

TEST(FlowPeers, ManyAtOnceAreCountedTogether) {
  RecordedFlows watch;
  FlowPeers peers(watch, FlowProtocol::udp, kGuest);
  constexpr std::uint16_t kEnds = 100;
  for (int round = 0; round < 10; ++round) {
    for (std::uint16_t port = 1; port <= kEnds; ++port) {
      peers.from_guest(remote(port), 1, 10, kStart);
      peers.to_guest(remote(port), 1, 100, kStart);
    }
  }
  EXPECT_LE(watch.told.size(), FlowPeers::kMost + 2) << "openings, and one that has made room";
  for (const auto& told : watch.told) EXPECT_FALSE(told.event.inbound) << told.event.remote.port;
  peers.end(FlowCause::idle, kStart);
  FlowCounts all;
  std::size_t others = 0;
  for (const auto& [event, name, server] : watch.told) {
    if (event.kind != Kind::ended) continue;
    all.packets_from_guest += event.counts.packets_from_guest;
    all.bytes_to_guest += event.counts.bytes_to_guest;
    others += event.others ? 1U : 0U;
  }
  EXPECT_EQ(others, 1U);
  EXPECT_EQ(all.packets_from_guest, 10U * kEnds);
  EXPECT_EQ(all.bytes_to_guest, 1000U * kEnds);
}

TEST(FlowPeers, AFloodFromOutsideEndsNobodysRecord) {
  RecordedFlows watch;
  FlowPeers peers(watch, FlowProtocol::udp, kGuest);
  peers.from_guest(remote(1), 1, 1, kStart);
  for (std::uint16_t port = 1000; port < 3000; ++port) peers.to_guest(remote(port), 1, 1, kStart + 1s);
  EXPECT_EQ(watch.take().size(), FlowPeers::kMost);
  // Whom the guest sends to has a place before those.
  for (std::uint16_t port = 2; port <= FlowPeers::kMost; ++port) {
    peers.from_guest(remote(port), 1, 1, kStart + 2s);
  }
  EXPECT_EQ(watch.take().size(), 2 * (FlowPeers::kMost - 1));
  for (std::uint16_t port = 1000; port < 3000; ++port) peers.to_guest(remote(port), 1, 1, kStart + 2s);
  EXPECT_THAT(watch.told, IsEmpty());
}

TEST(FlowPeers, WhomTheGuestAnswersIsNotInboundAnyMore) {
  RecordedFlows watch;
  FlowPeers peers(watch, FlowProtocol::udp, kGuest);
  peers.to_guest(remote(9), 1, 1, kStart);
  peers.from_guest(remote(9), 1, 1, kStart);
  peers.end(FlowCause::idle, kStart);
  EXPECT_FALSE(watch.told.back().event.inbound) << "a policy has been asked about it";
}

TEST(FlowPeers, AnEchoReplyIsNotInbound) {
  RecordedFlows watch;
  FlowPeers peers(watch, FlowProtocol::icmp, kGuest);
  peers.to_guest(remote(0), 1, 1, kStart);
  EXPECT_FALSE(watch.told[0].event.inbound);
}

TEST(FlowPeers, WhatHasNotLeftIsRefusedOnce) {
  RecordedFlows watch;
  FlowPeers peers(watch, FlowProtocol::udp, kGuest);
  for (int i = 0; i < 3; ++i) peers.refused(remote(1), FlowCause::unreachable, kStart + 1s * i);
  EXPECT_THAT(watch.take(), ElementsAre(Pair(Kind::refused, FlowCause::unreachable)));
  peers.refused(remote(1), FlowCause::unreachable, kStart + FlowPeers::kRefusedAgain);
  EXPECT_EQ(watch.take().size(), 1U);
  for (std::uint16_t port = 1; port < 1000; ++port)
    peers.refused(remote(port), FlowCause::unreachable, kStart + FlowPeers::kRefusedAgain);
  EXPECT_EQ(watch.take().size(), FlowPeers::kMost - 1);
  const std::string server = "a.test";
  peers.from_guest(remote(2000), 1, 1, kStart + 100s, true, &server);
  peers.refused(remote(2000), FlowCause::unreachable, kStart + 100s);
  ASSERT_EQ(watch.told.size(), 1U) << "others to there have left";
  EXPECT_TRUE(watch.told[0].event.audited);
  peers.end(FlowCause::idle, kStart + 100s);
  EXPECT_EQ(watch.told[1].server_name, server);
}

TEST(FlowPeers, AClientOfAPortStaysWhoItIs) {
  RecordedFlows watch;
  FlowPeers peers(watch, FlowProtocol::udp, kGuest);
  peers.pin(remote(1), kStart);
  peers.from_guest(remote(2), 1, 7, kStart);
  peers.to_guest(remote(3), 1, 8, kStart);
  peers.end(FlowCause::port_removed, kStart);
  ASSERT_EQ(watch.told.size(), 2U);
  EXPECT_TRUE(watch.told[1].event.inbound);
  EXPECT_EQ(watch.told[1].event.remote, remote(1));
  EXPECT_EQ(watch.told[1].event.counts.bytes_to_guest, 8U);
}

TEST(FlowPeers, APingHasTheShortestRoundTrip) {
  RecordedFlows watch;
  FlowPeers peers(watch, FlowProtocol::icmp, kGuest);
  for (const Duration took : {20ms, 5ms, 9ms}) {
    peers.from_guest(remote(0), 1, 64, kStart);
    peers.to_guest(remote(0), 1, 64, kStart + took);
  }
  peers.to_guest(remote(0), 1, 64, kStart) /* a second reply */;
  peers.end(FlowCause::idle, kStart);
  EXPECT_EQ(watch.told.back().event.remote_rtt, 5ms);
  peers.end(FlowCause::idle, kStart);
  EXPECT_EQ(watch.told.size(), 2U) << "once";
}

}  // namespace
}  // namespace sf::base
