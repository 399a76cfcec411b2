#include "host/splice.hh"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "unit/host/loopback_support.hh"

namespace sf::host {
namespace {

using Side = SplicedPair::Side;
using Outcome = SplicedPair::Outcome;

// client <-> [near_client | near_guest] <-> guest, with the events of an edge-triggered epoll in between, as
// the event loop hands them out.
class SpliceTest : public testing::Test {
 protected:
  void SetUp() override {
    std::signal(SIGPIPE, SIG_IGN);  // as the program does
    connect_all();
  }

  void connect_all(int buffer = 0) {
    auto [client, near_client] = tcp_pair(buffer);
    auto [guest, near_guest] = tcp_pair(buffer);
    client_ = std::move(client);
    guest_ = std::move(guest);
    epoll_.reset(::epoll_create1(0));
    watch(near_client.get(), 0);
    watch(near_guest.get(), 1);
    pair_.emplace(std::move(near_client), std::move(near_guest));
  }
  void watch(int fd, std::uint64_t side) const {
    epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET, .data = {.u64 = side}};
    ASSERT_EQ(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event), 0);
  }

  // The loop's turns until nothing happens for `quiet` milliseconds, or the pair is at its end.
  Outcome turns(int quiet = 50) {
    while (outcome_ == Outcome::waiting || outcome_ == Outcome::more) {
      std::array<epoll_event, 2> events{};
      const int count = ::epoll_wait(epoll_.get(), events.data(), 2, outcome_ == Outcome::more ? 0 : quiet);
      if (count == 0 && outcome_ == Outcome::waiting) break;
      for (int i = 0; i < count; ++i) {
        const std::uint32_t e = events[static_cast<std::size_t>(i)].events;
        pair_->on_event(static_cast<Side>(events[static_cast<std::size_t>(i)].data.u64),
                        {.readable = (e & EPOLLIN) != 0,
                         .writable = (e & EPOLLOUT) != 0,
                         .read_closed = (e & (EPOLLRDHUP | EPOLLPRI)) != 0,
                         .error = (e & EPOLLERR) != 0,
                         .hang_up = (e & EPOLLHUP) != 0});
      }
      outcome_ = pair_->run(pool_);
    }
    return outcome_;
  }

  // Moves `text` from `from` to `to` in writes and reads of at most `write` and `read` bytes.
  std::string carry(const UniqueFd& from, const UniqueFd& to, const std::string& text, std::size_t write,
                    std::size_t read) {
    std::string got;
    std::size_t put = 0;
    for (int idle = 0; got.size() < text.size() && idle < 2000;) {
      const std::size_t before = put + got.size();
      const ssize_t n = ::send(from.get(), text.data() + put, std::min(write, text.size() - put),
                               MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n > 0) put += static_cast<std::size_t>(n);
      turns(1);
      got += receive_some(to, read);
      idle = put + got.size() == before ? idle + 1 : 0;
    }
    return got;
  }

  UniqueFd client_;
  UniqueFd guest_;
  UniqueFd epoll_;
  SplicePool pool_;
  std::optional<SplicedPair> pair_;
  Outcome outcome_ = Outcome::waiting;
};

TEST_F(SpliceTest, CarriesBothWays) {
  send_all(client_, "question");
  turns();
  EXPECT_EQ(receive_some(guest_), "question");
  send_all(guest_, "the answer");
  turns();
  EXPECT_EQ(receive_some(client_), "the answer");
  EXPECT_EQ(pair_->bytes_to_guest(), 8U);
  EXPECT_EQ(pair_->bytes_from_guest(), 10U);
  EXPECT_EQ(pair_->bytes(), 18U);
}

TEST_F(SpliceTest, CarriesMuchUnchanged) {
  const std::string text = noise(24 << 20, 1);
  EXPECT_TRUE(carry(client_, guest_, text, 1 << 20, 1 << 20) == text);
  const std::string back = noise(24 << 20, 2);
  EXPECT_TRUE(carry(guest_, client_, back, 1 << 20, 1 << 20) == back);
}

