// QuestionRecords: how often a refused question is told of.
#include "services/question_records.hh"

#include <gtest/gtest.h>

#include "unit/support/recorded_flows.hh"

namespace sf::services {
namespace {

constexpr Endpoint kAsker{Address::v4(10, 0, 2, 100), 5000};

TEST(QuestionRecords, TheSameNameOnce) {
  RecordedFlows watch;
  QuestionRecords records(&watch, SipKey{1, 2});
  for (std::uint16_t port = 1; port < 10; ++port)
    records.refused({kAsker.address, port}, {"a.test", 1, 1}, false, Time(1s));
  EXPECT_EQ(watch.told.size(), 1U) << "whatever the port";
  records.refused(kAsker, {"a.test", 1, 1}, true, Time(1s));
  records.refused(kAsker, {"b.test", 1, 1}, false, Time(1s));
  records.refused({Address::v4(10, 0, 2, 101), 1}, {"a.test", 1, 1}, false, Time(1s));
  EXPECT_EQ(watch.told.size(), 4U);
  records.refused(kAsker, {"a.test", 1, 1}, false, Time(1s) + QuestionRecords::kAgain);
  EXPECT_EQ(watch.told.size(), 5U);
}

TEST(QuestionRecords, SoManyInASecond) {
  RecordedFlows watch;
  QuestionRecords records(&watch, SipKey{1, 2});
  for (int i = 0; i < 1000; ++i) records.refused(kAsker, {fmt::format("{}.test", i), 1, 1}, false, Time(5s));
  EXPECT_EQ(watch.told.size(), QuestionRecords::kMost);
  records.refused(kAsker, {"b.test", 1, 1}, false, Time(6s));
  EXPECT_EQ(watch.told.size(), QuestionRecords::kMost + 1);
}

TEST(QuestionRecords, NobodyWatches) {
  QuestionRecords records(nullptr, SipKey{1, 2});
  records.refused(kAsker, {"a.test", 1, 1}, false, Time(5s));
}

}  // namespace
}  // namespace sf::services
