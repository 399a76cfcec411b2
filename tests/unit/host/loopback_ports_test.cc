#include "host/loopback_ports.hh"

#include <gtest/gtest.h>
#include <net/if.h>
#include <sys/timerfd.h>

#include <csignal>

#include "host/linux_address.hh"
#include "host/linux_listen.hh"
#include "unit/host/loopback_support.hh"
#include "unit/support/own_namespace.hh"
#include "unit/support/recorded_flows.hh"

namespace sf::host {
namespace {

// The guest's namespace is this one: `ask` makes sockets here.
class LoopbackPortsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::signal(SIGPIPE, SIG_IGN);  // as the program does
    start({});
  }
  void start(const LoopbackPorts::Limits& limits, unsigned spares = 0) {
    ports_.reset();
    ports_.emplace(
        *loop_, [this](GuestSocketKind kind, unsigned count) { asked_.emplace_back(kind, count); }, spares,
        limits, log_);
  }

  // What the process inside would do.
  void answer() {
    for (const auto& [kind, count] : std::exchange(asked_, {})) {
      std::vector<UniqueFd> made;
      while (makes_ && made.size() < count) {
        made.emplace_back(::socket(kind.v4 ? AF_INET : AF_INET6,
                                   (kind.stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0));
      }
      ports_->on_sockets(kind, std::move(made));
    }
  }
  // The loop runs for that long; what is asked of the process inside is answered.
  void turns(int milliseconds = 30) {
    const UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
    itimerspec at{};
    at.it_value = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1'000'000};
    const UniqueFd tick(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    itimerspec every{};
    every.it_interval.tv_nsec = every.it_value.tv_nsec = 1'000'000;
    ASSERT_EQ(::timerfd_settime(timer.get(), 0, &at, nullptr), 0);
    ASSERT_EQ(::timerfd_settime(tick.get(), 0, &every, nullptr), 0);
    bool over = false;
    ASSERT_TRUE(loop_->watch(timer.get(), [&] { over = true; }));
    ASSERT_TRUE(loop_->watch(tick.get(), [&] {
      std::uint64_t count = 0;
      static_cast<void>(::read(tick.get(), &count, sizeof(count)) < 0);
      if (answers_) answer();
    }));
    while (!over) one_turn();
    loop_->unwatch(timer.get());
    loop_->unwatch(tick.get());
  }
  void one_turn() {
    struct OneTurn final : Reactor {
      void on_link_readable(Time) override {}
      void on_socket_event(Token, Readiness, Time) override {}
      Time end_turn(Time now) override { return first++ ? kNever : now; }
      bool alive() const override { return first < 2; }
      int first = 0;
    } reactor;
    ASSERT_TRUE(loop_->run(reactor, -1));
  }

  static LoopbackRule rule(bool stream, std::uint16_t guest_port, std::uint16_t host_port = 0,
                           std::optional<Address> guest = {}) {
    return {stream, {}, host_port, guest, guest_port};
  }
  LoopbackPort add(const LoopbackRule& rule) {
    auto port = ports_->add(rule);
    EXPECT_TRUE(port);
    return port.value_or(LoopbackPort{});
  }
  // A TCP port for all of the host's addresses, to what listens on `guest_port`.
  LoopbackPort tcp(std::uint16_t guest_port) { return add(rule(true, guest_port)); }

  std::unique_ptr<EventLoop> loop_ = std::move(*EventLoop::create());
  std::vector<std::string> said_;
  Log log_{LogLevel::debug, [this](LogLevel, std::string_view text) { said_.emplace_back(text); }};
  std::optional<LoopbackPorts> ports_;
  std::vector<std::pair<GuestSocketKind, unsigned>> asked_;
  bool makes_ = true;
  bool answers_ = true;
};

TEST_F(LoopbackPortsTest, LeadsToTheSameIpVersion) {
  std::uint16_t inside = 0;
  const UniqueFd service4 = tcp_listener(true, inside);
  const UniqueFd service6 = tcp_listener(false, inside);
  const LoopbackPort port = tcp(inside);
  EXPECT_NE(port.rule.host_port, 0);
  for (const bool v4 : {true, false}) {
    const UniqueFd client = connected_to(v4, port.rule.host_port);
    turns();
    const UniqueFd served = accepted(v4 ? service4 : service6);
    ASSERT_TRUE(served);
    send_all(client, "hello");
    turns();
    EXPECT_EQ(receive_some(served), "hello");
  }
}

TEST_F(LoopbackPortsTest, TriesTheOtherIpVersion) {
  for (const bool v4 : {true, false}) {
    std::uint16_t inside = 0;
    const UniqueFd service = tcp_listener(!v4, inside);
    const LoopbackPort port = tcp(inside);
    const UniqueFd client = connected_to(v4, port.rule.host_port);
    turns();
    const UniqueFd served = accepted(service);
    ASSERT_TRUE(served);
    send_all(served, "from the other one");
    turns();
    EXPECT_EQ(receive_some(client), "from the other one");
  }
}

TEST_F(LoopbackPortsTest, AClientIsResetWhereNobodyListens) {
  std::uint16_t inside = 0;
  tcp_listener(true, inside).reset();
  const LoopbackPort port = tcp(inside);
  const UniqueFd client = connected_to(true, port.rule.host_port);
  turns();
  EXPECT_EQ(read_error(client), ECONNRESET);
  EXPECT_EQ(ports_->totals().flows, 0U);
  EXPECT_EQ(ports_->totals().opened, 0U);
  EXPECT_EQ(ports_->list().at(0).accepted, 1U);
}

TEST_F(LoopbackPortsTest, AClientIsResetWhereNoSocketCanBeMade) {
  std::uint16_t inside = 0;
  const UniqueFd service = tcp_listener(true, inside);
  const LoopbackPort port = tcp(inside);
  makes_ = false;
  const UniqueFd client = connected_to(true, port.rule.host_port);
  turns();
  EXPECT_EQ(read_error(client), ECONNRESET);
  ASSERT_EQ(said_.size(), 1U);
  EXPECT_NE(said_[0].find("no socket could be made inside"), std::string::npos);
}

TEST_F(LoopbackPortsTest, ClientsAreResetOnceTheProcessInsideIsGone) {
  const LoopbackPort port = tcp(80);
  answers_ = false;
  const UniqueFd client = connected_to(true, port.rule.host_port);
  turns();
  makes_ = false;
  ports_->on_no_more_sockets();  // the fallback asks once more
  answer();
  turns();
  EXPECT_EQ(read_error(client), ECONNRESET);
}

// The service has spoken, and closed, before the connection is looked at: one event tells of all that.
TEST_F(LoopbackPortsTest, AFinThatComesWithTheConnection) {
  std::uint16_t inside = 0;
  const UniqueFd service = tcp_listener(true, inside);
  const LoopbackPort port = tcp(inside);
  const UniqueFd client = connected_to(true, port.rule.host_port);
  answers_ = false;
  turns();
  answer();  // connects
  UniqueFd served = accepted(service);
  send_all(served, "short");
  served.reset();
  turns();
  EXPECT_EQ(receive_to_end(client), "short");
}

TEST_F(LoopbackPortsTest, RemovingAPortLeavesItsConnections) {
  std::uint16_t inside = 0;
  const UniqueFd service = tcp_listener(true, inside);
  const LoopbackPort port = tcp(inside);
  const UniqueFd client = connected_to(true, port.rule.host_port);
  turns();
  const UniqueFd served = accepted(service);
  EXPECT_TRUE(ports_->remove(port.id));
  EXPECT_FALSE(ports_->remove(port.id));
  EXPECT_FALSE(connected_to(true, port.rule.host_port));
  send_all(client, "still there");
  turns();
  EXPECT_EQ(receive_some(served), "still there");
}

TEST_F(LoopbackPortsTest, AnAddressInsideHasNoOtherVersion) {
  std::uint16_t inside = 0;
  const UniqueFd service = tcp_listener(true, inside);
  const LoopbackPort port = add(rule(true, inside, 0, Address::v4(127, 0, 0, 1)));
  const UniqueFd client4 = connected_to(true, port.rule.host_port);
  const UniqueFd client6 = connected_to(false, port.rule.host_port);
  turns();
  EXPECT_EQ(read_error(client6), ECONNRESET);
  EXPECT_TRUE(accepted(service));
}

TEST_F(LoopbackPortsTest, WhereAnAddressInsideRefusesNoOtherIsTried) {
  std::uint16_t inside = 0;
  const UniqueFd service = tcp_listener(false, inside);
  const LoopbackPort port = add(rule(true, inside, 0, Address::v4(127, 0, 0, 1)));
  const UniqueFd client = connected_to(true, port.rule.host_port);
  turns();
  EXPECT_EQ(read_error(client), ECONNRESET);
  EXPECT_FALSE(accepted(service, 0));
}

TEST_F(LoopbackPortsTest, TheEndOfTheProgramDeliversWhatTheGuestHasSaid) {
  std::uint16_t inside = 0;
  const UniqueFd service = tcp_listener(true, inside);
  const LoopbackPort port = tcp(inside);
  const UniqueFd client = connected_to(true, port.rule.host_port);
  turns();
  UniqueFd served = accepted(service);
  send_all(served, "last words");
  served.reset();
  ports_.reset();
  EXPECT_EQ(receive_to_end(client), "last words");
}

TEST_F(LoopbackPortsTest, AWatchIsToldOfConnections) {
  RecordedFlows flows;
  ports_->set_watch(&flows);
  std::uint16_t inside = 0;
  UniqueFd service = tcp_listener(true, inside);
  const LoopbackPort port = tcp(inside);
  UniqueFd client = connected_to(true, port.rule.host_port);
  const Endpoint peer = local_endpoint_of(client.get());
  turns();
  UniqueFd served = accepted(service);
  send_all(client, "12345");
  send_all(served, "123");
  turns();
  client.reset();
  served.reset();
  turns();
  ASSERT_EQ(flows.told.size(), 2U);
  const FlowEvent& ended = flows.told[1].event;
  EXPECT_EQ(flows.told[0].event.kind, FlowEvent::Kind::opened);
  EXPECT_EQ(ended.kind, FlowEvent::Kind::ended);
  EXPECT_TRUE(ended.inbound && ended.loopback);
  EXPECT_EQ(ended.remote, peer);
  EXPECT_EQ(ended.guest, (Endpoint{Address::v4(127, 0, 0, 1), inside}));
  EXPECT_EQ(ended.counts.bytes_to_guest, 5U);
  EXPECT_EQ(ended.counts.bytes_from_guest, 3U);
  flows.told.clear();

  using Told = std::pair<FlowEvent::Kind, FlowCause>;
  client = connected_to(true, port.rule.host_port);
  turns();
  served = accepted(service);
  ::shutdown(served.get(), SHUT_WR);
  turns();
  ::shutdown(client.get(), SHUT_WR);
  turns();
  EXPECT_EQ(flows.take(), (std::vector<Told>{{FlowEvent::Kind::opened, FlowCause::none},
                                             {FlowEvent::Kind::ended, FlowCause::finished}}));
  service.reset();
  client = connected_to(true, port.rule.host_port);
  turns();
  EXPECT_EQ(flows.take(), (std::vector<Told>{{FlowEvent::Kind::refused, FlowCause::guest_refused}}));
  ports_->set_watch(nullptr);
}

TEST_F(LoopbackPortsTest, ATakenPortIsAnErrorAndLeavesNothing) {
  std::uint16_t taken = 0;
  const UniqueFd other = tcp_listener(false, taken);
  const int before = open_descriptors();
  const auto port = ports_->add(rule(true, 80, taken));
  ASSERT_FALSE(port);
  EXPECT_EQ(port.error().error, HostError::in_use);
  EXPECT_EQ(port.error().at.port, taken);
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_TRUE(ports_->list().empty());
}

TEST_F(LoopbackPortsTest, ClientsBeyondALimitWaitForTheirTurn) {
  start({.connections = 2, .waiting = 1024});
  std::uint16_t inside = 0;
  const UniqueFd service = tcp_listener(true, inside);
  const LoopbackPort port = tcp(inside);
  std::vector<UniqueFd> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(connected_to(true, port.rule.host_port));
  turns();
  EXPECT_EQ(ports_->list().at(0).accepted, 2U);
  std::vector<UniqueFd> served;
  for (int i = 0; i < 2; ++i) served.push_back(accepted(service));
  EXPECT_FALSE(is_readable(service, 0));
  for (std::size_t i = 0; i < 5; ++i) {
    // One ends, the next one comes.
    ASSERT_LT(i, served.size());
    clients[i].reset();
    served[i].reset();
    turns();
    if (UniqueFd next = accepted(service, 0)) served.push_back(std::move(next));
  }
  EXPECT_EQ(served.size(), 5U);
  EXPECT_EQ(ports_->totals().flows, 0U);
}

TEST_F(LoopbackPortsTest, ClientsBeyondThoseThatWaitForASocketWaitOutside) {
  start({.connections = 100, .waiting = 3});
  std::uint16_t inside = 0;
  const UniqueFd service = tcp_listener(true, inside);
  const LoopbackPort port = tcp(inside);
  answers_ = false;
  std::vector<UniqueFd> clients;
  for (int i = 0; i < 10; ++i) clients.push_back(connected_to(true, port.rule.host_port));
  turns();
  EXPECT_EQ(ports_->list().at(0).accepted, 3U);
  answers_ = true;
  turns(200);
  EXPECT_EQ(ports_->list().at(0).accepted, 10U);
  EXPECT_EQ(ports_->totals().opened, 10U);
}

TEST_F(LoopbackPortsTest, WithoutADescriptorClientsWait) {
  std::uint16_t inside = 0;
  const UniqueFd service = tcp_listener(true, inside);
  const LoopbackPort port = tcp(inside);
  std::vector<UniqueFd> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(connected_to(true, port.rule.host_port));
  {
    const NoMoreDescriptors limit;
    for (int i = 0; i < 5; ++i) one_turn();
    EXPECT_EQ(ports_->list().at(0).accepted, 0U);
  }
  EXPECT_EQ(said_.size(), 1U);
  turns(300);
  EXPECT_EQ(ports_->totals().opened, 3U);
}

TEST_F(LoopbackPortsTest, ClientsWaitRatherThanTakeWhatIsKeptBack) {
  std::uint16_t inside = 0;
  const UniqueFd service = tcp_listener(true, inside);
  std::vector<UniqueFd> clients;
  std::vector<UniqueFd> to_come;
  // In their place come two listeners, the timers of turns(), four sockets.
  for (int i = 0; i < 8; ++i) to_come.emplace_back(::dup(0));
  const int limit = to_come.back().get() + 1;
  ASSERT_EQ(limit, Descriptors{}.next()) << "no free numbers below";
  for (int i = 0; i < 20; ++i) clients.emplace_back(::dup(0));
  to_come.clear();
  start({.descriptors = {limit}});
  const LoopbackPort port = tcp(inside);
  for (const UniqueFd& client : clients) {
    const UniqueFd made = connected_to(true, port.rule.host_port);
    ASSERT_GE(::dup3(made.get(), client.get(), O_CLOEXEC), 0);
  }
  turns(300);
  EXPECT_GT(ports_->totals().opened, 0U);
  EXPECT_LE(ports_->totals().opened, 2U);
  EXPECT_EQ(ports_->list().at(0).accepted, ports_->totals().opened);
  EXPECT_EQ(said_.size(), 1U);
  // Whoever has been served and closes makes room for the next one.
  int served = 0;
  for (int i = 0; i < 200 && served < 20; ++i) {
    while (accepted(service, 0)) {
    }
    turns(20);
    for (UniqueFd& client : clients) {
      if (!client || !is_readable(client, 0)) continue;
      EXPECT_EQ(receive_to_end(client), "");
      client.reset();
      ++served;
    }
  }
  EXPECT_EQ(served, 20) << "and none was reset";
  EXPECT_EQ(ports_->totals().opened, 20U);
}

TEST_F(LoopbackPortsTest, SocketsThatNeverArriveAreNotWaitedForForEver) {
  std::uint16_t inside = 0;
  const UniqueFd service = tcp_listener(true, inside);
  const LoopbackPort port = tcp(inside);
  const UniqueFd client = connected_to(true, port.rule.host_port);
  answers_ = false;
  turns();
  Time now = loop_->now();
  unsigned asked = 0;
  for (; asked < 1000 && ports_->totals().flows > 0; ++asked) {
    for (const auto& [kind, count] : std::exchange(asked_, {})) ports_->on_sockets(kind, {}, count);
    now = std::max(now, ports_->end_turn(now));
  }
  EXPECT_GE(asked, LoopbackPorts::kStarvedTries);
  EXPECT_LT(asked, 200U);
  EXPECT_EQ(ports_->totals().flows, 0U);
  EXPECT_EQ(read_error(client), ECONNRESET);
}

TEST_F(LoopbackPortsTest, PatienceBeginsAnewWithEachSocketThatArrives) {
  std::uint16_t inside = 0;
  const UniqueFd service = tcp_listener(true, inside);
  const LoopbackPort port = tcp(inside);
  const UniqueFd first = connected_to(true, port.rule.host_port);
  answers_ = false;
  turns();
  Time now = loop_->now();
  const auto lose = [&](unsigned times) {
    for (unsigned lost = 0; lost < times; ++lost) {
      while (asked_.empty()) now = std::max(now + 1ms, ports_->end_turn(now));
      for (const auto& [kind, count] : std::exchange(asked_, {})) ports_->on_sockets(kind, {}, count);
    }
    while (asked_.empty()) now = std::max(now + 1ms, ports_->end_turn(now));
  };
  lose(LoopbackPorts::kStarvedTries * 3 / 4);
  answer();
  turns();
  EXPECT_EQ(ports_->totals().opened, 1U);
  const UniqueFd second = connected_to(true, port.rule.host_port);
  turns();
  lose(LoopbackPorts::kStarvedTries * 3 / 4);
  // Given up, it would be tried over IPv6.
  ASSERT_FALSE(asked_.empty());
  EXPECT_TRUE(asked_.back().first.v4);
}

TEST_F(LoopbackPortsTest, APortTakesNoDescriptorThatIsKeptBack) {
  const int next = Descriptors{}.next();
  start({.descriptors = {next}});
  const auto port = ports_->add(rule(true, 80));
  ASSERT_FALSE(port);
  EXPECT_EQ(port.error().error, HostError::no_descriptors);
  EXPECT_EQ(Descriptors{}.next(), next);
}

// Of this process's sockets, the one with these ends.
int socket_between(const Endpoint& local, const Endpoint& remote) {
  for (int fd = 0; fd < 1024; ++fd) {
    sockaddr_in6 at{};
    sockaddr_in6 peer{};
    socklen_t size = sizeof(at);
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) != 0) continue;
    socklen_t peer_size = sizeof(peer);
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &peer_size) != 0) continue;
    if (endpoint_from(&at, size) == local && endpoint_from(&peer, peer_size) == remote) return fd;
  }
  return -1;
}

