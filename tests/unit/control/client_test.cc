// Asking an instance, and others that are none: whatever is at the path, there is an answer in time.
#include "control/client.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "unit/control/control_fixture.hh"

namespace sf::control {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A socket that listens, and nothing more.
UniqueFd listen_at(const std::string& path, int backlog = 16) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address;
  EXPECT_TRUE(make_address(path, address));
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(::listen(fd.get(), backlog), 0);
  return fd;
}

// Another program: takes one client and does what the test says with it.
class Stranger {
 public:
  Stranger(const std::string& path, std::function<void(int)> answer) : listener_(listen_at(path)) {
    thread_ = std::thread([this, answer = std::move(answer)] {
      const UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      answer(client.get());
    });
  }
  ~Stranger() { thread_.join(); }
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;

 private:
  UniqueFd listener_;
  std::thread thread_;
};

std::string refusal(const Result<std::string>& reply) {
  const std::string message = reply ? "a reply: " + *reply : reply.error().message;
  EXPECT_THAT(message, Not(HasSubstr("\n")));
  return message;
}

class ControlClient : public ::testing::Test {
 protected:
  TemporaryFolder folder;
  std::string path = folder / "s";
  FakeInstance instance;
};

TEST_F(ControlClient, asks_and_hears) {
  const ServerThread server(path, instance);
  for (int i = 0; i < 3; ++i) {
    const auto reply = request(path, kRequest);
    ASSERT_TRUE(reply.has_value()) << reply.error().message;
    EXPECT_EQ(*reply, kReply);
  }
}

TEST_F(ControlClient, a_long_reply_comes_whole) {
  instance.live.resize(2000);
  const ServerThread server(path, instance);
  const auto reply = request(path, R"({"execute":"list_flows","arguments":{"limit":2000}})");
  ASSERT_TRUE(reply.has_value()) << reply.error().message;
  EXPECT_GT(reply->size(), 300'000U);
  EXPECT_TRUE(reply->ends_with("]}}"));
}

TEST_F(ControlClient, a_long_request_is_refused_by_word) {
  const ServerThread server(path, instance);
  const auto reply = request(path, std::string(5'000'000, ' '));
  ASSERT_TRUE(reply.has_value()) << reply.error().message;
  EXPECT_THAT(*reply, HasSubstr("too large message"));
}

TEST_F(ControlClient, says_what_is_wrong_with_the_path) {
  EXPECT_THAT(refusal(request(path, kRequest)), HasSubstr("No such file"));
  EXPECT_THAT(refusal(request("", kRequest)), HasSubstr("1 to 107 bytes"));
  EXPECT_THAT(refusal(request(folder / std::string(200, 'x'), kRequest)), HasSubstr("1 to 107 bytes"));
  EXPECT_THAT(refusal(request(folder.path(), kRequest)), HasSubstr("refused"));
  { const UniqueFd gone = listen_at(path); }
  EXPECT_THAT(refusal(request(path, kRequest)), HasSubstr("refused"));
}

TEST_F(ControlClient, one_that_never_answers_is_given_up) {
  const UniqueFd listener = listen_at(path);
  EXPECT_THAT(refusal(request(path, kRequest, 100ms)), HasSubstr("does not answer"));
  EXPECT_THAT(refusal(request(path, std::string(5'000'000, ' '), 100ms)), HasSubstr("does not answer"));
}

TEST_F(ControlClient, a_full_backlog_is_waited_for_and_given_up) {
  const UniqueFd listener = listen_at(path, 0);
  const RawClient first(path);
  ASSERT_TRUE(first.connected());
  EXPECT_THAT(refusal(request(path, kRequest, 100ms)), HasSubstr("does not answer"));
  EXPECT_EQ(probe(path), Answers::yes);
  std::thread takes([&listener] {
    for (int i = 0; i < 2; ++i) {
      const UniqueFd client(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      ::send(client.get(), "hello", 5, MSG_NOSIGNAL);
    }
  });
  const auto reply = request(path, kRequest);
  takes.join();
  ASSERT_TRUE(reply.has_value()) << reply.error().message;
  EXPECT_EQ(*reply, "hello");
}

TEST_F(ControlClient, one_that_trickles_is_given_up) {
  const Stranger stranger(path, [](int client) {
    while (::send(client, "x", 1, MSG_NOSIGNAL) == 1) ::poll(nullptr, 0, 10);
  });
  EXPECT_THAT(refusal(request(path, kRequest, 200ms)), HasSubstr("does not answer"));
}

TEST_F(ControlClient, one_that_never_ends_is_given_up) {
  const Stranger stranger(path, [](int client) {
    const std::string much(1 << 20, 'x');
    while (::send(client, much.data(), much.size(), MSG_NOSIGNAL) > 0) {
    }
  });
  EXPECT_THAT(refusal(request(path, kRequest, 60s)), HasSubstr("does not end"));
}

TEST_F(ControlClient, one_that_closes_without_a_word) {
  const Stranger stranger(path, [](int) {});  // with our request unread: that resets
  EXPECT_THAT(refusal(request(path, kRequest)), HasSubstr("closed without a word"));
}

TEST_F(ControlClient, several_at_once_in_the_order_asked) {
  FakeInstance other;
  other.about.version = "2";
  const ServerThread server(path, instance);
  const ServerThread second(folder / "t", other);
  const UniqueFd silent = listen_at(folder / "u");
  const auto replies =
      request_all({folder / "u", folder / "t", folder / "none", path, folder / "u"}, kRequest, 300ms);
  ASSERT_EQ(replies.size(), 5U);
  EXPECT_THAT(refusal(replies[0]), HasSubstr("does not answer"));
  EXPECT_EQ(replies[1].value_or(""), R"({"return":{"version":"2"}})");
  EXPECT_THAT(refusal(replies[2]), HasSubstr("No such file"));
  EXPECT_EQ(replies[3].value_or(""), kReply);
  EXPECT_THAT(refusal(replies[4]), HasSubstr("does not answer"));
  EXPECT_TRUE(request_all({}, kRequest).empty());
}

TEST_F(ControlClient, more_than_are_asked_at_once) {
  const ServerThread server(path, instance);
  const auto replies = request_all(std::vector<std::string>(700, path), kRequest, 60s);
  ASSERT_EQ(replies.size(), 700U);
  for (const auto& reply : replies) ASSERT_EQ(reply.value_or("none"), kReply);
}

TEST_F(ControlClient, an_interval_has_passed_when_wait_returns) {
  Interval interval(50ms);
  UniqueFd timer(::eventfd(0, EFD_CLOEXEC));
  pollfd never{.fd = timer.get(), .events = POLLIN, .revents = 0};
  ::poll(&never, 1, 60);
  interval.wait();  // over already
}

}  // namespace
}  // namespace sf::control
