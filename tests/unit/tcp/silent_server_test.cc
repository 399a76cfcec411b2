// A name server that takes the connection and the question, and says nothing: it is set aside, and not given
// up.
#include "unit/tcp/translator_fixture.hh"

namespace sf::tcp {
namespace {

using host::HostError;

class SilentServer : public TranslatorTest {
 protected:
  static constexpr std::uint32_t kQuestion = 30;

  SilentServer() {
    host_.configured.servers = {{Address::v4(192, 0, 2, 1), 53}, {Address::v4(192, 0, 2, 2), 53}};
  }
  // The first server has heard the question and been silent; the next one is being connected to.
  void set_aside() {
    connect(true);
    connected();
    turn();
    learn_iss();
    guest({.window = 0xffff});
    guest({.length = kQuestion});
    turn();
    pass(Translator::kDnsAnswerTimeout);
    ASSERT_EQ(host_.sockets.size(), 2U);
    link_.sent.clear();
  }
  host::StreamHost::Socket& first() { return host_.sockets[0]; }
  void first_answers(std::size_t bytes) {
    const OwnedBytes answer = pattern(bytes);
    first().incoming.assign(answer.begin(), answer.end());
    event({.readable = true});
    turn();
  }
  void refuse() {
    socket().connected = HostError::refused;
    event({.error = true});
    turn();
  }
  OwnedBytes first_heard() { return {first().taken.begin(), first().taken.end()}; }
};

TEST_F(SilentServer, AnswersWhileTheNextIsBeingConnectedTo) {
  set_aside();
  first_answers(50);
  EXPECT_EQ(heard_bytes(), pattern(50));
  EXPECT_TRUE(host_.sockets[1].closed);
  EXPECT_EQ(host_.open_sockets(), 1U);
  guest({.at = kQuestion, .ack = 50, .length = 5});
  turn();
  EXPECT_EQ(first_heard(), pattern(kQuestion + 5)) << "and is the one from now on";
}

TEST_F(SilentServer, AnswersWhileTheNextIsSilentToo) {
  set_aside();
  connected();
  turn();
  EXPECT_EQ(socket().taken.size(), kQuestion);
  pass(Translator::kDnsAnswerTimeout + 1s);
  EXPECT_EQ(host_.open_sockets(), 2U) << "both are waited for";
  first_answers(50);
  EXPECT_EQ(heard_bytes(), pattern(50));
  EXPECT_TRUE(host_.sockets[1].closed);
}

TEST_F(SilentServer, IsWhatIsLeftWhereTheNextRefuses) {
  set_aside();
  refuse();
  EXPECT_FALSE(finished());
  EXPECT_EQ(frames(), 0U);
  EXPECT_EQ(host_.open_sockets(), 1U);
  EXPECT_TRUE(first().open());
  EXPECT_EQ(first_heard(), pattern(kQuestion)) << "once";
  pass(Translator::kDnsAnswerTimeout + 1s);
  EXPECT_FALSE(finished()) << "the last one is waited for";
  first_answers(50);
  EXPECT_EQ(heard_bytes(), pattern(50));
}

TEST_F(SilentServer, IsWhatIsLeftWhereTheNextCannotBeReached) {
  set_aside();
  pass(Translator::kDnsConnectTimeout);
  EXPECT_FALSE(finished());
  EXPECT_TRUE(first().open());
  EXPECT_EQ(host_.open_sockets(), 1U);
  first_answers(50);
  EXPECT_EQ(heard_bytes(), pattern(50));
}

TEST_F(SilentServer, IsWhatIsLeftWhereTheNextEndsWithoutAnAnswer) {
  for (const bool reset : {false, true}) {
    host_.sockets.clear();
    far_sent_ = 0;
    iss_ = 0;
    set_aside();
    connected();
    if (reset) socket().receive_error = HostError::reset;
    far_end(0, !reset);
    turn();
    EXPECT_FALSE(finished());
    EXPECT_TRUE(first().open());
    EXPECT_EQ(host_.open_sockets(), 1U);
    first_answers(50);
    EXPECT_EQ(heard_bytes(), pattern(50));
    translator_.abort(flow());
    link_.sent.clear();
  }
}

TEST_F(SilentServer, HearsWhatTheGuestHasSaidMeanwhile) {
  set_aside();
  connected();
  guest({.at = kQuestion, .length = 20});
  turn();
  EXPECT_EQ(socket().taken.size(), kQuestion + 20U);
  EXPECT_EQ(first().taken.size(), kQuestion);
  first_answers(50);
  EXPECT_EQ(heard_bytes(), pattern(50));
  EXPECT_EQ(first_heard(), pattern(kQuestion + 20));
  guest({.at = kQuestion + 20, .ack = 50, .length = 5, .fin = true});
  turn();
  EXPECT_EQ(first_heard(), pattern(kQuestion + 25));
  EXPECT_TRUE(first().shut);
}

TEST_F(SilentServer, WhatItDoesNotTakeAtOnceIsNotLost) {
  set_aside();
  connected();
  guest({.at = kQuestion, .length = 20});
  turn();
  first().takes = 8;
  first_answers(50);
  EXPECT_EQ(first().taken.size(), kQuestion + 8U);
  guest({.at = kQuestion + 20, .ack = 50, .length = 5});
  turn();
  first().takes = host::StreamHost::kAll;
  event({.writable = true});
  EXPECT_EQ(first_heard(), pattern(kQuestion + 25));
}

TEST_F(SilentServer, TheGuestsEndIsToldToWhomItWasNot) {
  set_aside();
  guest({.at = kQuestion, .fin = true});
  connected();
  turn();
  EXPECT_TRUE(socket().shut);
  EXPECT_FALSE(first().shut);
  first_answers(50);
  EXPECT_TRUE(first().shut);
}

TEST_F(SilentServer, ThatHasGoneIsNotWaitedFor) {
  set_aside();
  first().ended = true;
  event({.readable = true, .read_closed = true});
  turn();
  EXPECT_TRUE(first().closed);
  EXPECT_FALSE(finished()) << "the next one may answer";
  refuse();
  EXPECT_TRUE(finished());
  EXPECT_TRUE(heard_reset());
  EXPECT_EQ(host_.open_sockets(), 0U);
}

TEST_F(SilentServer, OfThreeTheFirstIsTheOneThatIsKept) {
  host_.configured.servers.push_back({Address::v4(192, 0, 2, 3), 53});
  set_aside();
  connected();
  turn();
  pass(Translator::kDnsAnswerTimeout);
  ASSERT_EQ(host_.sockets.size(), 3U);
  EXPECT_TRUE(host_.sockets[1].closed);
  refuse();
  EXPECT_TRUE(first().open());
  EXPECT_FALSE(finished());
}

TEST_F(SilentServer, GoesWithTheFlow) {
  set_aside();
  guest({.at = kQuestion, .rst = true});
  EXPECT_TRUE(finished());
  EXPECT_EQ(host_.open_sockets(), 0U);
}

}  // namespace
}  // namespace sf::tcp