// A connection whose other end has vanished would stay for ever.
TEST_F(LoopbackPortsTest, BothEndsAreProbedAndNeverWaitedFor) {
  std::uint16_t inside = 0;
  const UniqueFd service = tcp_listener(true, inside);
  const LoopbackPort port = tcp(inside);
  const UniqueFd client = connected_to(true, port.rule.host_port);
  turns();
  const UniqueFd served = accepted(service);
  ASSERT_TRUE(served);
  for (const UniqueFd* far : {&client, &served}) {
    sockaddr_in6 peer{};
    socklen_t size = sizeof(peer);
    ASSERT_EQ(::getpeername(far->get(), reinterpret_cast<sockaddr*>(&peer), &size), 0);
    const int near = socket_between(endpoint_from(&peer, size), local_endpoint_of(far->get()));
    ASSERT_GE(near, 0);
    int on = 0;
    socklen_t on_size = sizeof(on);
    ASSERT_EQ(::getsockopt(near, SOL_SOCKET, SO_KEEPALIVE, &on, &on_size), 0);
    EXPECT_EQ(on, 1) << (far == &client ? "the client's" : "the guest's");
    // The process inside has made it as it likes.
    EXPECT_NE(::fcntl(near, F_GETFL) & O_NONBLOCK, 0) << "this process would wait for it";
  }
}

