#include "setup/guest_helper.hh"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <thread>

#include "setup/tap.hh"
#include "unit/support/own_namespace.hh"

namespace sf::setup {
namespace {

struct Ends {
  Ends() {
    auto made = Channel::make_pair();
    program = std::move(made->first);
    inside = std::move(made->second);
  }
  [[nodiscard]] std::optional<Message> answer(int timeout = 2000) const {
    pollfd ready{program.fd(), POLLIN, 0};
    if (::poll(&ready, 1, timeout) <= 0) return std::nullopt;
    return program.receive();
  }
  Channel program;
  Channel inside;
};

Message request(const std::string& text) {
  return {MessageKind::sockets, text, {}};
}
int option(int fd, int name) {
  int value = -1;
  socklen_t size = sizeof(value);
  ::getsockopt(fd, SOL_SOCKET, name, &value, &size);
  return value;
}

TEST(SocketRequest, text_and_back) {
  for (const bool stream : {true, false}) {
    for (const bool v4 : {true, false}) {
      const auto back = SocketRequest::parse(SocketRequest{stream, v4, 17}.describe());
      ASSERT_TRUE(back);
      EXPECT_EQ(back->stream, stream);
      EXPECT_EQ(back->v4, v4);
      EXPECT_EQ(back->count, 17U);
    }
  }
  for (const char* bad : {"", "s", "s4", "s4 ", "s4 x", "s4 1x", "s4-1", "s4 -1", "s4 100", "s4 1 "}) {
    EXPECT_FALSE(SocketRequest::parse(bad)) << bad;
  }
}

TEST(GuestHelper, makes_the_sockets_that_are_asked_for) {
  const Ends ends;
  GuestHelper helper;
  helper.obey(request("s4 3"), ends.inside);
  helper.obey(request("d6 1"), ends.inside);
  auto answer = ends.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->kind, MessageKind::sockets);
  EXPECT_EQ(answer->text, "s4 3");
  ASSERT_EQ(answer->fds.size(), 3U);
  for (const UniqueFd& fd : answer->fds) {
    EXPECT_EQ(option(fd.get(), SO_TYPE), SOCK_STREAM);
    EXPECT_EQ(option(fd.get(), SO_DOMAIN), AF_INET);
  }
  answer = ends.answer();
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->fds.size(), 1U);
  EXPECT_EQ(option(answer->fds[0].get(), SO_TYPE), SOCK_DGRAM);
  EXPECT_EQ(option(answer->fds[0].get(), SO_DOMAIN), AF_INET6);
}

TEST(GuestHelper, never_more_than_the_limit_and_nothing_for_nonsense) {
  const Ends ends;
  GuestHelper helper;
  helper.obey(request("s4 99"), ends.inside);
  helper.obey(request("nonsense"), ends.inside);
  helper.obey({MessageKind::ready, "s4 1", {}}, ends.inside);
  const auto answer = ends.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->fds.size(), GuestHelper::kMostSockets);
  EXPECT_EQ(answer->text, "s4 32");
  EXPECT_FALSE(ends.answer(50));
}

TEST(GuestHelper, tells_changes_alone) {
  test::in_own_namespace([] {
    const Ends ends;
    GuestHelper helper;
    CHILD_EXPECT(helper.look_fd() < 0);
    helper.obey({MessageKind::listeners, {}, {}}, ends.inside);
    auto told = ends.answer();
    CHILD_EXPECT(told && told->kind == MessageKind::listeners && told->text.empty());
    helper.look(ends.inside);
    CHILD_EXPECT(!ends.answer(20));
    pollfd due{helper.look_fd(), POLLIN, 0};
    CHILD_EXPECT(::poll(&due, 1, 1000) == 1);
    UniqueFd listener(::socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(80);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHILD_EXPECT(::bind(listener.get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)) == 0);
    CHILD_EXPECT(::listen(listener.get(), 1) == 0);
    helper.look(ends.inside);
    told = ends.answer();
    CHILD_EXPECT(told && told->text == "tcp 80 127.0.0.1\n");
    CHILD_EXPECT(::poll(&due, 1, 0) == 0);  // until the next look
    listener.reset();
    helper.look(ends.inside);
    told = ends.answer();
    CHILD_EXPECT(told && told->text.empty());
    return 0;
  });
}

// The other kind: it waits in another namespace than the guest's, and the TAP leads there.
TEST(GuestHelper, visits_the_namespace_of_a_tap) {
  test::in_own_namespace([] {
    auto tap = open_tap({});
    if (!tap) return test::kSkipped;
    CHILD_EXPECT(test::shell("echo 12345 20000 > /proc/sys/net/ipv4/ip_local_port_range"));
    const Ends ends;
    CHILD_EXPECT(::unshare(CLONE_NEWNET) == 0);
    GuestHelper helper(std::move(tap->queues.front()));
    helper.obey(request("s4 1"), ends.inside);
    const auto answer = ends.answer();
    CHILD_EXPECT(answer && answer->fds.size() == 1);
    // Only the guest's has a lo that is up, hence a way to its own address.
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHILD_EXPECT(::bind(answer->fds[0].get(), reinterpret_cast<sockaddr*>(&at), sizeof(at)) == 0);
    CHILD_EXPECT(::listen(answer->fds[0].get(), 1) == 0);
    socklen_t size = sizeof(at);
    CHILD_EXPECT(::getsockname(answer->fds[0].get(), reinterpret_cast<sockaddr*>(&at), &size) == 0);
    CHILD_EXPECT(ntohs(at.sin_port) >= 12345 && ntohs(at.sin_port) <= 20000);
    // And this process is back where it was.
    CHILD_EXPECT(!test::shell("ip link show tap0 2>/dev/null >&2"));
    helper.obey({MessageKind::listeners, {}, {}}, ends.inside);
    const auto told = ends.answer();
    CHILD_EXPECT(told && told->text.starts_with("tcp "));
    return 0;
  });
}

// The TAP tells the program of it.
TEST(GuestHelper, says_nothing_where_a_namespace_has_gone) {
  test::in_own_namespace([] {
    auto tap = open_tap({});
    if (!tap) return test::kSkipped;
    const int number = tap->queues.front().get();
    const Ends ends;
    CHILD_EXPECT(::unshare(CLONE_NEWNET) == 0);
    GuestHelper helper(std::move(tap->queues.front()));
    helper.obey({MessageKind::listeners, {}, {}}, ends.inside);
    CHILD_EXPECT(ends.answer());
    const UniqueFd nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    CHILD_EXPECT(::dup2(nothing.get(), number) == number);  // leads nowhere any more
    helper.look(ends.inside);
    CHILD_EXPECT(!ends.answer(20));
    CHILD_EXPECT(helper.look_fd() >= 0);  // it may have been a passing error
    return 0;
  });
}

TEST(GuestHelper, says_where_the_namespace_cannot_be_visited) {
  const Ends ends;
  GuestHelper helper{UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC))};
  helper.obey(request("s4 4"), ends.inside);
  auto answer = ends.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->text, "s4 0");
  helper.obey({MessageKind::listeners, {}, {}}, ends.inside);
  answer = ends.answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->kind, MessageKind::failed);
  EXPECT_LT(helper.look_fd(), 0) << "and it does not try again";
}

TEST(GuestHelper, serves_until_the_program_is_gone) {
  Ends ends;
  std::thread child([&] { GuestHelper().serve(ends.inside); });
  EXPECT_TRUE(ends.program.send(MessageKind::sockets, "s4 1"));
  EXPECT_TRUE(ends.answer());
  ends.program.close();
  child.join();
}

}  // namespace
}  // namespace sf::setup
