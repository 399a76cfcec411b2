#include "host/guest_sockets.hh"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

namespace sf::host {
namespace {

constexpr GuestSocketKind kTcp4{.stream = true, .v4 = true};
constexpr GuestSocketKind kTcp6{.stream = true, .v4 = false};
constexpr GuestSocketKind kUdp4{.stream = false, .v4 = true};

class GuestSocketsTest : public testing::Test {
 protected:
  // What stands for sockets here.
  static std::vector<UniqueFd> some(std::size_t count) {
    std::vector<UniqueFd> made;
    while (made.size() < count) made.emplace_back(::dup(0));
    return made;
  }
  GuestSockets::Ask ask() {
    return [this](GuestSocketKind kind, unsigned count) {
      asked_ +=
          std::string(kind.stream ? "s" : "d") + (kind.v4 ? "4" : "6") + ' ' + std::to_string(count) + ';';
    };
  }
  GuestSockets::Taker taker() {
    return [this](UniqueFd socket) { ++(socket ? got_ : none_); };
  }
  std::string asked() { return std::exchange(asked_, {}); }

  std::string asked_;
  int got_ = 0;
  int none_ = 0;
};

TEST_F(GuestSocketsTest, AsksOnceAndAgainForThoseWhoCameMeanwhile) {
  GuestSockets sockets(ask(), 0);
  for (int i = 0; i < 3; ++i) sockets.take(kTcp4, taker());
  EXPECT_EQ(asked(), "s4 1;");
  EXPECT_EQ(sockets.waiting(), 3U);
  sockets.on_sockets(kTcp4, some(1));
  EXPECT_EQ(got_, 1);
  EXPECT_EQ(asked(), "s4 2;");
  sockets.on_sockets(kTcp4, some(2));
  EXPECT_EQ(got_, 3);
  EXPECT_EQ(asked(), "");
  EXPECT_EQ(sockets.waiting(), 0U);
}

TEST_F(GuestSocketsTest, KindsAreAskedForSeparately) {
  GuestSockets sockets(ask(), 0);
  sockets.take(kTcp4, taker());
  sockets.take(kTcp6, taker());
  sockets.take(kUdp4, taker());
  EXPECT_EQ(asked(), "s4 1;s6 1;d4 1;");
  sockets.on_sockets(kUdp4, some(1));
  EXPECT_EQ(got_, 1);
  EXPECT_EQ(sockets.waiting(), 2U);
}

TEST_F(GuestSocketsTest, NeverAsksForMoreThanIsMadeAtOnce) {
  GuestSockets sockets(ask(), 0);
  for (int i = 0; i < 100; ++i) sockets.take(kTcp4, taker());
  EXPECT_EQ(asked(), "s4 1;");
  sockets.on_sockets(kTcp4, some(1));
  EXPECT_EQ(asked(), "s4 32;");
}

TEST_F(GuestSocketsTest, WithoutSparesNoneIsKept) {
  GuestSockets sockets(ask(), 0);
  sockets.take(kTcp4, taker());
  sockets.on_sockets(kTcp4, some(5));
  static_cast<void>(asked());
  sockets.take(kTcp4, taker());
  EXPECT_EQ(asked(), "s4 1;") << "a kept socket would hold the namespace";
}

TEST_F(GuestSocketsTest, SparesAreHandedOutAtOnceAndRefilled) {
  GuestSockets sockets(ask(), 4);
  sockets.take(kTcp4, taker());
  EXPECT_EQ(asked(), "s4 5;");
  sockets.on_sockets(kTcp4, some(5));
  for (int i = 1; i <= 2; ++i) {
    sockets.take(kTcp4, taker());
    EXPECT_EQ(got_, 1 + i);
    EXPECT_EQ(asked(), "");
  }
  sockets.take(kTcp4, taker());
  EXPECT_EQ(asked(), "s4 3;") << "when half are gone";
}

TEST_F(GuestSocketsTest, WithNoneMadeAllWhoWaitAreTold) {
  GuestSockets sockets(ask(), 4);
  for (int i = 0; i < 3; ++i) sockets.take(kTcp4, taker());
  sockets.on_sockets(kTcp4, {});
  EXPECT_EQ(none_, 3);
  EXPECT_EQ(sockets.waiting(), 0U);
  static_cast<void>(asked());
  sockets.take(kTcp4, taker());
  EXPECT_EQ(asked(), "s4 5;") << "and the next one tries again";
}

TEST_F(GuestSocketsTest, SocketsThatNobodyAskedForAreClosed) {
  GuestSockets sockets(ask(), 2);
  sockets.on_sockets(kTcp4, some(64));
  int taken = 0;
  for (; asked_.empty(); ++taken) sockets.take(kTcp4, taker());
  EXPECT_LE(taken, 3);
}

TEST_F(GuestSocketsTest, ATakerMayTakeAgain) {
  GuestSockets sockets(ask(), 0);
  int left = 3;
  std::function<void(UniqueFd)> again = [&](UniqueFd) {
    if (--left > 0) sockets.take(kTcp4, again);
  };
  sockets.take(kTcp4, again);
  sockets.on_sockets(kTcp4, some(3));
  EXPECT_EQ(left, 0);
  EXPECT_EQ(sockets.waiting(), 0U);
}

// They were made, and this process had no descriptor for them.
TEST_F(GuestSocketsTest, WhoeverWaitsForOneThatWasLostGoesOnWaiting) {
  GuestSockets sockets(ask(), 0);
  for (int i = 0; i < 3; ++i) sockets.take(kTcp4, taker());
  static_cast<void>(asked());
  sockets.on_sockets(kTcp4, some(1), 2);
  EXPECT_EQ(got_, 1);
  EXPECT_EQ(none_, 0);
  EXPECT_TRUE(sockets.starved());
  sockets.take(kTcp4, taker());
  EXPECT_EQ(asked(), "") << "not before ask_again()";
  sockets.ask_again();
  EXPECT_EQ(asked(), "s4 3;");
  sockets.on_sockets(kTcp4, {}, 3);
  EXPECT_EQ(none_, 0);
  sockets.give_up();
  EXPECT_EQ(none_, 3);
  EXPECT_FALSE(sockets.starved());
  sockets.take(kTcp4, taker());
  EXPECT_EQ(asked(), "s4 1;");
}

TEST_F(GuestSocketsTest, SparesThatWereLostAreNoReasonToAskAgain) {
  GuestSockets sockets(ask(), 4);
  sockets.take(kTcp4, taker());
  static_cast<void>(asked());
  sockets.on_sockets(kTcp4, some(1), 4);
  EXPECT_EQ(got_, 1);
  EXPECT_FALSE(sockets.starved());
}

// As the program does once the process inside is gone.
TEST_F(GuestSocketsTest, AnAnswerWithinTheQuestion) {
  GuestSockets* self = nullptr;
  GuestSockets sockets([&self](GuestSocketKind kind, unsigned) { self->on_sockets(kind, {}); }, 4);
  self = &sockets;
  for (int i = 0; i < 3; ++i) sockets.take(kTcp4, taker());
  EXPECT_EQ(none_, 3);
  EXPECT_EQ(sockets.waiting(), 0U);
}

}  // namespace
}  // namespace sf::host