TEST_F(LoopbackPortsTest, TheStateSaysWhoHasFinished) {
  std::uint16_t inside = 0;
  const UniqueFd service = tcp_listener(true, inside);
  const LoopbackPort port = tcp(inside);
  for (const bool client_first : {true, false}) {
    const UniqueFd client = connected_to(true, port.rule.host_port);
    turns();
    const UniqueFd served = accepted(service);
    ::shutdown(client_first ? client.get() : served.get(), SHUT_WR);
    turns();
    ASSERT_EQ(ports_->flows().size(), 1U);
    EXPECT_STREQ(ports_->flows()[0].state, client_first ? "CLOSE-WAIT" : "FIN-WAIT-2");
    ::shutdown(client_first ? served.get() : client.get(), SHUT_WR);
    turns();
  }
}

TEST_F(LoopbackPortsTest, FlowsAndTotals) {
  std::uint16_t inside = 0;
  const UniqueFd service = tcp_listener(true, inside);
  const LoopbackPort port = tcp(inside);
  UniqueFd client = connected_to(true, port.rule.host_port);
  turns();
  UniqueFd served = accepted(service);
  send_all(client, "12345");
  send_all(served, "123");
  turns();
  ASSERT_EQ(ports_->flows().size(), 1U);
  const LoopbackFlow flow = ports_->flows()[0];
  EXPECT_EQ(flow.guest, (Endpoint{Address::v4(127, 0, 0, 1), inside}));
  EXPECT_EQ(flow.client.address, Address::v4(127, 0, 0, 1));
  EXPECT_STREQ(flow.state, "ESTABLISHED");
  EXPECT_EQ(flow.bytes_to_guest, 5U);
  EXPECT_EQ(flow.bytes_from_guest, 3U);
  client.reset();
  served.reset();
  turns();
  const LoopbackTotals totals = ports_->totals();
  EXPECT_EQ(totals.flows, 0U);
  EXPECT_EQ(totals.opened, 1U);
  EXPECT_EQ(totals.bytes_to_guest, 5U);
  EXPECT_EQ(totals.bytes_from_guest, 3U);
}

