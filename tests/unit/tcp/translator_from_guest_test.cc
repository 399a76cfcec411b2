// Translator: what the guest sends.
#include "unit/tcp/translator_fixture.hh"

namespace sf::tcp {
namespace {

using host::HostError;

class TranslatorFromGuest : public TranslatorTest {
 protected:
  TranslatorFromGuest() { establish(); }
};

TEST_F(TranslatorFromGuest, GoesStraightToTheSocket) {
  guest({.length = 1000});
  EXPECT_EQ(socket().taken, pattern(1000)) << "before the turn's end";
  EXPECT_EQ(pool_.in_use(), 0U);
  turn();
  ASSERT_EQ(frames(), 1U);
  EXPECT_EQ(hear(0).ack, 1000U);
}

TEST_F(TranslatorFromGuest, OneAckForATurn) {
  for (std::uint32_t i = 0; i < 10; ++i) guest({.at = 1000 * i, .length = 1000});
  EXPECT_EQ(frames(), 0U);
  turn();
  ASSERT_EQ(frames(), 1U);
  EXPECT_EQ(hear(0).ack, 10'000U);
}

TEST_F(TranslatorFromGuest, HalfOfTheWindowIsAcknowledgedAtOnce) {
  constexpr std::uint32_t kHalf = Connection::kCapacity / 2;
  static_assert(kHalf % 32'768 == 0);
  for (std::uint32_t at = 0; at < kHalf; at += 32'768) {
    EXPECT_EQ(frames(), 0U);
    guest({.at = at, .length = 32'768});
  }
  ASSERT_EQ(frames(), 1U);
  EXPECT_EQ(hear(0).ack, kHalf);
}

TEST_F(TranslatorFromGuest, WhatTheSocketDoesNotTakeIsHeldAndPassedOnLater) {
  socket().takes = 300;
  guest({.length = 1000});
  turn();
  EXPECT_EQ(socket().taken, pattern(300));
  EXPECT_EQ(flow().held, 700U);
  EXPECT_EQ(hear(0).ack, 1000U) << "it was taken into our hands";
  guest({.at = 1000, .length = 500});
  EXPECT_EQ(flow().held, 1200U) << "behind what is held, not past it";
  socket().takes = 800;
  event({.writable = true});
  EXPECT_EQ(socket().taken, pattern(1100));
  socket().takes = host::StreamHost::kAll;
  event({.writable = true});
  EXPECT_EQ(socket().taken, pattern(1500));
  EXPECT_EQ(flow().held, 0U);
}

TEST_F(TranslatorFromGuest, AFullSocketIsNotAskedAgain) {
  socket().takes = 0;
  guest({.length = 1000});
  const int sends = socket().sends;
  for (std::uint32_t i = 1; i < 10; ++i) {
    guest({.at = 1000 * i, .length = 1000});
    turn();
  }
  EXPECT_EQ(socket().sends, sends);
}

TEST_F(TranslatorFromGuest, AHeldTailGivesItsMemoryBack) {
  socket().takes = 300;
  guest({.length = 1000});
  EXPECT_GT(pool_.in_use(), 0U);
  socket().takes = host::StreamHost::kAll;
  event({.writable = true});
  EXPECT_EQ(pool_.in_use(), 0U) << "an idle flow holds no payload memory";
}

TEST_F(TranslatorFromGuest, SoDoesAFilledGap) {
  guest({.at = 1000, .length = 1000});
  EXPECT_GT(pool_.in_use(), 0U);
  guest({.length = 1000});
  EXPECT_EQ(socket().taken, pattern(2000));
  EXPECT_EQ(pool_.in_use(), 0U);
}

TEST_F(TranslatorFromGuest, WhatIsBehindAGapStaysWhenTheTailIsTaken) {
  socket().takes = 300;
  guest({.length = 1000});
  guest({.at = 2000, .length = 1000});
  socket().takes = host::StreamHost::kAll;
  event({.writable = true});
  EXPECT_EQ(socket().taken, pattern(1000));
  guest({.at = 1000, .length = 1000});
  EXPECT_EQ(socket().taken, pattern(3000));
}

TEST_F(TranslatorFromGuest, OverlapsAndDuplicates) {
  socket().takes = 500;
  guest({.length = 1000});
  guest({.at = 500, .length = 1000});
  guest({.at = 3000, .length = 500});
  guest({.length = 3200});
  socket().takes = host::StreamHost::kAll;
  event({.writable = true});
  EXPECT_EQ(socket().taken, pattern(3500));
}

TEST_F(TranslatorFromGuest, TheWindowIsNeverMoreThanIsHeldForIt) {
  socket().takes = 0;
  std::uint32_t sent = 0;
  std::uint32_t edge = Connection::kCapacity;
  for (int i = 0; i < 200; ++i) {
    const std::uint32_t length = std::min<std::uint32_t>(edge - sent, 1448);
    if (length == 0) break;
    guest({.at = sent, .length = length});
    sent += length;
    turn();
    const Heard last = hear(frames() - 1);
    ASSERT_EQ(last.ack, sent);
    ASSERT_GE(last.ack + last.window + 15, edge) << "the right edge moved back";
    edge = std::max(edge, last.ack + last.window);
    link_.sent.clear();
    if (i % 3 == 0) guest({.at = 0, .length = 100});  // asks for an ACK
  }
  while (edge > sent) {
    const std::uint32_t length = std::min<std::uint32_t>(edge - sent, 60'000);
    guest({.at = sent, .length = length});
    sent += length;
    turn();
    edge = std::max(edge, hear(frames() - 1).ack + hear(frames() - 1).window);
    link_.sent.clear();
  }
  EXPECT_LE(sent, Connection::kCapacity);
  EXPECT_GE(sent, Connection::kCapacity - 16);
  EXPECT_EQ(flow().held, sent);

  socket().takes = host::StreamHost::kAll;
  event({.writable = true});
  turn();
  EXPECT_EQ(socket().taken, pattern(sent));
  ASSERT_EQ(frames(), 1U) << "the window has opened again";
  EXPECT_EQ(hear(0).window, Connection::kCapacity);
}

TEST_F(TranslatorFromGuest, ASlowReaderCostsNoByte) {
  std::uint32_t sent = 0;
  std::uint32_t edge = Connection::kCapacity;
  for (int i = 0; i < 2000 && sent < 3'000'000; ++i) {
    socket().takes = static_cast<std::size_t>(i * 7919) % 9000;
    event({.writable = true});
    const std::uint32_t length = std::min<std::uint32_t>(edge - sent, 5000);
    guest({.at = sent, .length = length});
    sent += length;
    turn();
    for (std::size_t f = 0; f < frames(); ++f) edge = std::max(edge, hear(f).ack + hear(f).window);
    link_.sent.clear();
  }
  socket().takes = host::StreamHost::kAll;
  event({.writable = true});
  EXPECT_EQ(socket().taken, pattern(sent));
  EXPECT_GE(sent, 3'000'000U);
}

// --- the guest's FIN

TEST_F(TranslatorFromGuest, ItsFinShutsTheSocket) {
  guest({.length = 100, .fin = true});
  EXPECT_TRUE(socket().shut);
  EXPECT_TRUE(socket().open());
  turn();
  pass(AckTiming::kFinDelay);
  EXPECT_EQ(hear(0).ack, 101U);
}

TEST_F(TranslatorFromGuest, ItsFinComesAfterWhatIsHeld) {
  socket().takes = 10;
  guest({.length = 100, .fin = true});
  EXPECT_FALSE(socket().shut);
  socket().takes = 50;
  event({.writable = true});
  EXPECT_FALSE(socket().shut);
  socket().takes = 50;
  event({.writable = true});
  EXPECT_TRUE(socket().shut);
  EXPECT_EQ(socket().taken, pattern(100));
}

TEST_F(TranslatorFromGuest, AFinOutOfOrderWaits) {
  guest({.at = 100, .length = 100, .fin = true});
  EXPECT_FALSE(socket().shut);
  guest({.length = 100});
  EXPECT_EQ(socket().taken, pattern(200));
  EXPECT_TRUE(socket().shut);
}

TEST_F(TranslatorFromGuest, ItsRstResetsTheFarEnd) {
  guest({.length = 100});
  guest({.at = 100, .rst = true});
  EXPECT_TRUE(finished());
  EXPECT_TRUE(socket().aborted);
  EXPECT_EQ(frames(), 0U);
}

TEST_F(TranslatorFromGuest, CountsBytesOnce) {
  guest({.length = 100});
  guest({.length = 100});
  guest({.at = 200, .length = 100});
  guest({.at = 100, .length = 100});
  EXPECT_EQ(flow().bytes_from_guest, 300U);
  EXPECT_EQ(translator_.counters().bytes_from_guest, 300U);
}

}  // namespace
}  // namespace sf::tcp
