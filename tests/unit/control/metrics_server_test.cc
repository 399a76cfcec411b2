// Slow, silent, huge, malformed and many clients: none of them keeps a scraper from its answer, or the caller
// long.
#include "control/metrics_server.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <memory>
#include <vector>

#include "control/http.hh"
#include "unit/control/control_fixture.hh"

namespace sf::control {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kScrape = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";

class MetricsServerTest : public testing::Test {
 protected:
  void SetUp() override { start(1h); }
  void start(Duration tick, Duration text_kept = 0ms) {
    server.reset();
    auto opened = MetricsServer::open(
        {path, {}},
        [this] {
          ++made;
          return body;
        },
        tick, text_kept);
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    server = *std::move(opened);
  }
  [[nodiscard]] bool ready(int milliseconds = 0) const {
    pollfd watched{.fd = server->fd(), .events = POLLIN, .revents = 0};
    return ::poll(&watched, 1, milliseconds) == 1;
  }
  void turns() const {
    int count = 0;
    while (ready() && count++ < 10000) server->on_ready();
    EXPECT_LT(count, 10000) << "it does not come to rest";
  }
  template <typename Condition>
  bool run_until(Condition condition) const {
    while (!condition()) {
      if (!ready(5000)) return condition();
      server->on_ready();
    }
    return true;
  }
  std::string ask(const std::string& request) const {
    RawClient client(path);
    client.send(request);
    turns();
    return client.closed() ? client.reply() : "not closed: " + client.reply();
  }