TEST_F(LoopbackPortsTest, NothingIsLeftOpen) {
  const int before = open_descriptors();
  {
    std::uint16_t inside = 0;
    const UniqueFd service = tcp_listener(true, inside);
    const LoopbackPort port = tcp(inside);
    for (int i = 0; i < 20; ++i) {
      const UniqueFd client = connected_to(true, port.rule.host_port);
      turns(5);
      const UniqueFd served = accepted(service);
      send_all(served, "x");
      turns(5);
    }
    turns();
    EXPECT_EQ(ports_->totals().flows, 0U);
    EXPECT_TRUE(ports_->remove(port.id));
  }
  EXPECT_EQ(open_descriptors(), before);
}

class LoopbackDatagramsTest : public LoopbackPortsTest {
 protected:
  static UniqueFd udp_service(std::uint16_t& port) {
    auto fd = bind_udp_at({Address::v4(127, 0, 0, 1), 0});
    EXPECT_TRUE(fd);
    port = local_endpoint_of(fd->get()).port;
    return std::move(*fd);
  }
  LoopbackPort udp(std::uint16_t guest_port) { return add(rule(false, guest_port)); }
  // Sends back what it got last, with "re:" before it.
  static std::string reply(const UniqueFd& service) {
    char buffer[2048];
    sockaddr_in6 from{};
    socklen_t size = sizeof(from);
    if (!is_readable(service, 100)) return "nothing";
    const ssize_t got =
        ::recvfrom(service.get(), buffer, sizeof(buffer), 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (got < 0) return "error";
    const std::string text(buffer, static_cast<std::size_t>(got));
    const std::string answer = "re:" + text;
    EXPECT_GT(
        ::sendto(service.get(), answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from), size),
        0);
    return text;
  }
};

