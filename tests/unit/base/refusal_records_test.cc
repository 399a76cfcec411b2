#include "base/refusal_records.hh"

#include <gtest/gtest.h>

#include "unit/support/recorded_flows.hh"

namespace sf::base {
namespace {

constexpr Endpoint kGuest{Address::v4(10, 0, 2, 100), 40000};

FlowKey to(std::uint16_t port) {
  return {kGuest, {Address::v4(192, 0, 2, 1), port}};
}

TEST(RefusalRecords, TheSameEndsOnceInAWhile) {
  RecordedFlows watch;
  RefusalRecords records(&watch, SipKey{1, 2});
  for (int i = 0; i < 5; ++i) records.refused(FlowProtocol::udp, FlowCause::policy, to(7), Time{1s});
  EXPECT_EQ(watch.told.size(), 1U);
  records.refused(FlowProtocol::tcp, FlowCause::policy, to(7), Time{1s});
  EXPECT_EQ(watch.told.size(), 2U) << "another protocol";
  records.refused(FlowProtocol::tcp, FlowCause::policy, to(7), Time{1s} + RefusalRecords::kAgain);
  EXPECT_EQ(watch.told.size(), 3U);
}

TEST(RefusalRecords, AScanHasOneForEachPort) {
  RecordedFlows watch;
  RefusalRecords records(&watch, SipKey{1, 2});
  for (std::uint16_t port = 1; port != 0; ++port)
    records.refused(FlowProtocol::tcp, FlowCause::policy, to(port), Time{1s});
  EXPECT_EQ(watch.told.size(), 65535U);
  EXPECT_EQ(watch.told.back().event.remote.port, 65535);
}

TEST(RefusalRecords, WhoComesFromOutsideHasNoMoreThanSoMany) {
  RecordedFlows watch;
  RefusalRecords records(&watch, SipKey{1, 2});
  const auto clients = [&](Time now) {
    watch.told.clear();
    for (std::uint16_t port = 1; port < 5000; ++port)
      records.refused_client(FlowProtocol::udp, FlowCause::limit, to(port), true, now);
    return watch.told.size();
  };
  EXPECT_EQ(clients(Time{1s}), RefusalRecords::kMostFromOutside);
  EXPECT_TRUE(watch.told[0].event.inbound && watch.told[0].event.loopback);
  EXPECT_EQ(watch.told[0].event.cause, FlowCause::limit);
  EXPECT_LE(clients(Time{1500ms}), RefusalRecords::kMostFromOutside / 2);
  records.refused(FlowProtocol::udp, FlowCause::policy, to(6000), Time{1500ms});
  EXPECT_EQ(watch.told.back().event.remote.port, 6000) << "the guest's own have nothing to do with it";
}

TEST(RefusalRecords, WhereNobodyWatchesNothingIsKept) {
  RefusalRecords records(nullptr, SipKey{1, 2});
  records.refused(FlowProtocol::udp, FlowCause::policy, to(7), Time{1s});
}

}  // namespace
}  // namespace sf::base
