// Each rule about the host's side and about the event loop, shown to fail.
#include <gmock/gmock.h>

#include <utility>
#include <vector>

#include "sim/planted.hh"

namespace sf::sim {
namespace {

using host::HostError;
using host::IoResult;
using host::SocketId;
using testing::Contains;

constexpr std::uint64_t kBytes = 100'000;

template <typename T>
std::set<std::string> broken_by_host() {
  return broken_rules(make_quiet_plan(7, kBytes), host_bug<T>());
}

class EditHost : public PassHost {
 public:
  using PassHost::PassHost;

 protected:
  // The pieces as one, for whoever changes them.
  static FrameBytes gather(std::span<const Bytes> pieces) {
    FrameBytes all;
    for (const Bytes& piece : pieces) all.insert(all.end(), piece.begin(), piece.end());
    return all;
  }
  IoResult pass(SocketId socket, const FrameBytes& bytes) {
    const Bytes whole[] = {bytes};
    return real_.send(socket, whole);
  }
};

class FlippedByte final : public EditHost {
  using EditHost::EditHost;
  IoResult send(SocketId socket, std::span<const Bytes> pieces) override {
    FrameBytes bytes = gather(pieces);
    if (bytes.size() > 100) bytes[100] ^= 1;
    return pass(socket, bytes);
  }
};
TEST(PlantedBug, ByteTowardsTheHostChanged) {
  EXPECT_THAT(broken_by_host<FlippedByte>(), Contains("prefix-to-host"));
}

class SentTwice final : public EditHost {
  using EditHost::EditHost;
  IoResult send(SocketId socket, std::span<const Bytes> pieces) override {
    static_cast<void>(PassHost::send(socket, pieces));
    return PassHost::send(socket, pieces);
  }
};
TEST(PlantedBug, BytesTowardsTheHostTwice) {
  EXPECT_THAT(broken_by_host<SentTwice>(), Contains("prefix-to-host"));
}

class MoreThanCame final : public EditHost {
  using EditHost::EditHost;
  IoResult send(SocketId socket, std::span<const Bytes> pieces) override {
    FrameBytes bytes = gather(pieces);
    bytes.push_back(0);
    IoResult result = pass(socket, bytes);
    if (result.bytes == bytes.size()) --result.bytes;
    return result;
  }
};
TEST(PlantedBug, MoreTowardsTheHostThanCame) {
  EXPECT_THAT(broken_by_host<MoreThanCame>(), Contains("data-unreceived"));
}

class Swallowed final : public EditHost {
  using EditHost::EditHost;
  IoResult send(SocketId, std::span<const Bytes> pieces) override {
    return {gather(pieces).size(), HostError::none};
  }
  void shutdown_send(SocketId) override {}
  void close(SocketId socket) override { real_.abort(socket); }
};
TEST(PlantedBug, AcknowledgedBytesLost) {
  const auto rules = broken_by_host<Swallowed>();
  EXPECT_THAT(rules, Contains("acked-lost"));
  EXPECT_THAT(rules, Contains("lost-to-host"));
  EXPECT_THAT(rules, Contains("false-reset"));
}

class EndsTooEarly final : public EditHost {
  using EditHost::EditHost;
  IoResult send(SocketId socket, std::span<const Bytes> pieces) override {
    const IoResult result = PassHost::send(socket, pieces);
    if (result.bytes > 0 && !std::exchange(done_, true)) real_.shutdown_send(socket);
    return result;
  }
  bool done_ = false;
};
TEST(PlantedBug, EndTowardsTheHostTooEarly) {
  EXPECT_THAT(broken_by_host<EndsTooEarly>(), Contains("false-eof"));
}

class EndsTwice final : public EditHost {
  using EditHost::EditHost;
  void shutdown_send(SocketId socket) override {
    PassHost::shutdown_send(socket);
    const FrameBytes more(1);
    static_cast<void>(pass(socket, more));
  }
};
TEST(PlantedBug, SendAfterTheEnd) {
  EXPECT_THAT(broken_by_host<EndsTwice>(), Contains("send-after-shutdown"));
}

class ClaimsMore final : public EditHost {
  using EditHost::EditHost;
  IoResult receive(SocketId socket, std::span<const MutBytes> into) override {
    IoResult result = PassHost::receive(socket, into);
    if (result.bytes > 0 && result.bytes < into[0].size()) ++result.bytes;
    return result;
  }
};
TEST(PlantedBug, MoreTowardsTheGuestThanTheHostGave) {
  EXPECT_THAT(broken_by_host<ClaimsMore>(), Contains("data-unread"));
}

class FalseEnd final : public EditHost {
  using EditHost::EditHost;
  IoResult receive(SocketId socket, std::span<const MutBytes> into) override {
    const IoResult result = PassHost::receive(socket, into);
    return result.error == HostError::would_block ? IoResult{} : result;
  }
};
TEST(PlantedBug, EndTowardsTheGuestTooEarly) {
  Plan plan = make_quiet_plan(7, kBytes);
  plan.flows[0].peer.send_chunk = 1000;
  plan.flows[0].peer.send_interval = 5ms;
  // The stack reads once more only where an end is announced, and so a false one needs events that say
  // nothing.
  plan.host.spurious = 1;
  Sabotage bug = host_bug<FalseEnd>();
  class Announces final : public PassReactor {
   public:
    using PassReactor::PassReactor;
    void on_socket_event(host::Token token, host::Readiness readiness, Time now) override {
      readiness.readable = readiness.read_closed = true;
      PassReactor::on_socket_event(token, readiness, now);
    }
  };
  bug.reactor = reactor_bug<Announces>().reactor;
  EXPECT_THAT(broken_rules(plan, bug), Contains("fin-early"));
}

class SaysConnected final : public EditHost {
  using EditHost::EditHost;
  HostError finish_connect(SocketId) override { return HostError::none; }
};
TEST(PlantedBug, SynAckBeforeTheHostConnected) {
  EXPECT_THAT(broken_by_host<SaysConnected>(), Contains("syn-ack-early"));
}

class ConnectsTwice final : public EditHost {
  using EditHost::EditHost;
  tl::expected<SocketId, HostError> connect_stream(const Endpoint& to, host::Token token) override {
    static_cast<void>(PassHost::connect_stream(to, token));
    return PassHost::connect_stream(to, token);
  }
};
TEST(PlantedBug, SecondSocketForOneConnection) {
  EXPECT_THAT(broken_by_host<ConnectsTwice>(), Contains("second-connect"));
}

class KeepsSockets final : public EditHost {
  using EditHost::EditHost;
  void close(SocketId socket) override { real_.shutdown_send(socket); }
};
TEST(PlantedBug, SocketLeaked) {
  EXPECT_THAT(broken_by_host<KeepsSockets>(), Contains("socket-leak"));
}

class ClosesTwice final : public EditHost {
  using EditHost::EditHost;
  void close(SocketId socket) override {
    PassHost::close(socket);
    PassHost::close(socket);
  }
};
TEST(PlantedBug, SocketUsedAfterClose) {
  EXPECT_THAT(broken_by_host<ClosesTwice>(), Contains("socket-use"));
}

class NeverFails final : public EditHost {
  using EditHost::EditHost;
  HostError finish_connect(SocketId) override { return HostError::in_progress; }
};
TEST(PlantedBug, RefusalNotPassedOn) {
  Plan plan = make_quiet_plan(7, kBytes);
  plan.flows[0].peer.outcome = ConnectOutcome::refused;
  EXPECT_THAT(broken_rules(plan, host_bug<NeverFails>()), Contains("refused"));
  plan.flows[0].peer.outcome = ConnectOutcome::net_unreachable;
  EXPECT_THAT(broken_rules(plan, host_bug<NeverFails>()), Contains("unreachable"));
}

// --- datagrams
// -----------------------------------------------------------------------------------------------------

Plan datagram_plan() {
  Plan plan = make_quiet_plan(7, 1000);
  plan.datagram_servers = {{{Address::v4(203, 0, 113, 100), 7}, DatagramService::echo},
                           {{Address::v4(203, 0, 113, 101), 7}, DatagramService::echo}};
  plan.datagrams.push_back({.guest = {plan.network.guest4, 30'000}, .servers = {0, 1}, .count = 20});
  return plan;
}

TEST(PlantedBug, ControlOfDatagrams) {
  const Result result = run(datagram_plan(), make_shard, nullptr);
  EXPECT_TRUE(result.violations.empty()) << result.report();
  EXPECT_EQ(result.answers, 20U);
}

class DatagramFlipped final : public EditHost {
  using EditHost::EditHost;
  HostError send_datagram(SocketId socket, const Endpoint& to, Bytes payload,
                          const host::DatagramOptions& options) override {
    FrameBytes bytes(payload.begin(), payload.end());
    bytes.back() ^= 1;
    return PassHost::send_datagram(socket, to, bytes, options);
  }
};
TEST(PlantedBug, DatagramChanged) {
  EXPECT_THAT(broken_rules(datagram_plan(), host_bug<DatagramFlipped>()), Contains("datagram-changed"));
}

class DatagramLost final : public EditHost {
  using EditHost::EditHost;
  HostError send_datagram(SocketId socket, const Endpoint& to, Bytes payload,
                          const host::DatagramOptions& options) override {
    if (++count_ == 3) return HostError::none;
    return PassHost::send_datagram(socket, to, payload, options);
  }
  int count_ = 0;
};
TEST(PlantedBug, DatagramLost) {
  EXPECT_THAT(broken_rules(datagram_plan(), host_bug<DatagramLost>()), Contains("datagram-lost"));
}

class ErrorLost final : public EditHost {
  using EditHost::EditHost;
  bool receive_error(SocketId, host::DatagramError&) override { return false; }
};
TEST(PlantedBug, ErrorNotPassedOn) {
  Plan plan = datagram_plan();
  plan.datagram_servers[0].service = DatagramService::refuse;
  EXPECT_THAT(broken_rules(plan, host_bug<ErrorLost>()), Contains("error-lost"));
}

class DatagramAstray final : public EditHost {
  using EditHost::EditHost;
  std::span<const host::ReceivedDatagram> receive_datagrams(SocketId socket) override {
    const auto received = PassHost::receive_datagrams(socket);
    changed_.assign(received.begin(), received.end());
    for (host::ReceivedDatagram& datagram : changed_) datagram.from.port = 8;
    return changed_;
  }
  std::vector<host::ReceivedDatagram> changed_;
};
TEST(PlantedBug, DatagramFromElsewhere) {
  EXPECT_THAT(broken_rules(datagram_plan(), host_bug<DatagramAstray>()), Contains("datagram-astray"));
}

// Sends to every second server from a socket of its own: a mapping that depends on the endpoint.
class MappingPerServer final : public EditHost {
  using EditHost::EditHost;
  HostError send_datagram(SocketId socket, const Endpoint& to, Bytes payload,
                          const host::DatagramOptions& options) override {
    if (to.address == Address::v4(203, 0, 113, 100))
      return PassHost::send_datagram(socket, to, payload, options);
    if (other_ == host::kNoSocket) other_ = PassHost::open_datagram(host::DatagramKind::udp, true, 0).value();
    return PassHost::send_datagram(other_, to, payload, options);
  }
  SocketId other_ = host::kNoSocket;
};
TEST(PlantedBug, MappingDependsOnTheEndpoint) {
  EXPECT_THAT(broken_rules(datagram_plan(), host_bug<MappingPerServer>()), Contains("mapping"));
}

}  // namespace
}  // namespace sf::sim
