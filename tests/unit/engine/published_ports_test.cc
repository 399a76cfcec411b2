// Published ports, through a whole shard.
#include "engine/published_ports.hh"

#include <set>

#include "unit/engine/shard_fixture.hh"
#include "unit/support/recorded_flows.hh"

namespace sf::engine {
namespace {

using host::HostError;
using link::pattern;

class Published : public ShardTest {
 protected:
  Published() { config_.guest.mac = kGuestMac; }

  PublishedPort publish(Transport transport, std::optional<Address> guest_address = std::nullopt) {
    const PublishRule rule{transport, v4() ? Address::v4(0) : Address(), 8080, guest_address, 80};
    const auto port = shard_->published().add(rule);
    EXPECT_TRUE(port);
    return port.value_or(PublishedPort{});
  }
  host::StreamHost::Socket& listener() { return host_.sockets.front(); }
  static Endpoint client(std::uint16_t port = 5555) { return {remote(), port}; }
  void connect(const Endpoint& from) {
    listener().clients.push_back(from);
    shard_->on_socket_event(listener().token, {.readable = true}, now_);
    turn();
  }
  void datagram(const Endpoint& from, const OwnedFrame& payload) {
    listener().arrived.emplace_back(from, payload);
    shard_->on_socket_event(listener().token, {.readable = true}, now_);
    turn();
  }
  wire::UdpDatagram heard_udp(std::size_t index = 0) const {
    return wire::UdpDatagram::parse(heard_packet(index).payload).value_or(wire::UdpDatagram{});
  }
  // The guest's answer to SYN `index`.
  void answer(std::size_t index, bool refused = false) {
    const wire::IpPacket packet = heard_packet(index);
    const wire::TcpSegment syn = heard_tcp(index);
    wire::TcpSegment s;
    s.source_port = syn.destination_port;
    s.destination_port = syn.source_port;
    s.sequence = 7000;
    s.acknowledgment = syn.sequence + 1;
    s.flags.ack = true;
    s.flags.syn = !refused;
    s.flags.rst = refused;
    s.window = 0xffff;
    frame(tcp_frame(ip_to(packet.source, wire::IpProtocol::tcp), s));
  }
};

INSTANTIATE_TEST_SUITE_P(Version, Published, testing::Bool(), version_name);

TEST_P(Published, AClientIsASynToTheGuest) {
  start();
  publish(Transport::tcp, guest());
  connect(client());
  ASSERT_EQ(link_.sent.size(), 1U);
  EXPECT_EQ(heard_packet().source, remote());
  EXPECT_EQ(heard_packet().destination, guest());
  EXPECT_EQ(heard_tcp().source_port, 5555);
  EXPECT_EQ(heard_tcp().destination_port, 80);
  EXPECT_TRUE(heard_tcp().flags.syn);
  EXPECT_EQ(shard_->published().list().at(0).accepted, 1U);
}

TEST_P(Published, BytesGoBothWays) {
  start();
  publish(Transport::tcp, guest());
  connect(client());
  auto& socket = host_.current();
  const auto hello = pattern(500);  // within the smallest MSS
  socket.incoming.assign(hello.begin(), hello.end());
  shard_->on_socket_event(socket.token, {.readable = true}, now_);
  turn();
  EXPECT_EQ(link_.sent.size(), 1U) << "nothing but the SYN before the guest has answered";
  answer(0);
  ASSERT_GE(link_.sent.size(), 2U);
  const wire::IpPacket packet = heard_packet(1);
  const auto segment = wire::TcpSegment::parse(packet.payload);
  EXPECT_EQ(OwnedFrame(segment->payload.begin(), segment->payload.end()), hello);
  const auto flows = shard_->flows(10).flows;
  ASSERT_EQ(flows.size(), 1U);
  EXPECT_TRUE(flows[0].inbound);
  EXPECT_STREQ(flows[0].state, "ESTABLISHED");
  EXPECT_EQ(flows[0].bytes_to_guest, 500U);
}

TEST_P(Published, ARefusalResetsTheClient) {
  start();
  publish(Transport::tcp, guest());
  connect(client());
  answer(0, true);
  EXPECT_TRUE(host_.current().aborted);
  EXPECT_EQ(shard_->flow_count(), 0U);
}

TEST_P(Published, AClientOnTheHostsLoopbackIsTheGateway) {
  start();
  publish(Transport::tcp, guest());
  connect({pick("127.0.0.1", "::1"), 5555});
  EXPECT_EQ(heard_packet().source, gateway());
  EXPECT_EQ(heard_tcp().source_port, 5555);
}

// Two that would be the same to the guest are told apart by another port.
TEST_P(Published, HiddenClientsDoNotCollide) {
  start();
  publish(Transport::tcp, guest());
  connect({pick("127.0.0.1", "::1"), 5555});
  connect({pick("127.0.0.2", "fe80::9"), 5555});
  connect({on_link(), 5555});
  ASSERT_EQ(link_.sent.size(), 3U);
  std::set<std::uint16_t> ports;
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(heard_packet(i).source, gateway());
    ports.insert(heard_tcp(i).source_port);
  }
  EXPECT_EQ(ports.size(), 3U);
}

// Its kernel may use the port again as soon as the host's has seen the end, which the guest sees later.
TEST_P(Published, AClientThatUsesItsPortAgainIsNotRefused) {
  start();
  publish(Transport::tcp, guest());
  connect(client());
  connect(client());
  ASSERT_EQ(link_.sent.size(), 2U);
  EXPECT_FALSE(host_.current().aborted);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(heard_packet(i).source, remote());
  EXPECT_EQ(heard_tcp(0).source_port, 5555);
  EXPECT_NE(heard_tcp(1).source_port, 5555);
}

TEST_P(Published, TheGuestsOwnAddressIsFound) {
  start();
  publish(Transport::tcp);
  connect(client());
  EXPECT_EQ(heard_packet(0).destination, v4() ? guest() : *Address::parse("fd00::ff:fe00:1"))
      << "made from its MAC, as it has not been heard of";
  frame(udp_frame(ip_to(remote(), wire::IpProtocol::udp), 9));
  connect(client(5556));
  EXPECT_EQ(heard_packet(1).destination, guest()) << "the one that it uses";
}

TEST_P(Published, AnAddressOfTheGuestsThatIsGivenIsUsed) {
  config_.guest.address6 = Address::parse("fd00::77");
  start();
  publish(Transport::tcp);
  connect(client());
  EXPECT_EQ(heard_packet(0).destination, v4() ? guest() : *Address::parse("fd00::77"));
}

// 10,000 that connect at once: the guest is not asked for more than it can answer, and nobody is turned away.
TEST_P(Published, ABurstWaitsForTheGuest) {
  config_.limits.published.dialling = 100;
  start();
  publish(Transport::tcp, guest());
  for (std::uint16_t i = 0; i < 300; ++i)
    listener().clients.push_back(client(static_cast<std::uint16_t>(1000 + i)));
  shard_->on_socket_event(listener().token, {.readable = true}, now_);
  turn();
  EXPECT_EQ(link_.sent.size(), 100U);
  for (std::size_t i = 0; i < link_.sent.size() && i < 2000; ++i) {
    if (heard_tcp(i).flags.syn) answer(i);
  }
  EXPECT_EQ(shard_->flow_count(), 300U);
  EXPECT_TRUE(listener().clients.empty());
}

TEST_P(Published, WithoutDescriptorsClientsWait) {
  start();
  publish(Transport::tcp, guest());
  listener().accept_error = HostError::no_descriptors;
  shard_->on_socket_event(listener().token, {.readable = true}, now_);
  turn();
  EXPECT_EQ(deadline_, now_ + PublishedPorts::kStarvedRetry);
  listener().accept_error = HostError::would_block;
  listener().clients.push_back(client());
  now_ += PublishedPorts::kStarvedRetry;
  turn();
  EXPECT_EQ(link_.sent.size(), 1U);
}

TEST_P(Published, ARemovedPortListensNoMoreAndItsConnectionsLiveOn) {
  start();
  const PublishedPort port = publish(Transport::tcp, guest());
  connect(client());
  answer(0);
  EXPECT_TRUE(shard_->published().remove(port.id));
  EXPECT_FALSE(shard_->published().remove(port.id));
  EXPECT_TRUE(listener().closed);
  EXPECT_EQ(shard_->flow_count(), 1U);
  EXPECT_TRUE(shard_->published().list().empty());
}

TEST_P(Published, APortThatIsTakenIsNamed) {
  start();
  host_.bind_error = HostError::in_use;
  const auto port = shard_->published().add({Transport::tcp, std::nullopt, 8080, std::nullopt, 80});
  ASSERT_FALSE(port);
  EXPECT_EQ(port.error().error, HostError::in_use);
  EXPECT_EQ(port.error().at.port, 8080);
  EXPECT_EQ(host_.open_sockets(), 0U);
}

TEST_P(Published, AnyAddressListensOnBothVersions) {
  start();
  const auto port = shard_->published().add({Transport::tcp, std::nullopt, 0, std::nullopt, 80});
  ASSERT_TRUE(port);
  EXPECT_EQ(port->rule.host_port, 33000);
  ASSERT_EQ(host_.open_sockets(), 2U);
  EXPECT_EQ(host_.sockets[1].to.port, 33000) << "the port that was found for IPv4";
}

TEST_P(Published, APortThatTheHostChoosesIsFreeForBothVersions) {
  start();
  host_.taken = {{Address(), 33000}, {Address(), 33001}};
  const auto port = shard_->published().add({Transport::tcp, std::nullopt, 0, std::nullopt, 80});
  ASSERT_TRUE(port);
  EXPECT_EQ(port->rule.host_port, 33002);
  EXPECT_EQ(host_.open_sockets(), 2U);
}

TEST_P(Published, APortThatTheHostChoosesIsGivenUpSomeTime) {
  start();
  for (std::uint16_t i = 33000; i < 34000; ++i) host_.taken.insert({Address(), i});
  const auto port = shard_->published().add({Transport::tcp, std::nullopt, 0, std::nullopt, 80});
  ASSERT_FALSE(port);
  EXPECT_EQ(port.error().error, HostError::in_use);
  EXPECT_EQ(host_.open_sockets(), 0U);
  EXPECT_LT(host_.next_port, 33100);
  EXPECT_TRUE(shard_->published().list().empty());
}

TEST_P(Published, APortThatIsTakenForOneVersionIsNotPublished) {
  start();
  host_.taken = {{Address(), 8080}};
  const auto port = shard_->published().add({Transport::tcp, std::nullopt, 8080, std::nullopt, 80});
  ASSERT_FALSE(port);
  EXPECT_EQ(port.error().at, (Endpoint{Address(), 8080}));
  EXPECT_EQ(host_.open_sockets(), 0U);
}

TEST_P(Published, UdpClientsAreAnsweredFromThePort) {
  start();
  publish(Transport::udp, guest());
  datagram(client(), pattern(100));
  ASSERT_EQ(link_.sent.size(), 1U);
  EXPECT_EQ(heard_packet().source, remote());
  EXPECT_EQ(heard_udp().source_port, 5555);
  EXPECT_EQ(heard_udp().destination_port, 80);
  EXPECT_EQ(heard_udp().payload.size(), 100U);

  const auto answer = pattern(50);
  EXPECT_EQ(out_.send_udp(kGatewayMac, ip_to(remote(), wire::IpProtocol::udp), 80, 5555, answer),
            link::Status::ok);
  frame(built());
  ASSERT_EQ(host_.datagrams.size(), 1U);
  EXPECT_EQ(host_.datagrams[0].first, client());
  EXPECT_EQ(listener().sends, 1) << "by the published port's own socket";
  EXPECT_EQ(host_.sockets.size(), 1U);
}

TEST_P(Published, UdpNeighboursAreOneSuperFrame) {
  link_.set_features(link::kAllFeatures);
  start();
  publish(Transport::udp, guest());
  for (std::size_t i = 0; i < 4; ++i) listener().arrived.emplace_back(client(), pattern(100, i));
  listener().arrived.emplace_back(client(), pattern(60, 4));
  listener().arrived.emplace_back(client(5556), pattern(100));
  datagram(client(5556), pattern(100));
  ASSERT_EQ(link_.sent.size(), 2U);
  EXPECT_EQ(link_.sent[0].offload.gso, wire::GsoType::udp);
  EXPECT_EQ(link_.sent[0].offload.gso_size, 100);
  EXPECT_EQ(heard_udp(0).source_port, 5555);
  OwnedFrame expected;
  for (std::size_t i = 0; i < 5; ++i) {
    const OwnedFrame part = pattern(i < 4 ? 100 : 60, i);
    expected.insert(expected.end(), part.begin(), part.end());
  }
  EXPECT_EQ(OwnedFrame(heard_udp(0).payload.begin(), heard_udp(0).payload.end()), expected);
  EXPECT_EQ(heard_udp(1).source_port, 5556);
  EXPECT_EQ(heard_udp(1).payload.size(), 200U);
}

TEST_P(Published, UdpToSomebodyElseGoesTheUsualWay) {
  start();
  publish(Transport::udp, guest());
  datagram(client(), pattern(100));
  EXPECT_EQ(out_.send_udp(kGatewayMac, ip_to(remote(), wire::IpProtocol::udp), 80, 5556, pattern(9)),
            link::Status::ok);
  frame(built());
  EXPECT_EQ(listener().sends, 0);
  EXPECT_EQ(host_.sockets.size(), 2U);
}

TEST_P(Published, HiddenUdpClientsAreToldApart) {
  start();
  publish(Transport::udp, guest());
  const Endpoint first{pick("127.0.0.1", "::1"), 5555};
  const Endpoint second{pick("127.0.0.2", "fe80::9"), 5555};
  for (int i = 0; i < 2; ++i) {
    datagram(first, pattern(10));
    datagram(second, pattern(10));
  }
  ASSERT_EQ(link_.sent.size(), 4U);
  EXPECT_EQ(heard_udp(0).source_port, heard_udp(2).source_port);
  EXPECT_EQ(heard_udp(1).source_port, heard_udp(3).source_port);
  EXPECT_NE(heard_udp(0).source_port, heard_udp(1).source_port);
  EXPECT_EQ(out_.send_udp(kGatewayMac, ip_to(gateway(), wire::IpProtocol::udp), 80, heard_udp(1).source_port,
                          pattern(9)),
            link::Status::ok);
  frame(built());
  ASSERT_EQ(host_.datagrams.size(), 1U);
  EXPECT_EQ(host_.datagrams[0].first, second);
}

TEST_P(Published, AUdpClientOfTwoPortsIsAnsweredByEach) {
  start();
  publish(Transport::udp, guest());
  publish(Transport::udp, guest());
  datagram(client(), pattern(10));
  host_.sockets[1].arrived.emplace_back(client(), pattern(10));
  shard_->on_socket_event(host_.sockets[1].token, {.readable = true}, now_);
  turn();
  ASSERT_EQ(link_.sent.size(), 2U);
  EXPECT_NE(heard_udp(0).source_port, heard_udp(1).source_port);
  for (const std::size_t i : {0U, 1U}) {
    EXPECT_EQ(out_.send_udp(kGatewayMac, ip_to(remote(), wire::IpProtocol::udp), 80, heard_udp(i).source_port,
                            pattern(9)),
              link::Status::ok);
    frame(built());
    EXPECT_EQ(host_.sockets[i].sends, 1);
  }
  EXPECT_EQ(host_.sockets[0].sends, 1);
}

TEST_P(Published, AUdpClientKeepsItsPortWhenAnotherOneBecomesFree) {
  start();
  const auto first = publish(Transport::udp, guest());
  publish(Transport::udp, guest());
  const auto second_says = [&] {
    host_.sockets[1].arrived.emplace_back(client(), pattern(10));
    shard_->on_socket_event(host_.sockets[1].token, {.readable = true}, now_);
    turn();
  };
  datagram(client(), pattern(10));
  second_says();
  EXPECT_TRUE(shard_->published().remove(first.id));
  second_says();
  ASSERT_EQ(link_.sent.size(), 3U);
  EXPECT_EQ(heard_udp(2).source_port, heard_udp(1).source_port);
}

TEST_P(Published, SilentUdpClientsAreForgotten) {
  start();
  publish(Transport::udp, guest());
  datagram(client(), pattern(100));
  EXPECT_EQ(shard_->flow_count(), 1U);
  now_ += PublishedPorts::kClientIdle - 1s;
  datagram(client(), pattern(100));
  now_ += 2s;
  turn();
  EXPECT_EQ(shard_->flow_count(), 1U);
  now_ += PublishedPorts::kClientIdle;
  turn();
  EXPECT_EQ(shard_->flow_count(), 0U);
}

TEST_P(Published, UdpClientsAreBounded) {
  config_.limits.published.udp_clients = 3;
  start();
  publish(Transport::udp, guest());
  for (std::uint16_t i = 0; i < 5; ++i) datagram(client(static_cast<std::uint16_t>(1000 + i)), pattern(1));
  EXPECT_EQ(shard_->flow_count(), 3U);
  EXPECT_EQ(link_.sent.size(), 5U) << "who was never answered makes room";
}

// Forged sources hear no answer, so that they do not go on after it; they take the room of one another alone.
TEST_P(Published, UdpClientsThatGoOnAfterAnAnswerStay) {
  config_.limits.published.udp_clients = 3;
  start();
  publish(Transport::udp, guest());
  const auto answers = [&](std::uint16_t port) {
    EXPECT_EQ(out_.send_udp(kGatewayMac, ip_to(remote(), wire::IpProtocol::udp), 80, port, pattern(9)),
              link::Status::ok);
    frame(built());
  };
  const auto says = [&](std::uint16_t port) { datagram(client(port), pattern(1)); };
  says(1000);
  answers(1000);
  says(1000);
  says(1001);
  says(1001);
  // A service that answers everybody, as DNS and echo do.
  for (std::uint16_t port = 2000; port < 2100; ++port) {
    says(port);
    answers(port);
  }
  EXPECT_EQ(shard_->flow_count(), 3U);
  EXPECT_EQ(listener().sends, 101) << "all were heard, and answered by the port's own socket";
  link_.sent.clear();
  says(1000);
  answers(1000);
  EXPECT_EQ(listener().sends, 102);
  EXPECT_EQ(heard_udp(0).source_port, 1000);
  answers(1001);
  EXPECT_EQ(listener().sends, 102) << "who went on before the answer did not know of any";
  says(2098);
  says(2099);
  link_.sent.clear();
  says(3000);
  EXPECT_TRUE(link_.sent.empty()) << "all have gone on: the next one is not heard";
  EXPECT_EQ(shard_->published().client_count(), 3U);
}

TEST_P(Published, AClientThatThereIsNoRoomForIsRecorded) {
  RecordedFlows watch;
  config_.watch = &watch;
  config_.limits.published.udp_clients = 1;
  start();
  publish(Transport::udp, guest());
  datagram(client(1000), pattern(1));
  EXPECT_EQ(out_.send_udp(kGatewayMac, ip_to(remote(), wire::IpProtocol::udp), 80, 1000, pattern(9)),
            link::Status::ok);
  frame(built());
  datagram(client(1000), pattern(1));
  watch.told.clear();
  for (int i = 0; i < 3; ++i) datagram(client(3000), pattern(1));
  ASSERT_EQ(watch.told.size(), 1U) << "once for several datagrams";
  const FlowEvent& told = watch.told[0].event;
  EXPECT_EQ(told.kind, FlowEvent::Kind::refused);
  EXPECT_EQ(told.protocol, FlowProtocol::udp);
  EXPECT_EQ(told.cause, FlowCause::limit);
  EXPECT_TRUE(told.inbound);
  EXPECT_EQ(told.guest, (Endpoint{guest(), 80}));
  EXPECT_EQ(told.remote, client(3000));
  shard_.reset();
}

// Accepted by another shard, and more than the guest has answered.
TEST_P(Published, AClientTooManyThatWasHandedOverIsRecorded) {
  RecordedFlows watch;
  config_.watch = &watch;
  config_.limits.published.dialling = 1;
  start();
  for (std::uint16_t port = 1000; port < 1003; ++port)
    shard_->published().adopt(UniqueFd(), client(port), {guest(), 80}, now_);
  ASSERT_EQ(watch.told.size(), 1U);
  EXPECT_EQ(watch.told[0].event.cause, FlowCause::limit);
  EXPECT_EQ(watch.told[0].event.remote, client(1002));
  shard_.reset();
}

// It would have to be an address of the other IP version inside.
TEST_P(Published, AClientThatThereIsNoWayForIsRecorded) {
  RecordedFlows watch;
  config_.watch = &watch;
  start();
  const Address other = *Address::parse(v4() ? "fd00::100" : "10.0.2.100");
  publish(Transport::tcp, other);
  connect(client());
  ASSERT_EQ(watch.told.size(), 1U);
  EXPECT_EQ(watch.told[0].event.cause, FlowCause::unreachable);
  EXPECT_EQ(watch.told[0].event.guest, (Endpoint{other, 80}));
  EXPECT_EQ(watch.told[0].event.remote, client());
  EXPECT_TRUE(watch.told[0].event.inbound);
  shard_.reset();
}

}  // namespace
}  // namespace sf::engine