TEST_F(LoopbackDatagramsTest, EachClientGetsItsAnswers) {
  std::uint16_t inside = 0;
  const UniqueFd service = udp_service(inside);
  const LoopbackPort port = udp(inside);
  const UniqueFd one = connected_to(true, port.rule.host_port, SOCK_DGRAM);
  const UniqueFd two = connected_to(true, port.rule.host_port, SOCK_DGRAM);
  send_all(one, "1");
  send_all(two, "2");
  turns();
  EXPECT_EQ(reply(service).size() + reply(service).size(), 2U);
  turns();
  EXPECT_EQ(receive_some(one), "re:1");
  EXPECT_EQ(receive_some(two), "re:2");
  EXPECT_EQ(ports_->list().at(0).accepted, 2U);
  EXPECT_EQ(ports_->flows().size(), 2U);
  EXPECT_EQ(ports_->totals().bytes_to_guest, 2U);
  EXPECT_EQ(ports_->totals().bytes_from_guest, 8U);
}

TEST_F(LoopbackDatagramsTest, WhatComesBeforeTheSocketIsHeldUpToALimit) {
  std::uint16_t inside = 0;
  const UniqueFd service = udp_service(inside);
  const LoopbackPort port = udp(inside);
  const UniqueFd client = connected_to(true, port.rule.host_port, SOCK_DGRAM);
  answers_ = false;
  for (int i = 0; i < 20; ++i) send_all(client, "x");
  turns();
  answers_ = true;
  turns();
  int got = 0;
  while (reply(service) == "x") ++got;
  EXPECT_EQ(got, 16);
}

