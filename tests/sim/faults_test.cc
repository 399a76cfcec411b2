// Faults at the Host and Link interfaces: for each kind of call in turn, the first one fails, then the
// second, and so on through a whole run. Whatever fails, nothing is left behind, no rule is broken, and every
// connection that was not hit itself ends in good order.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cctype>
#include <map>
#include <set>

#include "sim/pass_through.hh"
#include "sim/scenario.hh"
#include "sim/sim_host.hh"
#include "sim/simulation.hh"

namespace sf::sim {
namespace {

using host::HostError;
using host::SocketId;

enum class Call : std::uint8_t { connect, finish, send, receive, open, send_datagram };

// Which call fails, and how.
struct Fault {
  Call call = Call::connect;
  std::uint64_t number = 0;  // the first one is 1
  HostError error = HostError::other;
  bool shortened =
      false;  // instead of an error: one byte is sent or received, and an event comes for the rest
};

// What has come of it.
struct Record {
  std::uint64_t calls = 0;  // of that kind
  bool happened = false;
  std::set<Endpoint> hit;  // servers of connections
};

class FaultyHost final : public PassHost {
 public:
  FaultyHost(host::Host& real, const Fault& fault, Record& record)
      : PassHost(real), fault_(fault), record_(record) {}

  tl::expected<SocketId, HostError> connect_stream(const Endpoint& to, host::Token token) override {
    if (strikes(Call::connect)) {
      record_.hit.insert(to);
      return tl::unexpected(fault_.error);
    }
    const auto socket = PassHost::connect_stream(to, token);
    if (socket) servers_[*socket] = to;
    return socket;
  }
  HostError finish_connect(SocketId socket) override {
    const HostError real = PassHost::finish_connect(socket);
    if (real == HostError::in_progress || !strikes(Call::finish)) return real;
    hit(socket);
    return fault_.error;
  }
  host::IoResult send(SocketId socket, std::span<const Bytes> pieces) override {
    if (!strikes(Call::send)) return PassHost::send(socket, pieces);
    if (!fault_.shortened) return failed(socket);
    const Bytes first[] = {take(pieces[0], 1)};
    const host::IoResult result = PassHost::send(socket, first);
    sim_host().announce(socket);
    return result;
  }
  host::IoResult receive(SocketId socket, std::span<const MutBytes> into) override {
    if (!strikes(Call::receive)) return PassHost::receive(socket, into);
    if (!fault_.shortened) return failed(socket);
    const MutBytes first[] = {into[0].first(1)};
    const host::IoResult result = PassHost::receive(socket, first);
    sim_host().announce(socket);
    return result;
  }
  tl::expected<SocketId, HostError> open_datagram(host::DatagramKind kind, bool v4,
                                                  host::Token token) override {
    if (strikes(Call::open)) return tl::unexpected(fault_.error);
    return PassHost::open_datagram(kind, v4, token);
  }
  HostError send_datagram(SocketId socket, const Endpoint& to, Bytes payload,
                          const host::DatagramOptions& options) override {
    if (strikes(Call::send_datagram)) return fault_.error;
    return PassHost::send_datagram(socket, to, payload, options);
  }

 private:
  bool strikes(Call call) {
    if (call != fault_.call || ++record_.calls != fault_.number) return false;
    return record_.happened = true;
  }
  void hit(SocketId socket) {
    record_.hit.insert(servers_.at(socket));
    sim_host().note_failure(socket);
  }
  host::IoResult failed(SocketId socket) {
    if (fault_.error == HostError::would_block) {
      sim_host().announce(socket);
    } else {
      hit(socket);
    }
    return {0, fault_.error};
  }
  SimHost& sim_host() { return dynamic_cast<SimHost&>(real_); }