  TemporaryFolder folder;
  std::string path = folder / "metrics.sock";
  std::string body = "a 1\n";
  int made = 0;
  std::unique_ptr<MetricsServer> server;
};

TEST_F(MetricsServerTest, answers) {
  const std::string reply = ask(kScrape);
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"));
  EXPECT_THAT(reply, EndsWith("\r\n\r\na 1\n"));
  turns();  // the client is gone
  EXPECT_FALSE(ready(20)) << "the caller would be woken for nothing";
}

TEST_F(MetricsServerTest, what_it_does_not_serve) {
  EXPECT_THAT(ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 404 Not Found\r\n"));
  EXPECT_THAT(ask("POST / HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(ask("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"),
              StartsWith("HTTP/1.1 405 Method Not Allowed\r\n"));
  EXPECT_THAT(ask("GET /metrics HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 400 Bad Request\r\n"));
  EXPECT_THAT(ask("GET /metrics HTTP/2.0\r\n\r\n"), StartsWith("HTTP/1.1 505 "));
  EXPECT_THAT(ask(std::string(100'000, 'a')), StartsWith("HTTP/1.1 431 "));
  EXPECT_EQ(made, 0);
  const std::string head = ask("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(head, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(head, EndsWith("\r\n\r\n"));
}

TEST_F(MetricsServerTest, byte_by_byte) {
  RawClient client(path);
  for (const char c : std::string_view(kScrape)) {
    EXPECT_FALSE(client.closed());
    client.send({&c, 1});
    turns();
  }
  EXPECT_TRUE(client.closed());
  EXPECT_THAT(client.reply(), EndsWith("a 1\n"));
}

TEST_F(MetricsServerTest, the_text_is_made_anew_when_it_is_old) {
  EXPECT_THAT(ask(kScrape), EndsWith("a 1\n"));
  body = "a 2\n";
  EXPECT_THAT(ask(kScrape), EndsWith("a 2\n"));
  start(1h, 100ms);
  const auto begin = std::chrono::steady_clock::now();
  made = 0;
  while (made < 3) EXPECT_THAT(ask(kScrape), EndsWith("a 2\n"));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 200ms);
}

TEST_F(MetricsServerTest, the_text_is_made_once_for_all_that_ask_together) {
  start(1h, 1h);
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(std::make_unique<RawClient>(path));
  for (const auto& client : clients) client->send(kScrape);
  server->on_ready();
  for (const auto& client : clients) {
    EXPECT_TRUE(client->closed());
    EXPECT_THAT(client->reply(), EndsWith("a 1\n"));
  }
  body = "a 2\n";
  EXPECT_THAT(ask(kScrape), EndsWith("a 1\n"));
  EXPECT_EQ(made, 1);
}

TEST_F(MetricsServerTest, silent_clients_keep_nobody_out) {
  std::vector<std::unique_ptr<RawClient>> silent;
  for (int i = 0; i < 1000; ++i) {
    silent.push_back(std::make_unique<RawClient>(path));
    ASSERT_TRUE(silent.back()->connected()) << i;
    if (i % 100 == 99) turns();
  }
  EXPECT_THAT(ask(kScrape), EndsWith("a 1\n"));
  std::size_t left = 0;
  for (const auto& client : silent) left += client->closed() ? 0U : 1U;
  EXPECT_EQ(left, MetricsServer::kMaxClients - 1);
}

TEST_F(MetricsServerTest, a_full_house_loses_first_whom_it_costs_nothing) {
  body.assign(4 << 20, 'x');
  RawClient reads(path);  // slowly
  reads.send(kScrape);
  turns();
  RawClient begun(path);
  begun.send("GET /me");
  RawClient silent(path);
  RawClient done(path);  // and stays
  done.send("nonsense\r\n\r\n");
  std::vector<std::unique_ptr<RawClient>> more;
  const auto fill = [&](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) more.push_back(std::make_unique<RawClient>(path));
    for (const auto& one : more) one->send("G");
    turns();
  };
  fill(MetricsServer::kMaxClients - 4);
  EXPECT_FALSE(silent.closed());
  fill(1);  // in the place of the one that has had its reply
  EXPECT_FALSE(silent.closed());
  EXPECT_FALSE(begun.closed());
  fill(1);
  EXPECT_TRUE(silent.closed());
  EXPECT_FALSE(begun.closed());
  EXPECT_TRUE(run_until([&] { return reads.closed(); }));
  EXPECT_GT(reads.reply().size(), body.size()) << "it was in the middle of its reply";
}

TEST_F(MetricsServerTest, a_turn_takes_a_few_clients_only) {
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 100; ++i) clients.push_back(std::make_unique<RawClient>(path));
  for (const auto& client : clients) client->send(kScrape);
  server->on_ready();
  std::size_t answered = 0;
  for (const auto& client : clients) answered += client->closed() ? 1U : 0U;
  EXPECT_LE(answered, MetricsServer::kAcceptsPerTurn);
  turns();
  for (const auto& client : clients) EXPECT_TRUE(client->closed());
}

TEST_F(MetricsServerTest, one_that_never_ends_its_request_is_told_and_dropped) {
  start(2ms);
  RawClient slow(path);
  EXPECT_TRUE(run_until([&] {
    slow.send("G");
    return slow.closed();
  }));
  EXPECT_THAT(slow.reply(), StartsWith("HTTP/1.1 408 "));
  RawClient silent(path);
  EXPECT_TRUE(run_until([&] { return silent.closed(); }));
  EXPECT_EQ(silent.reply(), "");
  EXPECT_FALSE(ready(50)) << "the timer ticks on without a client";
}

TEST_F(MetricsServerTest, a_slow_reader_gets_all_and_one_that_never_reads_is_dropped) {
  body.assign(4 << 20, 'x');
  RawClient late(path);
  late.send(kScrape);
  turns();
  EXPECT_FALSE(ready());
  EXPECT_TRUE(run_until([&] { return late.closed(); }));
  EXPECT_GT(late.reply().size(), body.size());
  start(2ms);
  RawClient lazy(path);
  lazy.send(kScrape);
  while (ready(100)) server->on_ready();
  EXPECT_TRUE(lazy.closed());
  EXPECT_LT(lazy.reply().size(), body.size());
  body = "a 1\n";
  EXPECT_THAT(ask(kScrape), EndsWith("a 1\n"));
}

TEST_F(MetricsServerTest, clients_that_vanish) {
  for (int i = 0; i < 50; ++i) {
    RawClient nothing(path);
    RawClient half(path);
    half.send("GET /me");
    RawClient whole(path);
    whole.send(kScrape);
    if (i % 2 == 0) turns();
    nothing.hang_up();
    half.hang_up();
    whole.hang_up();
    turns();
  }
  EXPECT_FALSE(ready());
  EXPECT_THAT(ask(kScrape), EndsWith("a 1\n"));
}

TEST_F(MetricsServerTest, the_file_is_the_owners_and_goes_at_the_end) {
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  const auto second = MetricsServer::open({path, {}}, [] { return std::string(); });
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr("another program does already"));
  server.reset();
  EXPECT_NE(::stat(path.c_str(), &status), 0);
  start(1h);
  const auto given = server->give_file();
  ASSERT_TRUE(given);
  EXPECT_EQ(given->name, "metrics.sock");
  server.reset();
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
}

TEST(MetricsPort, of_both_ip_versions_and_a_taken_one) {
  for (const char* text : {"0", "[::1]:0"}) {
    const auto server =
        MetricsServer::open(*parse_metrics_address("--metrics", text), [] { return std::string(); });
    ASSERT_TRUE(server) << server.error().message;
    const MetricsAddress at = (*server)->address();
    EXPECT_NE(at.at.port, 0);
    const auto second = MetricsServer::open(at, [] { return std::string(); });
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().message, "cannot serve metrics at " + at.to_string() +
                                          ": Address already in use; end the program that listens there, or "
                                          "choose another port");
  }
}

}  // namespace
}  // namespace sf::control