// A client that was connected to one of several addresses takes answers from that one alone.
TEST_F(LoopbackDatagramsTest, AnswersComeFromTheAddressThatWasAsked) {
  std::uint16_t inside = 0;
  const UniqueFd service = udp_service(inside);
  const LoopbackPort port = udp(inside);
  const UniqueFd client = bind_udp_at({Address::v4(127, 0, 0, 1), 0}).value();
  const SocketAddress asked({Address::v4(127, 0, 0, 2), port.rule.host_port});
  ASSERT_EQ(::connect(client.get(), asked.get(), asked.size()), 0);
  send_all(client, "x");
  turns();
  EXPECT_EQ(reply(service), "x");
  turns();
  EXPECT_EQ(receive_some(client), "re:x");
}

TEST_F(LoopbackDatagramsTest, AClientOnItsOwnLinkIsAnswered) {
  test::in_own_namespace([this] {
    if (!test::shell("ip link add link0 type veth peer name link1 2>/dev/null")) return test::kSkipped;
    CHILD_EXPECT(test::shell(
        "ip addr add fe80::77/64 dev link0 nodad && ip link set link1 up && ip link set link0 up"));
    CHILD_EXPECT(test::addresses_usable());
    auto service = bind_udp_at({Address().plus(1), 0});
    CHILD_EXPECT(service);
    const LoopbackPort port = udp(local_endpoint_of(service->get()).port);
    const Address own = Address::parse("fe80::77")->with_scope(::if_nametoindex("link0"));
    const UniqueFd client = bind_udp_at({own, 0}).value();
    const SocketAddress asked({own, port.rule.host_port});
    CHILD_EXPECT(::connect(client.get(), asked.get(), asked.size()) == 0);
    send_all(client, "x");
    turns();
    CHILD_EXPECT(reply(*service) == "x");
    turns();
    CHILD_EXPECT(receive_some(client) == "re:x");
    return 0;
  });
}

