// Idle, slow, huge, malformed and many clients: none of them keeps the others from their answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <memory>
#include <vector>

#include "control/requests.hh"
#include "unit/control/control_fixture.hh"

namespace sf::control {
namespace {

using ControlDefence = ServerFixture;

std::vector<std::unique_ptr<RawClient>> connect_many(const std::string& path, std::size_t count) {
  std::vector<std::unique_ptr<RawClient>> clients;
  for (std::size_t i = 0; i < count; ++i) {
    clients.push_back(std::make_unique<RawClient>(path));
    EXPECT_TRUE(clients.back()->connected()) << i;
  }
  return clients;
}

TEST_F(ControlDefence, requests_up_to_64_KiB) {
  std::string request = kRequest;
  request.resize(65536, ' ');
  EXPECT_EQ(ask(request), kReply);
  std::string padded = R"({"x":")" + std::string(65536 - 30, 'x') + R"(","execute":"version"})";
  padded.resize(65536, '\n');
  EXPECT_EQ(ask(padded), kReply);
}

TEST_F(ControlDefence, one_byte_more_is_too_large) {
  std::string request = R"({"execute":"version","x":")";
  request.resize(65536 - 2, 'x');
  request += "\"}";
  EXPECT_EQ(ask(request), kReply);
  request.insert(request.size() - 2, "x");
  EXPECT_EQ(ask(request), R"({"error":{"desc":"bad request: too large message"}})");
}

TEST_F(ControlDefence, a_huge_request_is_refused_while_it_still_comes) {
  RawClient client(path);
  const std::string piece(65536, '[');
  std::size_t sent = 0;
  for (int i = 0; i < 64; ++i) {
    sent += client.send(piece);
    turns();
    // The answer is there as soon as the limit is passed, and the client is not cut off before it has seen
    // it.
    client.closed();
    ASSERT_FALSE(client.reset());
    EXPECT_EQ(client.reply(), sent > 65536 ? R"({"error":{"desc":"bad request: too large message"}})" : "");
  }
  EXPECT_EQ(sent, 64U * 65536);
  client.finish();
  turns();
  EXPECT_EQ(ask(kRequest), kReply);
}

TEST_F(ControlDefence, an_idle_and_a_slow_client_delay_nobody) {
  RawClient idle(path);
  RawClient slow(path);
  slow.send("{\"execute\":");
  turns();
  EXPECT_FALSE(ready());  // nothing to do: the caller sleeps
  for (int i = 0; i < 20; ++i) EXPECT_EQ(ask(kRequest), kReply);
  slow.send("\"version\"}");
  turns();
  EXPECT_TRUE(slow.closed());
  EXPECT_EQ(slow.reply(), kReply);
  EXPECT_FALSE(idle.closed());
}

TEST_F(ControlDefence, an_idle_client_is_told_and_dropped) {
  start({.tick = 2ms});
  RawClient idle(path);
  EXPECT_TRUE(run_until([&] { return idle.closed(); }));
  EXPECT_EQ(idle.reply(), R"({"error":{"desc":"bad request: no complete message in time"}})");
  EXPECT_FALSE(idle.reset());
  EXPECT_FALSE(ready(50)) << "the timer ticks on without a client";
}

TEST_F(ControlDefence, a_client_that_trickles_is_dropped_all_the_same) {
  start({.tick = 2ms});
  RawClient slow(path);
  EXPECT_TRUE(run_until([&] {
    slow.send(" ");
    return slow.closed();
  }));
  EXPECT_EQ(slow.reply(), R"({"error":{"desc":"bad request: no complete message in time"}})");
}

TEST_F(ControlDefence, a_client_that_does_something_is_not_idle) {
  start({.tick = 20ms});
  RawClient client(path);
  for (unsigned i = 0; i < Server::kReadTicks - 5; ++i) {
    client.send(" ");
    ASSERT_TRUE(ready(5000));
    server->on_ready();  // the byte
    ASSERT_TRUE(ready(5000));
    server->on_ready();  // a tick
    ASSERT_FALSE(client.closed()) << i;
  }
  client.send(kRequest);
  turns();
  EXPECT_TRUE(client.closed());
  EXPECT_EQ(client.reply(), kReply);
}

TEST_F(ControlDefence, a_hundred_clients_at_once) {
  const auto clients = connect_many(path, 100);
  for (const auto& client : clients) client->send(kRequest);
  turns();
  for (const auto& client : clients) {
    EXPECT_TRUE(client->closed());
    EXPECT_EQ(client->reply(), kReply);
  }
}

TEST_F(ControlDefence, more_than_sixteen_wait_their_turn) {
  auto idle = connect_many(path, Server::kMaxClients);
  turns();
  RawClient next(path);
  next.send(kRequest);
  turns();
  EXPECT_FALSE(next.closed());
  EXPECT_FALSE(ready()) << "the caller would be woken for nothing";
  idle.back()->hang_up();
  turns();
  EXPECT_TRUE(next.closed());
  EXPECT_EQ(next.reply(), kReply);
}

TEST_F(ControlDefence, sixteen_idle_clients_keep_the_place_for_a_while_only) {
  start({.tick = 2ms});
  auto idle = connect_many(path, 2 * Server::kMaxClients);
  RawClient next(path);
  next.send(kRequest);
  EXPECT_TRUE(run_until([&] { return next.closed(); }));
  EXPECT_EQ(next.reply(), kReply);
}

TEST_F(ControlDefence, a_large_reply_to_one_that_never_reads) {
  instance.live.resize(kMaxFlowsListed);
  start({.tick = 2ms});
  RawClient lazy(path);
  lazy.send(R"({"execute":"list_flows","arguments":{"limit":2048}})");
  ASSERT_TRUE(run_until([&] { return instance.flows_asked == 1; }));
  EXPECT_EQ(ask(kRequest), kReply);
  // Dropped: the reply stays incomplete however long it is waited for then.
  while (ready(100)) server->on_ready();
  EXPECT_TRUE(lazy.closed());
  EXPECT_GT(lazy.reply().size(), 10000U);
  EXPECT_FALSE(lazy.reply().ends_with("]}}"));
}

TEST_F(ControlDefence, a_large_reply_to_one_that_reads_late) {
  instance.live.resize(kMaxFlowsListed);
  RawClient late(path);
  late.send(R"({"execute":"list_flows","arguments":{"limit":2048}})");
  late.finish();
  turns();
  EXPECT_FALSE(ready());
  while (!late.closed()) {
    ASSERT_TRUE(ready(5000));
    server->on_ready();
  }
  EXPECT_GT(late.reply().size(), 300000U);
  EXPECT_TRUE(late.reply().ends_with("]}}"));
  EXPECT_EQ(instance.flows_asked, 1);
}

TEST_F(ControlDefence, a_turn_is_bounded) {
  const auto clients = connect_many(path, Server::kMaxClients);
  const std::string much(60000, '[');
  for (const auto& client : clients) client->send(much);
  // 16 clients with 60,000 bytes each: more than one turn reads.
  EXPECT_GT(turns(), 3);
}

TEST_F(ControlDefence, clients_that_vanish) {
  for (int i = 0; i < 100; ++i) {
    RawClient nothing(path);
    RawClient half(path);
    half.send("{\"execute\":");
    RawClient whole(path);
    whole.send(kRequest);
    if (i % 2 == 0) turns();
    nothing.hang_up();
    half.hang_up();
    whole.hang_up();
    turns();
  }
  EXPECT_FALSE(ready());
  EXPECT_EQ(ask(kRequest), kReply);
}

TEST_F(ControlDefence, without_descriptors_it_waits_instead_of_spinning) {
  start({.tick = 100ms});
  RawClient client(path);
  client.send(kRequest);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{.rlim_cur = 3, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  server->on_ready();
  const bool quiet = !ready();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(quiet);
  EXPECT_TRUE(run_until([&] { return client.closed(); }));
  EXPECT_EQ(client.reply(), kReply);
}

}  // namespace
}  // namespace sf::control
