// Translator: when the pool has little left, or nothing.
#include "unit/tcp/translator_fixture.hh"

namespace sf::tcp {
namespace {

class TranslatorMemory : public TranslatorTest {
 protected:
  TranslatorMemory() : TranslatorTest(2) { establish(); }
  // All but `left` pieces are somebody else's.
  void take_memory(std::size_t left) {
    while (pool_.in_use() + left < pool_.limit()) others_.push_back(pool_.acquire());
  }
  ~TranslatorMemory() override { others_.clear(); }

  std::vector<Piece> others_;
};

TEST_F(TranslatorMemory, WithoutMemoryReadingWaitsAndIsTriedAgain) {
  take_memory(0);
  far_end(1000);
  turn();
  EXPECT_EQ(frames(), 0U);
  EXPECT_EQ(Translator::deadline(flow()), now_ + Translator::kStarvedRetry);
  pass(Translator::kStarvedRetry);
  EXPECT_EQ(frames(), 0U);
  EXPECT_EQ(Translator::deadline(flow()), now_ + Translator::kStarvedRetry) << "and again, not at once";
  others_.clear();
  pass(Translator::kStarvedRetry);
  EXPECT_EQ(heard_bytes(), pattern(1000));
  EXPECT_GT(Translator::deadline(flow()), now_ + Translator::kStarvedRetry);
}

TEST_F(TranslatorMemory, WithSomethingInFlightItsAckBringsMemory) {
  take_memory(1);
  far_end(100'000);
  turn();
  const std::uint32_t first = flow().to_guest.size();
  EXPECT_GT(first, 0U);
  EXPECT_LT(first, 100'000U);
  guest({.ack = first});
  turn();
  EXPECT_EQ(heard_bytes(), pattern(100'000));
}

TEST_F(TranslatorMemory, WithoutMemoryNothingIsAcknowledgedThatIsNotKept) {
  take_memory(0);
  socket().takes = 300;
  guest({.length = 1000});
  turn();
  EXPECT_EQ(hear(0).ack, 300U);
  link_.sent.clear();
  socket().takes = host::StreamHost::kAll;
  event({.writable = true});
  guest({.at = 300, .length = 700});
  turn();
  EXPECT_EQ(socket().taken, pattern(1000));
  EXPECT_EQ(hear(0).ack, 1000U);
}

TEST_F(TranslatorMemory, WithoutMemoryWhatIsInOrderStillPasses) {
  take_memory(0);
  guest({.at = 1000, .length = 1000});
  guest({.length = 1000});
  guest({.at = 1000, .length = 1000});
  EXPECT_EQ(socket().taken, pattern(2000));
}

TEST_F(TranslatorMemory, UnderPressureWindowsAreSmall) {
  std::uint32_t at = 0;
  guest({.length = 65'000});
  at += 65'000;
  turn();
  EXPECT_GT(hear(0).window, Connection::kPressedCapacity);
  link_.sent.clear();
  take_memory(0);
  ASSERT_TRUE(pool_.pressed());
  for (; at < 600'000; at += 30'000) {
    guest({.at = at, .length = 30'000});
    turn();
  }
  EXPECT_LE(hear(frames() - 1).window, Connection::kPressedCapacity);
  EXPECT_GT(hear(frames() - 1).window, 0U);
  EXPECT_EQ(socket().taken, pattern(at));
}

}  // namespace
}  // namespace sf::tcp