  const Fault fault_;
  Record& record_;
  std::map<SocketId, Endpoint> servers_;
};

// Three connections that carry data both ways, datagrams, pings, queries.
Plan make_busy_plan() {
  Plan plan = make_quiet_plan(3, 20'000);
  const FlowPlan first = plan.flows[0];
  for (std::uint16_t i = 1; i < 3; ++i) {
    FlowPlan flow = first;
    flow.guest.port = static_cast<std::uint16_t>(flow.guest.port + i);
    flow.server.port = static_cast<std::uint16_t>(flow.server.port + i);
    flow.start = i * 100us;
    flow.key += i;
    flow.from.close = GuestClose::after_peer_fin;
    // Small buffers: what the socket does not take has to wait inside.
    flow.peer.send_capacity = flow.peer.receive_capacity = 4000;
    plan.flows.push_back(flow);
  }
  const Endpoint echo{Address::v4(203, 0, 113, 100), 7};
  plan.datagram_servers = {{echo, DatagramService::echo},
                           {{Address::v4(127, 0, 0, 53), 53}, DatagramService::name_server}};
  plan.datagrams.push_back({.guest = {first.guest.address, 30'000}, .servers = {0}, .count = 10});
  plan.pings.push_back({.guest = first.guest.address, .server = echo.address, .id = 7});
  plan.noise.queries = 5;
  plan.noise.period = 100ms;
  // A datagram that was not sent is lost; how many were is not what this is about.
  plan.host.datagram_loss = 1e-12;
  return plan;
}

// The violations of a run with this fault; those of connections that it has hit do not count.
std::string run_with(const Fault& fault, Record& record) {
  record = {};
  Sabotage sabotage;
  sabotage.host = [&](World&, host::Host& real) { return std::make_unique<FaultyHost>(real, fault, record); };
  sabotage.excused = [&](const FlowPlan& flow) { return record.hit.contains(flow.server); };
  const Result result = run(make_busy_plan(), make_shard, nullptr, sabotage);
  return result.report();
}

// Each of the calls in turn, until a run has fewer of them. Long runs of the same call are thinned out
// towards their end, where they repeat themselves.
void fail_each(Call call, HostError error, bool shortened = false) {
  std::uint64_t times = 0;
  for (std::uint64_t number = 1;; number += 1 + number / 40) {
    Record record;
    const std::string broken = run_with({call, number, error, shortened}, record);
    EXPECT_EQ(broken, "") << "call " << number << ": " << to_string(error);
    if (!record.happened || !broken.empty()) break;
    ++times;
  }
  EXPECT_GT(times, 0U) << "the run has no such call";
}

constexpr HostError kErrors[] = {HostError::no_descriptors, HostError::no_memory,       HostError::no_ports,
                                 HostError::reset,          HostError::net_unreachable, HostError::other};

class Faults : public testing::TestWithParam<HostError> {};

TEST_P(Faults, Connect) {
  fail_each(Call::connect, GetParam());
}
TEST_P(Faults, FinishConnect) {
  fail_each(Call::finish, GetParam());
}
TEST_P(Faults, Send) {
  fail_each(Call::send, GetParam());
}
TEST_P(Faults, Receive) {
  fail_each(Call::receive, GetParam());
}
TEST_P(Faults, OpenDatagramSocket) {
  fail_each(Call::open, GetParam());
}
TEST_P(Faults, SendDatagram) {
  fail_each(Call::send_datagram, GetParam());
}
std::string error_name(const testing::TestParamInfo<HostError>& info) {
  std::string name = to_string(info.param);
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}
INSTANTIATE_TEST_SUITE_P(Each, Faults, testing::ValuesIn(kErrors), error_name);

TEST(Fault, ShortSend) {
  fail_each(Call::send, HostError::none, true);
}

TEST(Fault, ShortReceive) {
  fail_each(Call::receive, HostError::none, true);
}
TEST(Fault, SendWouldBlock) {
  fail_each(Call::send, HostError::would_block);
}
TEST(Fault, ReceiveWouldBlock) {
  fail_each(Call::receive, HostError::would_block);
}

TEST(Fault, DatagramWouldBlock) {
  fail_each(Call::send_datagram, HostError::would_block);
}

// The device refuses one frame.
class RefusingLink final : public PassLink {
 public:
  RefusingLink(link::Link& real, std::uint64_t number, bool& happened)
      : PassLink(real), left_(number), happened_(happened) {}
  link::Status send(std::span<const Bytes> parts, const wire::Offload& offload) override {
    if (left_ == 0 || --left_ != 0) return PassLink::send(parts, offload);
    happened_ = true;
    return link::Status::dropped;
  }

 private:
  std::uint64_t left_;
  bool& happened_;
};

TEST(Fault, FrameToTheGuestRefused) {
  for (std::uint64_t number = 1;; number += 1 + number / 40) {
    bool happened = false;
    Sabotage sabotage;
    sabotage.link = [&](World&, link::Link& real) {
      return std::make_unique<RefusingLink>(real, number, happened);
    };
    const Result result = run(make_busy_plan(), make_shard, nullptr, sabotage);
    EXPECT_EQ(result.report(), "") << "frame " << number;
    if (!happened || !result.violations.empty()) break;
  }
}

}  // namespace
}  // namespace sf::sim
