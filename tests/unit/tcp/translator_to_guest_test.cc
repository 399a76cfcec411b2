// Translator: what the host's far end sends.
#include "unit/tcp/translator_fixture.hh"

namespace sf::tcp {
namespace {

class TranslatorToGuest : public TranslatorTest {
 protected:
  TranslatorToGuest() { establish(); }
};

TEST_F(TranslatorToGuest, ComesWithTheTurnAndGoesWithTheAck) {
  far_end(1000);
  EXPECT_EQ(frames(), 0U);
  turn();
  EXPECT_EQ(heard_bytes(), pattern(1000));
  EXPECT_GT(pool_.in_use(), 0U);
  guest({.ack = 1000});
  EXPECT_EQ(pool_.in_use(), 0U);
  EXPECT_EQ(Translator::deadline(flow()), now_ + Connection::kKeepAliveOpen);
}

TEST_F(TranslatorToGuest, MuchGoesAsSuperFrames) {
  far_end(150'000);
  turn();
  EXPECT_EQ(heard_bytes(), pattern(150'000));
  EXPECT_EQ(frames(), 3U);
  EXPECT_EQ(hear(0).payload.size() % 1460, 0U) << "cut where segments end";
  EXPECT_EQ(hear(0).offload.gso, wire::GsoType::tcp4);
  EXPECT_EQ(hear(0).offload.gso_size, 1460);
  EXPECT_LE(link_.sent[0].bytes.size(), 65'535U + 14);
}

TEST_F(TranslatorToGuest, AShortReadIsTheEndOfWhatIsThere) {
  far_end(1000);
  turn();
  EXPECT_EQ(socket().receives, 1);
  turn();
  EXPECT_EQ(socket().receives, 1);
}

TEST_F(TranslatorToGuest, NoMoreThanAFewFramesInOneTurn) {
  far_end(2'000'000);
  EXPECT_TRUE(translator_.flush(flow(), now_));
  EXPECT_EQ(frames(), Translator::kFramesPerFlush);
  turn();
  EXPECT_EQ(heard_bytes(), pattern(flow().connection.transmit().in_flight()));
}

TEST_F(TranslatorToGuest, NoMoreThanTheWindowAllowsIsReadAtAll) {
  guest({.window = 100});  // * 256
  far_end(100'000);
  turn();
  EXPECT_EQ(heard_bytes(), pattern(25'600));
  EXPECT_EQ(socket().incoming.size(), 74'400U) << "the rest stays in the host's kernel";
  guest({.ack = 25'600, .window = 1000});
  turn();
  EXPECT_EQ(heard_bytes(), pattern(100'000));
}

TEST_F(TranslatorToGuest, NoMoreInFlightThanIsAllowed) {
  far_end(2'000'000);
  turn();
  EXPECT_LE(flow().to_guest.size(), TransmitHalf::kMaxInFlight);
  EXPECT_LE(pool_.in_use(), TransmitHalf::kMaxInFlight / PieceQueue::kRoom + 2);
}

TEST_F(TranslatorToGuest, ALongStreamArrivesWhole) {
  std::uint32_t acked = 0;
  std::size_t heard = 0;
  far_end(3'000'000);
  for (int i = 0; i < 10'000 && acked < 3'000'000; ++i) {
    turn();
    const OwnedBytes bytes = heard_bytes();
    ASSERT_EQ(bytes, pattern(bytes.size(), heard));
    heard += bytes.size();
    link_.sent.clear();
    acked += std::min<std::uint32_t>(10'007, static_cast<std::uint32_t>(heard) - acked);
    guest({.ack = acked, .window = static_cast<std::uint16_t>(i % 300)});
  }
  EXPECT_EQ(heard, 3'000'000U);
  EXPECT_EQ(flow().bytes_to_guest, 3'000'000U);
}

TEST_F(TranslatorToGuest, ALostFrameGoesAgain) {
  link_.status = link::Status::dropped;
  far_end(1000);
  turn();
  link_.status = link::Status::ok;
  pass(1s);
  EXPECT_EQ(heard_bytes(), pattern(1000));
}

TEST_F(TranslatorToGuest, AShutWindowIsProbed) {
  guest({.window = 0});
  far_end(1000);
  turn();
  EXPECT_EQ(frames(), 0U);
  EXPECT_EQ(Translator::deadline(flow()), now_ + TransmitHalf::kPersistFirst);
  pass(TransmitHalf::kPersistFirst);
  ASSERT_EQ(frames(), 1U);
  EXPECT_EQ(hear(0).at, 0xffffffffU) << "one byte back";
  EXPECT_EQ(socket().incoming.size(), 1000U);
  link_.sent.clear();
  guest({.window = 100});
  turn();
  EXPECT_EQ(heard_bytes(), pattern(1000));
}

TEST_F(TranslatorToGuest, AnIdleFlowHasNoProbe) {
  guest({.window = 0});
  turn();
  EXPECT_EQ(Translator::deadline(flow()), now_ + Connection::kKeepAliveOpen);
}

// --- the far end's FIN

TEST_F(TranslatorToGuest, ItsFinFollowsItsBytes) {
  far_end(1000, true);
  turn();
  EXPECT_EQ(heard_bytes(), pattern(1000));
  EXPECT_TRUE(heard_fin());
  EXPECT_TRUE(socket().open()) << "the guest may go on";
  link_.sent.clear();
  guest({.ack = 1001, .length = 500});
  EXPECT_EQ(socket().taken, pattern(500));
}

TEST_F(TranslatorToGuest, ItsFinWaitsForAWindow) {
  guest({.window = 0});
  far_end(0, true);
  turn();
  EXPECT_EQ(frames(), 0U);
  EXPECT_EQ(Translator::deadline(flow()), now_ + TransmitHalf::kPersistFirst);
  guest({.window = 100});
  turn();
  EXPECT_TRUE(heard_fin());
}

TEST_F(TranslatorToGuest, AFinAnnouncedBeforeAllIsRead) {
  far_end(1'500'000, true);
  turn();
  EXPECT_FALSE(heard_fin());
  guest({.ack = flow().connection.transmit().in_flight()});
  turn();
  EXPECT_EQ(heard_bytes(), pattern(1'500'000));
  EXPECT_TRUE(heard_fin());
}

TEST_F(TranslatorToGuest, ItsRstResetsTheGuestAfterItsBytes) {
  far_end(1000);
  socket().receive_error = host::HostError::reset;
  event({.readable = true, .error = true, .hang_up = true});
  turn();
  ASSERT_EQ(frames(), 2U);
  EXPECT_EQ(hear(0).payload, pattern(1000));
  EXPECT_TRUE(hear(1).flags.rst);
  EXPECT_EQ(hear(1).at, 1000U);
  EXPECT_TRUE(finished());
  EXPECT_EQ(host_.open_sockets(), 0U);
}

class TranslatorBigTcp : public TranslatorTest {
 protected:
  TranslatorBigTcp()
      : TranslatorTest(256, {.checksum = true, .tcp4_gso = true, .tcp6_gso = true, .big_tcp = true}) {
    syn_.options.window_scale = std::uint8_t{8};
    establish();
  }
};

TEST_F(TranslatorBigTcp, ReadsAndSendsBigFrames) {
  far_end(500'000);
  const int reads = socket().receives;
  turn();
  ASSERT_EQ(link_.sent.size(), 2U);
  EXPECT_GT(link_.sent[0].bytes.size(), 255'000U);
  EXPECT_LE(link_.sent[0].bytes.size(), link::kMaxBigTcpPacket + 14);
  EXPECT_LE(link_.sent[0].parts, link::Link::kMaxParts);
  EXPECT_EQ(socket().receives - reads, 2);
}

TEST_F(TranslatorBigTcp, GoesBackToSmallOnesWhereTheyAreCut) {
  far_end(250'000);
  turn();
  ASSERT_EQ(link_.sent.size(), 1U);
  guest({.ack = 2920});
  guest({.ack = 250'000});
  far_end(250'000);
  link_.sent.clear();
  turn();
  ASSERT_EQ(link_.sent.size(), 4U);
  for (const link::SentFrame& frame : link_.sent) EXPECT_LE(frame.bytes.size(), 65'535U + 14);
}

}  // namespace
}  // namespace sf::tcp