// Its socket holds a namespace that may end before the program: for the least time that a NAT may take.
TEST_F(LoopbackDatagramsTest, AnIdleClientIsForgottenSoonerWhereItHoldsTheNamespace) {
  std::uint16_t inside = 0;
  const UniqueFd service = udp_service(inside);
  const LoopbackPort port = udp(inside);
  const UniqueFd client = connected_to(true, port.rule.host_port, SOCK_DGRAM);
  send_all(client, "x");
  turns();
  const Time now = loop_->now();
  static_cast<void>(ports_->end_turn(now + 119s));
  EXPECT_EQ(ports_->flows().size(), 1U);
  static_cast<void>(ports_->end_turn(now + 121s));
  EXPECT_EQ(ports_->flows().size(), 0U);
}

TEST_F(LoopbackDatagramsTest, AnIdleClientIsForgotten) {
  start({}, 1);
  std::uint16_t inside = 0;
  const UniqueFd service = udp_service(inside);
  const LoopbackPort port = udp(inside);
  const UniqueFd client = connected_to(true, port.rule.host_port, SOCK_DGRAM);
  send_all(client, "x");
  turns();
  const Time now = loop_->now();
  EXPECT_GT(ports_->end_turn(now + 290s), now + 290s);
  EXPECT_EQ(ports_->flows().size(), 1U);
  EXPECT_EQ(ports_->end_turn(now + 301s), kNever) << "and nothing is left to wake up for";
  EXPECT_EQ(ports_->flows().size(), 0U);
  EXPECT_EQ(ports_->totals().bytes_to_guest, 1U);
}

