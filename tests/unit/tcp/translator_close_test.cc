// Translator: the ways to end, and what must not be lost by them.
#include "unit/tcp/translator_fixture.hh"

namespace sf::tcp {
namespace {

using host::HostError;

class TranslatorClose : public TranslatorTest {
 protected:
  TranslatorClose() { establish(); }
};

TEST_F(TranslatorClose, TheGuestFirst) {
  guest({.length = 10, .fin = true});
  turn();
  far_end(100, true);
  EXPECT_TRUE(socket().shut);
  turn();
  EXPECT_TRUE(heard_fin());
  EXPECT_EQ(host_.open_sockets(), 0U);
  EXPECT_TRUE(socket().closed) << "closed, not reset";
  guest({.at = 11, .ack = 101});
  EXPECT_TRUE(finished());
}

TEST_F(TranslatorClose, TheHostFirst) {
  far_end(100, true);
  turn();
  guest({.ack = 101, .length = 10, .fin = true});
  EXPECT_TRUE(socket().closed);
  turn();
  EXPECT_EQ(hear(frames() - 1).ack, 11U);
  EXPECT_FALSE(finished()) << "TIME-WAIT";
  pass(Connection::kTimeWait);
  EXPECT_TRUE(finished());
}

TEST_F(TranslatorClose, TheHostsFinGoesWithItsLastBytes) {
  far_end(100, true);
  turn();
  ASSERT_EQ(frames(), 1U) << "one frame, and so one ACK";
  EXPECT_EQ(hear(0).payload.size(), 100U);
  EXPECT_TRUE(hear(0).flags.fin);
}

TEST_F(TranslatorClose, TheLastBytesComeBeforeTheReset) {
  socket().receive_error = HostError::reset;
  const OwnedBytes sent = pattern(100);
  socket().incoming.assign(sent.begin(), sent.end());
  event({.readable = true, .error = true, .hang_up = true});
  turn();
  EXPECT_EQ(heard_bytes(), sent);
  EXPECT_TRUE(heard_reset());
  EXPECT_TRUE(finished());
}

TEST_F(TranslatorClose, BothAtOnce) {
  far_end(0, true);
  turn();
  guest({.fin = true});
  turn();
  EXPECT_TRUE(socket().closed);
  guest({.at = 1, .ack = 1});
  EXPECT_FALSE(finished());
  pass(Connection::kTimeWait);
  EXPECT_TRUE(finished());
}

// What was acknowledged to the guest reaches the host, however long that takes, also where the guest is done.
TEST_F(TranslatorClose, WhatIsHeldOutlivesTheGuestsLastAck) {
  socket().takes = 10;
  guest({.length = 1000, .fin = true});
  turn();
  far_end(0, true);
  turn();
  guest({.at = 1001, .ack = 1});
  ASSERT_FALSE(finished());
  pass(10min);
  ASSERT_FALSE(finished());
  EXPECT_TRUE(socket().open());
  socket().takes = host::StreamHost::kAll;
  event({.writable = true});
  turn();
  EXPECT_EQ(socket().taken, pattern(1000));
  EXPECT_TRUE(socket().shut);
  EXPECT_TRUE(socket().closed);
  EXPECT_TRUE(finished());
}

TEST_F(TranslatorClose, WhatIsHeldOutlivesTimeWait) {
  socket().takes = 10;
  far_end(0, true);
  turn();
  guest({.ack = 1, .length = 1000, .fin = true});
  turn();
  pass(Connection::kTimeWait);
  ASSERT_FALSE(finished());
  pass(10min);
  ASSERT_FALSE(finished());
  socket().takes = host::StreamHost::kAll;
  event({.writable = true});
  turn();
  EXPECT_EQ(socket().taken, pattern(1000));
  EXPECT_TRUE(socket().closed);
  EXPECT_TRUE(finished());
}

TEST_F(TranslatorClose, AHostThatTakesNothingForLongIsGivenUp) {
  socket().takes = 10;
  far_end(0, true);
  turn();
  guest({.ack = 1, .length = 1000, .fin = true});
  turn();
  pass(Connection::kTimeWait);
  pass(Translator::kLinger - 1s);
  ASSERT_FALSE(finished());
  // As long as some of it goes on, it is waited for.
  socket().takes = 10;
  event({.writable = true});
  turn();
  pass(2s);
  ASSERT_FALSE(finished());
  pass(Translator::kLinger);
  EXPECT_TRUE(finished());
  EXPECT_TRUE(socket().aborted);
}

TEST_F(TranslatorClose, AResetInTimeWaitDoesNotKeepTheFlowForEver) {
  socket().takes = 10;
  far_end(0, true);
  turn();
  guest({.ack = 1, .length = 1000, .fin = true});
  turn();
  guest({.at = 1001, .ack = 1, .rst = true});
  turn();
  ASSERT_FALSE(finished()) << "what was acknowledged still goes to the host";
  pass(Translator::kLinger);
  EXPECT_TRUE(finished());
}

TEST_F(TranslatorClose, WhatIsHeldIsPassedOnWithinTimeWait) {
  socket().takes = 10;
  far_end(0, true);
  turn();
  guest({.ack = 1, .length = 1000, .fin = true});
  turn();
  socket().takes = host::StreamHost::kAll;
  event({.writable = true});
  turn();
  EXPECT_EQ(socket().taken, pattern(1000));
  EXPECT_TRUE(socket().closed);
  EXPECT_FALSE(finished());
  pass(Connection::kTimeWait);
  EXPECT_TRUE(finished());
}

TEST_F(TranslatorClose, AHostThatFailsMeanwhileEndsIt) {
  socket().takes = 10;
  guest({.length = 1000, .fin = true});
  turn();
  far_end(0, true);
  turn();
  guest({.at = 1001, .ack = 1});
  ASSERT_FALSE(finished());
  socket().send_error = HostError::reset;
  event({.writable = true, .error = true, .hang_up = true});
  turn();
  EXPECT_TRUE(finished());
  EXPECT_EQ(host_.open_sockets(), 0U);
}

// --- a host that fails

TEST_F(TranslatorClose, WhatTheHostHadSaidIsStillHeard) {
  guest({.window = 10});  // * 256
  far_end(5000);
  socket().receive_error = HostError::reset;
  turn();
  EXPECT_EQ(heard_bytes(), pattern(2560));
  socket().send_error = HostError::reset;
  guest({.ack = 0, .length = 100, .window = 10});  // finds out
  turn();
  EXPECT_FALSE(finished());
  EXPECT_FALSE(heard_reset());
  guest({.at = 100, .ack = 2560, .window = 100});
  turn();
  EXPECT_TRUE(finished());
  EXPECT_TRUE(heard_reset());
  std::size_t heard = 0;
  for (std::size_t i = 0; i < frames(); ++i) heard += hear(i).payload.size();
  EXPECT_EQ(heard, 5000U);
}

TEST_F(TranslatorClose, AFailedSendAndThenTheEndIsAReset) {
  socket().send_error = HostError::reset;
  socket().ended = true;  // the error was told once
  guest({.length = 100});
  turn();
  EXPECT_TRUE(heard_reset());
  EXPECT_TRUE(finished());
}

// Whatever the reason: bytes may not be acknowledged to the guest that nobody takes.
TEST_F(TranslatorClose, AFailedSendOfAHostThatIsSilentIsAReset) {
  socket().send_error = HostError::no_memory;
  guest({.length = 100});
  turn();
  EXPECT_TRUE(heard_reset());
  EXPECT_TRUE(finished());
  EXPECT_EQ(host_.open_sockets(), 0U);
}

TEST_F(TranslatorClose, AFailureWhileTheTailIsPassedOn) {
  socket().takes = 10;
  guest({.length = 1000});
  guest({.at = 2000, .length = 1000});
  turn();
  socket().send_error = HostError::reset;
  socket().receive_error = HostError::reset;
  event({.writable = true, .error = true, .hang_up = true});
  turn();
  EXPECT_TRUE(finished());
  EXPECT_TRUE(heard_reset());
}

TEST_F(TranslatorClose, AResetAfterTheFarEndsFin) {
  far_end(100, true);
  turn();
  EXPECT_TRUE(heard_fin());
  event({.error = true, .hang_up = true});
  EXPECT_TRUE(heard_reset());
  EXPECT_TRUE(finished());
  EXPECT_EQ(host_.open_sockets(), 0U);
}

TEST_F(TranslatorClose, AFailedSendAfterTheFarEndsFin) {
  far_end(100, true);
  turn();
  socket().send_error = HostError::reset;
  guest({.ack = 101, .length = 1000, .fin = true});
  turn();
  EXPECT_TRUE(finished());
  EXPECT_TRUE(heard_reset());
  EXPECT_EQ(host_.open_sockets(), 0U);
}

TEST_F(TranslatorClose, AnEventOfASocketThatIsClosedIsNothing) {
  guest({.fin = true});
  far_end(0, true);
  turn();
  ASSERT_TRUE(socket().closed);
  event({.readable = true, .writable = true, .error = true, .hang_up = true});
  EXPECT_FALSE(finished());
}

// --- ended from outside

TEST_F(TranslatorClose, AbortResetsBothSides) {
  translator_.abort(flow());
  EXPECT_TRUE(finished());
  EXPECT_TRUE(heard_reset());
  EXPECT_TRUE(socket().aborted);
  translator_.abort(flow());
  EXPECT_EQ(frames(), 1U);
}

TEST_F(TranslatorClose, AbortAlsoOfWhatIsHeldForTheHost) {
  socket().takes = 10;
  guest({.length = 1000, .fin = true});
  turn();
  far_end(0, true);
  turn();
  guest({.at = 1001, .ack = 1});
  translator_.abort(flow());
  EXPECT_TRUE(finished());
  EXPECT_EQ(host_.open_sockets(), 0U);
}

TEST_F(TranslatorClose, ForgetSaysNothingToTheGuest) {
  translator_.forget(flow());
  EXPECT_TRUE(finished());
  EXPECT_EQ(frames(), 0U);
  EXPECT_TRUE(socket().aborted);
}

TEST_F(TranslatorClose, AGuestThatHasVanishedIsGivenUp) {
  far_end(1000);
  turn();
  for (int i = 0; i < 100 && !finished(); ++i) pass(Translator::deadline(flow()) - now_);
  EXPECT_TRUE(finished());
  EXPECT_TRUE(socket().aborted);
  EXPECT_EQ(translator_.counters().given_up, 1U);
}

// The far end may have vanished, of which the guest's own probes, answered here, would not tell.
TEST_F(TranslatorClose, AGuestThatProbesHasTheHostProbe) {
  establish();
  guest({.length = 10});
  turn();
  guest({.at = 10});
  EXPECT_EQ(socket().kept_alive, 0) << "an ordinary ACK";
  guest({.at = 9});
  EXPECT_EQ(socket().kept_alive, 1);
  guest({.at = 9});
  EXPECT_EQ(socket().kept_alive, 1) << "once is enough";
}

TEST_F(TranslatorClose, AProbeOfAShutWindowIsNoKeepAlive) {
  establish();
  socket().takes = 0;
  guest({.length = 10});
  turn();
  guest({.at = 9});
  EXPECT_EQ(socket().kept_alive, 0);
}

}  // namespace
}  // namespace sf::tcp
