// When ACKs go to the guest: at once, or with what follows.
#include "unit/tcp/connection_fixture.hh"

namespace sf::tcp {
namespace {

class ConnectionAck : public ConnectionTest {
 protected:
  ConnectionAck() { establish(); }

  // The guest sends a small message; what goes out in this turn.
  std::string message(std::uint32_t length = 10) {
    hear({.at = from_guest_, .ack = to_guest_, .length = length});
    from_guest_ += length;
    return out();
  }
  // The host does, `later`. The guest acknowledges it with what it sends next.
  std::string answer(Duration later = 1ms) {
    EXPECT_TRUE(pass(later));
    write(20);
    const std::string sent = out();
    to_guest_ += 20;
    return sent;
  }
  void learn() {
    for (int i = 0; i < AckTiming::kPatientAfter; ++i) {
      EXPECT_NE(message(), "") << "round " << i;
      EXPECT_NE(answer(), "");
    }
  }

  std::uint32_t from_guest_ = 0;
  std::uint32_t to_guest_ = 0;
};

TEST_F(ConnectionAck, AtOnceWhereNothingIsKnown) {
  EXPECT_EQ(message(), "A 0:0 10");
}

TEST_F(ConnectionAck, WithTheAnswerWhereOneHasComeEachTime) {
  learn();
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(message(), "") << "round " << i;
    const std::string sent = answer();
    EXPECT_EQ(sent, "A " + std::to_string(to_guest_ - 20) + ":20 " + std::to_string(from_guest_));
  }
}

TEST_F(ConnectionAck, ByItselfWhereTheAnswerStaysAway) {
  learn();
  EXPECT_EQ(message(), "");
  EXPECT_EQ(connection().deadline(), now_ + AckTiming::kDelay);
  EXPECT_TRUE(pass(AckTiming::kDelay));
  EXPECT_EQ(out(), "A 80:0 50");
  EXPECT_EQ(message(), "A 80:0 60") << "it has to be learnt anew";
}

TEST_F(ConnectionAck, AtOnceForTheSecondMessage) {
  learn();
  EXPECT_EQ(message(), "");
  EXPECT_EQ(message(), "A 80:0 60");
}

TEST_F(ConnectionAck, AGuestThatWaitsForOneBetweenItsMessagesNeverWaitsLonger) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_NE(message(), "") << "round " << i;
    EXPECT_NE(message(), "") << "round " << i;
    answer();
  }
}

TEST_F(ConnectionAck, AnswersThatComeLateAreNotWaitedFor) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_NE(message(), "") << "round " << i;
    answer(AckTiming::kDelay + 1ms);
  }
}

TEST_F(ConnectionAck, OneBurstOfTheGuestsAndItHasToBeLearntAnew) {
  learn();
  for (int i = 0; i < 4; ++i) message(1460);
  answer();
  EXPECT_NE(message(), "");
}

TEST_F(ConnectionAck, AtOnceForAWholeSegment) {
  learn();
  EXPECT_EQ(message(1460), "A 80:0 1500");
}

TEST_F(ConnectionAck, AtOnceForAGapAndForWhatFillsIt) {
  learn();
  hear({.at = from_guest_ + 10, .ack = to_guest_, .length = 10});
  EXPECT_EQ(out(), "A 80:0 40");
  hear({.at = from_guest_, .ack = to_guest_, .length = 10});
  EXPECT_EQ(out(), "A 80:0 60");
}

TEST_F(ConnectionAck, AtOnceForWhatIsThereAlready) {
  learn();
  hear({.at = from_guest_ - 10, .ack = to_guest_, .length = 10});
  EXPECT_EQ(out(), "A 80:0 40");
}

TEST_F(ConnectionAck, OfAFinWithOurOwn) {
  hear({.length = 10});
  hear({.at = 10, .fin = true});
  EXPECT_EQ(out(), "");
  EXPECT_EQ(connection().deadline(), now_ + AckTiming::kFinDelay);
  connection().host_finished();
  EXPECT_EQ(out(), "FA 0:0 11");
  EXPECT_GT(connection().deadline(), now_ + AckTiming::kFinDelay);
}

TEST_F(ConnectionAck, OfAFinThatComesAgain) {
  hear({.fin = true});
  EXPECT_EQ(out(), "");
  hear({.fin = true});
  EXPECT_EQ(out(), "A 0:0 1");
}

TEST_F(ConnectionAck, OfAFinAfterOursAtOnce) {
  connection().host_finished();
  EXPECT_EQ(out(), "FA 0:0 0");
  hear({.ack = 1, .fin = true});
  EXPECT_EQ(out(), "A 1:0 1");
}

}  // namespace
}  // namespace sf::tcp