// Its socket would hold the namespace.
TEST_F(LoopbackDatagramsTest, AClientOfAClosedPortIsForgottenAndMayTryAgain) {
  std::uint16_t inside = 0;
  udp_service(inside).reset();
  const LoopbackPort port = udp(inside);
  const UniqueFd client = connected_to(true, port.rule.host_port, SOCK_DGRAM);
  send_all(client, "x");
  turns();
  EXPECT_EQ(ports_->flows().size(), 0U);
  auto service = bind_udp_at({Address::v4(127, 0, 0, 1), inside});
  ASSERT_TRUE(service);
  send_all(client, "y");
  turns();
  EXPECT_EQ(reply(*service), "y");
}

TEST_F(LoopbackDatagramsTest, FurtherClientsAreNotHeard) {
  std::uint16_t inside = 0;
  const UniqueFd service = udp_service(inside);
  const LoopbackPort port = udp(inside);
  answers_ = false;
  for (std::size_t i = 0; i < DatagramRelay::kMaxClients + 200; ++i) {
    send_all(connected_to(true, port.rule.host_port, SOCK_DGRAM), "x");
    if (i % 64 == 0) turns(1);
  }
  turns();
  EXPECT_EQ(ports_->flows().size(), DatagramRelay::kMaxClients);
}

TEST_F(LoopbackDatagramsTest, RemovingThePortForgetsItsClients) {
  std::uint16_t inside = 0;
  const UniqueFd service = udp_service(inside);
  const LoopbackPort port = udp(inside);
  const UniqueFd client = connected_to(true, port.rule.host_port, SOCK_DGRAM);
  send_all(client, "x");
  turns();
  EXPECT_EQ(reply(service), "x");  // an answer is on its way
  EXPECT_TRUE(ports_->remove(port.id));
  turns();
  EXPECT_EQ(ports_->flows().size(), 0U);
}

}  // namespace
}  // namespace sf::host