TEST_F(SpliceTest, WaitsForASlowReader) {
  const std::string text = noise(4 << 20, 3);
  EXPECT_TRUE(carry(client_, guest_, text, 1 << 20, 10007) == text);
}

TEST_F(SpliceTest, KeepsATailWithSmallBuffers) {
  connect_all(4096);
  const std::string text = noise(300'000, 4);
  EXPECT_TRUE(carry(guest_, client_, text, 60'000, 3001) == text);
}

TEST_F(SpliceTest, CarriesManySmallMessages) {
  std::string expected;
  std::string got;
  for (int i = 0; i < 5000; ++i) {
    const std::string message = std::to_string(i) + ' ';
    expected += message;
    send_all(client_, message);
    turns(0);
    got += receive_some(guest_);
  }
  turns();
  got += receive_some(guest_);
  EXPECT_EQ(got, expected);
}

TEST_F(SpliceTest, BothBlockedAtOnceComeLooseAgain) {
  const std::string text = noise(32 << 20, 5);
  for (const UniqueFd* side : {&client_, &guest_}) {
    static_cast<void>(::send(side->get(), text.data(), text.size(), MSG_DONTWAIT));
  }
  turns();
  const auto to_guest = pair_->bytes_to_guest();
  std::string at_guest;
  std::string at_client;
  for (int idle = 0; idle < 500;) {
    const std::size_t before = at_guest.size() + at_client.size();
    at_guest += receive_some(guest_, 1 << 20);
    at_client += receive_some(client_, 1 << 20);
    turns(1);
    idle = at_guest.size() + at_client.size() == before ? idle + 1 : 0;
  }
  EXPECT_GE(at_guest.size(), to_guest);
  EXPECT_TRUE(at_guest == text.substr(0, at_guest.size()));
  EXPECT_TRUE(at_client == text.substr(0, at_client.size()));
  EXPECT_EQ(at_guest.size(), pair_->bytes_to_guest());
  EXPECT_EQ(at_client.size(), pair_->bytes_from_guest());
}

TEST_F(SpliceTest, CarriesWhileBothEndsAreAtWork) {
  const std::string text = noise(64 << 20, 6);
  std::jthread sender([&] { send_all(client_, text); });
  std::size_t got = 0;
  std::jthread reader([&] {
    std::vector<char> buffer(1 << 20);
    while (got < text.size()) {
      const ssize_t n = ::recv(guest_.get(), buffer.data(), buffer.size(), 0);
      if (n <= 0) break;
      got += static_cast<std::size_t>(n);
    }
  });
  turns(1000);
  reader.join();
  EXPECT_EQ(got, text.size());
}

TEST_F(SpliceTest, HalfCloseOfTheClientFirst) {
  send_all(client_, "all");
  ::shutdown(client_.get(), SHUT_WR);
  turns();
  EXPECT_EQ(receive_to_end(guest_), "all");
  EXPECT_TRUE(pair_->client_finished());
  EXPECT_FALSE(pair_->guest_finished());
  send_all(guest_, "answer");
  guest_.reset();
  EXPECT_EQ(turns(), Outcome::done);
  pair_.reset();
  EXPECT_EQ(receive_to_end(client_), "answer");
}

TEST_F(SpliceTest, HalfCloseOfTheGuestFirst) {
  send_all(guest_, "banner");
  ::shutdown(guest_.get(), SHUT_WR);
  turns();
  EXPECT_EQ(receive_to_end(client_), "banner");
  send_all(client_, "late");
  ::shutdown(client_.get(), SHUT_WR);
  EXPECT_EQ(turns(), Outcome::done);
  pair_.reset();
  EXPECT_EQ(receive_to_end(guest_), "late");
}

TEST_F(SpliceTest, AFinBehindMuchDataIsPassedOn) {
  const std::string text = noise(3 << 20, 7);
  std::size_t put = 0;
  std::string got;
  while (got.size() < text.size()) {
    const ssize_t n = ::send(client_.get(), text.data() + put, text.size() - put, MSG_DONTWAIT);
    if (n > 0) put += static_cast<std::size_t>(n);
    if (put == text.size()) ::shutdown(client_.get(), SHUT_WR);
    turns(1);
    const std::string more = receive_some(guest_, 70'001);
    if (more.empty() && n <= 0 && put == text.size()) break;
    got += more;
  }
  turns();
  EXPECT_TRUE(got + receive_to_end(guest_) == text);
}

TEST_F(SpliceTest, AResetResetsTheOther) {
  reset(client_);
  EXPECT_EQ(turns(), Outcome::failed);
  pair_->abort();
  EXPECT_EQ(read_error(guest_), ECONNRESET);
}

TEST_F(SpliceTest, AResetAfterHalfCloseIsNoticedWithoutData) {
  for (UniqueFd* side : {&client_, &guest_}) {
    outcome_ = Outcome::waiting;
    connect_all();
    ::shutdown(side->get(), SHUT_WR);
    EXPECT_EQ(turns(), Outcome::waiting);
    reset(*side);
    EXPECT_EQ(turns(), Outcome::failed);
  }
}

TEST_F(SpliceTest, AResetAfterHalfCloseIsNoSignal) {
  ::shutdown(client_.get(), SHUT_WR);
  turns();
  reset(client_);
  const std::string text = noise(1 << 20, 8);
  static_cast<void>(::send(guest_.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
  EXPECT_EQ(turns(), Outcome::failed);
}

// A service that answers before it has read everything, and closes: the answer comes first.
TEST_F(SpliceTest, TheLastWordOfARefusingGuestIsDelivered) {
  send_all(client_, noise(20'000, 9));
  turns();
  send_all(guest_, "413 too large");
  guest_.reset();  // with unread data: a reset
  send_all(client_, "more");
  EXPECT_EQ(turns(), Outcome::failed);
  EXPECT_EQ(receive_some(client_), "413 too large");
}

TEST_F(SpliceTest, UrgentDataDoesNotStopAStream) {
  const std::string text = noise(1 << 20, 10);
  std::string got;
  std::size_t put = 0;
  for (int i = 0; i < 3000 && got.size() < text.size() * 2; ++i) {
    if (put == text.size()) {
      ASSERT_EQ(::send(client_.get(), "!", 1, MSG_OOB), 1);
      ++put;
      continue;
    }
    const std::size_t at = put > text.size() ? put - text.size() - 1 : put;
    const ssize_t n = ::send(client_.get(), text.data() + at, text.size() - at, MSG_DONTWAIT);
    if (n > 0) put += static_cast<std::size_t>(n);
    turns(1);
    got += receive_some(guest_, 1 << 20);
  }
  EXPECT_TRUE(got == text + text) << got.size();
}

// A read stops at the urgent byte, and so says nothing about what is behind it: there will be no other event.
TEST_F(SpliceTest, WhatIsBehindAnUrgentByteArrives) {
  send_all(client_, "abc");
  ASSERT_EQ(::send(client_.get(), "!", 1, MSG_OOB), 1);
  send_all(client_, "def");
  turns();
  EXPECT_EQ(receive_some(guest_), "abcdef");
}

// splice(2) stops there as well, and says 0 once the FIN is known, as at the end.
TEST_F(SpliceTest, AFinBehindAnUrgentByteLosesNothing) {
  const std::string text = noise(1 << 20, 13);
  std::size_t put = 0;
  std::string got;
  for (int i = 0; i < 3000 && put < text.size(); ++i) {
    const ssize_t n = ::send(client_.get(), text.data() + put, text.size() - put, MSG_DONTWAIT);
    if (n > 0) put += static_cast<std::size_t>(n);
    if (put == text.size()) {
      ASSERT_EQ(::send(client_.get(), "!", 1, MSG_OOB), 1);
      send_all(client_, "the end");
      ::shutdown(client_.get(), SHUT_WR);
    }
    turns(1);
    got += receive_some(guest_, 1 << 20);
  }
  for (int i = 0; i < 100 && got.size() < text.size() + 7; ++i) {
    turns(1);
    got += receive_some(guest_, 1 << 20);
  }
  EXPECT_TRUE(got == text + "the end") << got.size();
}

TEST_F(SpliceTest, AnIdleConnectionHasNoPipe) {
  const int before = open_descriptors();
  const std::string text = noise(8 << 20, 11);
  EXPECT_TRUE(carry(client_, guest_, text, 1 << 20, 1 << 20) == text);
  turns();
  Pipe pipe = pool_.take();  // the one that it had
  EXPECT_LE(open_descriptors(), before + 2);
  EXPECT_TRUE(pipe.read);
}

TEST_F(SpliceTest, WithoutADescriptorForAPipeTheBytesAreCopied) {
  const std::string text = noise(8 << 20, 12);
  const NoMoreDescriptors limit;
  EXPECT_TRUE(carry(client_, guest_, text, 1 << 20, 1 << 20) == text);
}

TEST_F(SpliceTest, APipeIsAsLargeAsAUserMayHave) {
  const Pipe pipe = pool_.take();
  ASSERT_TRUE(pipe.write);
  EXPECT_EQ(::fcntl(pipe.write.get(), F_GETPIPE_SZ), SplicePool::kPipeSize);
}

TEST_F(SpliceTest, APipeTakesNoDescriptorThatIsKeptBack) {
  const int next = Descriptors{}.next();
  SplicePool pool(Descriptors{.limit = next});
  EXPECT_FALSE(pool.take().read);
  EXPECT_EQ(Descriptors{}.next(), next) << "and leaves none open";
}

TEST_F(SpliceTest, FewEmptyPipesAreKept) {
  const int before = open_descriptors();
  std::vector<Pipe> pipes;
  for (std::size_t i = 0; i < SplicePool::kSparePipes + 4; ++i) pipes.push_back(pool_.take());
  for (Pipe& pipe : pipes) pool_.give_back(std::move(pipe));
  EXPECT_EQ(open_descriptors(), before + 2 * static_cast<int>(SplicePool::kSparePipes));
}

// What goes through a pipe never comes to the buffer. Twice: what was counted before must not count again.
TEST_F(SpliceTest, AStreamThatGetsFewBytesIsCopiedAgain) {
  for (const unsigned round : {1U, 2U}) {
    const std::string text = noise(8 << 20, 20 + round);
    EXPECT_TRUE(carry(client_, guest_, text, 1 << 20, 1 << 20) == text);
    const auto copied = [&](const std::string& word) {
      EXPECT_EQ(carry(client_, guest_, word, word.size(), word.size()), word);
      return std::equal(word.begin(), word.end(), pool_.buffer().begin());
    };
    EXPECT_FALSE(copied("first" + std::to_string(round))) << "it goes through a pipe for a while";
    for (int i = 0; i < 10; ++i) static_cast<void>(copied("word" + std::to_string(round)));
    EXPECT_TRUE(copied("last" + std::to_string(round)));
  }
}

TEST_F(SpliceTest, FewBytesAreCountedAnewWithEachStream) {
  const auto copied = [&](const std::string& word) {
    EXPECT_EQ(carry(client_, guest_, word, word.size(), word.size()), word);
    return std::equal(word.begin(), word.end(), pool_.buffer().begin());
  };
  for (const char round : {'a', 'b'}) {
    // As much as a read takes is a sign of many, and this time there are none.
    EXPECT_TRUE(copied(std::string(SplicePool::kBuffer, round)));
    for (int i = 0; i < 10; ++i) static_cast<void>(copied(std::string(5, round)));
    EXPECT_TRUE(copied(std::string("last") + round));
  }
}

TEST_F(SpliceTest, FinishingDeliversWhatTheGuestHasSaid) {
  send_all(guest_, "last words");
  guest_.reset();
  pair_->finish(pool_);  // no event has been looked at
  pair_.reset();
  EXPECT_EQ(receive_to_end(client_), "last words");
}

TEST_F(SpliceTest, FinishingResetsWhatIsNotComplete) {
  send_all(guest_, "half");
  pair_->finish(pool_);
  pair_.reset();
  EXPECT_EQ(read_error(client_, "half"), ECONNRESET);
}

}  // namespace
}  // namespace sf::host
