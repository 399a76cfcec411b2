// Shard: whole exchanges, from frame to socket and back; its turns and its end.
#include "unit/engine/shard_fixture.hh"
#include "wire/arp.hh"
#include "wire/ndp.hh"

namespace sf::engine {
namespace {

using host::HostError;
using wire::IpProtocol;

class ShardPath : public ShardTest {
 protected:
  ShardPath() { start(); }
  void event(host::Readiness readiness) {
    shard_->on_socket_event(host_.current().token, readiness, now_);
    turn();
  }
  wire::TcpSegment answer(std::uint32_t at, bool fin = false) const {
    wire::TcpSegment s = syn();
    s.flags = {};
    s.flags.ack = true;
    s.flags.fin = fin;
    s.sequence = at;
    s.acknowledgment = next_;
    return s;
  }
  void hear(const wire::TcpSegment& s) { frame(tcp_frame(ip_to(remote(), IpProtocol::tcp), s)); }
  void connect(std::optional<std::uint8_t> window_scale = std::nullopt) {
    wire::TcpSegment first = syn();
    first.options.window_scale = window_scale;
    hear(first);
    ASSERT_EQ(host_.connects, 1);
    EXPECT_EQ(host_.current().to, (Endpoint{remote(), 80}));
    EXPECT_EQ(link_.sent.size(), 0U);
    host_.current().connected = HostError::none;
    event({.writable = true});
    ASSERT_EQ(link_.sent.size(), 1U);
    ASSERT_TRUE(heard_tcp().flags.syn && heard_tcp().flags.ack);
    next_ = heard_tcp().sequence + 1;
    link_.sent.clear();
    hear(answer(1001));
    link_.sent.clear();
  }

  std::uint32_t next_ = 0;  // of ours, as the guest has it
};
INSTANTIATE_TEST_SUITE_P(Versions, ShardPath, testing::Bool(), version_name);

TEST_P(ShardPath, AConnectionFromSynToTheEnd) {
  connect();
  EXPECT_EQ(shard_->flow_count(), 1U);
  EXPECT_EQ(out_.send_tcp(kGatewayMac, ip_to(remote(), IpProtocol::tcp), answer(1001),
                          std::vector<Bytes>{link::pattern(100)}, 0),
            link::Status::ok);
  frame(built());
  EXPECT_EQ(host_.current().taken, link::pattern(100));
  link_.sent.clear();

  const auto far = link::pattern(5000);
  host_.current().incoming.assign(far.begin(), far.end());
  host_.current().ended = true;
  event({.readable = true, .read_closed = true});
  OwnedFrame heard;
  bool fin = false;
  for (std::size_t i = 0; i < link_.sent.size(); ++i) {
    const wire::TcpSegment s = heard_tcp(i);
    heard.insert(heard.end(), s.payload.begin(), s.payload.end());
    fin |= s.flags.fin;
    EXPECT_LE(link_.sent[i].bytes.size(), 1514U);
  }
  EXPECT_EQ(heard, far);
  EXPECT_TRUE(fin);
  next_ += 5001;
  hear(answer(1101, true));
  EXPECT_TRUE(host_.current().closed);
  now_ += tcp::Connection::kTimeWait;
  turn();
  EXPECT_EQ(shard_->flow_count(), 0U);
  EXPECT_EQ(shard_->stats().pieces_in_use, 0U);
  EXPECT_EQ(all_drops(), 0U);
}

TEST_P(ShardPath, ARefusedConnection) {
  frame(syn_frame(remote()));
  host_.current().connected = HostError::refused;
  event({.error = true});
  ASSERT_EQ(link_.sent.size(), 1U);
  EXPECT_TRUE(heard_tcp().flags.rst);
  EXPECT_EQ(heard_tcp().acknowledgment, 1001U);
  EXPECT_EQ(shard_->flow_count(), 0U);
}

TEST_P(ShardPath, AnUnreachableOne) {
  host_.connect_error = HostError::net_unreachable;
  frame(syn_frame(remote()));
  expect_error(wire::IcmpError::net_unreachable, remote());
  EXPECT_EQ(shard_->flow_count(), 0U);
}

TEST_P(ShardPath, ASegmentOfNoFlow) {
  next_ = 77;
  hear(answer(500));
  ASSERT_EQ(link_.sent.size(), 1U);
  EXPECT_TRUE(heard_tcp().flags.rst);
  EXPECT_EQ(heard_tcp().sequence, 77U);
  EXPECT_EQ(drops(DropReason::no_listener), 1U);
}

TEST_P(ShardPath, ManySegmentsOfNoFlow) {
  config_.limits.reset_burst = 20;
  start();
  for (int i = 0; i < 100; ++i) hear(answer(500));
  EXPECT_EQ(link_.sent.size(), 20U);
  EXPECT_EQ(drops(DropReason::no_listener), 100U);
  EXPECT_EQ(drops(DropReason::rate_limited), 0U) << "each frame counts once";
  now_ += 1s;
  hear(answer(500));
  EXPECT_EQ(link_.sent.size(), 21U);
}

TEST_P(ShardPath, TcpToTheNameServerAddress) {
  host_.configured.servers = {{Address::v4(192, 0, 2, 1), 53}};
  frame(syn_frame(dns(), 53));
  ASSERT_EQ(host_.connects, 1);
  EXPECT_EQ(host_.current().to, host_.configured.servers[0]);
  frame(syn_frame(dns(), 80));
  ASSERT_EQ(link_.sent.size(), 1U);
  EXPECT_TRUE(heard_tcp().flags.rst);
  EXPECT_EQ(host_.connects, 1);
}

TEST_P(ShardPath, Udp) {
  frame(udp_frame(ip_to(remote(), IpProtocol::udp), 9, link::pattern(100)));
  ASSERT_EQ(host_.datagrams.size(), 1U);
  EXPECT_EQ(host_.datagrams[0].first, (Endpoint{remote(), 9}));
  EXPECT_EQ(host_.datagrams[0].second, link::pattern(100));
  EXPECT_EQ(shard_->flow_count(), 1U);
}

TEST_P(ShardPath, UdpFlowsEnd) {
  frame(udp_frame(ip_to(remote(), IpProtocol::udp), 9, link::pattern(100)));
  for (int i = 0; i < 1000 && shard_->flow_count() > 0; ++i) {
    ASSERT_NE(deadline_, kNever);
    now_ = deadline_;
    turn();
  }
  EXPECT_EQ(shard_->flow_count(), 0U);
  EXPECT_EQ(host_.open_sockets(), 0U);
}

TEST_P(ShardPath, PingOfTheGateway) {
  frame(echo_frame(ip_to(gateway(), IpProtocol::icmp)));
  ASSERT_EQ(link_.sent.size(), 1U);
  EXPECT_EQ(heard_packet().source, gateway());
  EXPECT_EQ(heard_icmp().type, v4() ? wire::icmpv4::kEchoReply : wire::icmpv6::kEchoReply);
  EXPECT_EQ(heard_icmp().rest, (77U << 16) | 1);
  EXPECT_EQ(shard_->flow_count(), 0U);
}

TEST_P(ShardPath, PingOfTheWorld) {
  frame(echo_frame(ip_to(remote(), IpProtocol::icmp)));
  ASSERT_EQ(host_.datagrams.size(), 1U);
  EXPECT_EQ(host_.datagrams[0].first.address, remote());
  EXPECT_EQ(link_.sent.size(), 0U);
}

TEST_P(ShardPath, WhoIsTheGateway) {
  if (v4()) {
    std::array<std::uint8_t, wire::kEthernetHeaderSize + wire::kArpSize> bytes{};
    Writer out(bytes);
    wire::EthernetHeader{kBroadcastMac, kGuestMac, static_cast<std::uint16_t>(wire::EtherType::arp)}.emit(
        out);
    wire::ArpPacket{wire::ArpPacket::kRequest, kGuestMac, guest(), {}, gateway()}.emit(out);
    frame({bytes.begin(), bytes.end()});
    ASSERT_EQ(link_.sent.size(), 1U);
    const auto reply = wire::ArpPacket::parse(base::drop(link_.sent[0].bytes, wire::kEthernetHeaderSize));
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->operation, wire::ArpPacket::kReply);
    EXPECT_EQ(reply->sender_mac, kGatewayMac);
    EXPECT_EQ(reply->sender, gateway());
    return;
  }
  wire::NeighborSolicitation question;
  question.target = gateway();
  question.source_link = kGuestMac;
  wire::IpHeader ip = ip_to(gateway(), IpProtocol::icmpv6);
  ip.ttl = wire::kNdpHopLimit;
  std::array<std::uint8_t, 64> bytes{};
  Writer out(bytes);
  question.emit(out, ip.source, ip.destination);
  frame(ip_frame(ip, out.written()));
  ASSERT_EQ(link_.sent.size(), 1U);
  EXPECT_EQ(heard_icmp().type, wire::ndp::kNeighborAdvertisement);
}

// --- turns

TEST_P(ShardPath, ATurnTakesAFewFramesAndAsksForAnother) {
  config_.limits.frames_per_turn = 4;
  start();
  for (int i = 0; i < 10; ++i)
    link_.to_receive.emplace_back(echo_frame(ip_to(gateway(), IpProtocol::icmp)), wire::Offload{});
  shard_->on_link_readable(now_);
  EXPECT_LE(shard_->end_turn(now_), now_);
  EXPECT_EQ(link_.sent.size(), 4U);
  turn();
  EXPECT_EQ(link_.sent.size(), 10U);
}

TEST_P(ShardPath, WhileIdleItSleeps) {
  config_.network.ipv6 = false;
  start();
  EXPECT_EQ(deadline_, kNever);
  config_.network.ipv6 = true;
  start();
  EXPECT_GE(deadline_, now_ + 60s) << "the next router advertisement";
}

TEST_P(ShardPath, PayloadMemoryGoesBackAndThenItSleeps) {
  connect(std::uint8_t{8});
  host_.current().incoming.resize(2U << 20);
  event({.readable = true});
  EXPECT_GT(shard_->stats().pieces_in_use, PiecePool::kKeep);
  wire::TcpSegment reset = answer(1001);
  reset.flags.rst = true;
  hear(reset);
  EXPECT_EQ(shard_->flow_count(), 0U);
  int turns = 0;
  for (const Time end = now_ + 1s; deadline_ <= end; ++turns) {
    now_ = deadline_;
    turn();
  }
  EXPECT_GE(turns, 1) << "nothing was looked at";
  EXPECT_LE(turns, 2) << "it does not come to rest";
}

TEST_P(ShardPath, ALinkThatIsGoneEndsIt) {
  EXPECT_TRUE(shard_->alive());
  link_.gone = true;
  turn();
  EXPECT_FALSE(shard_->alive());
}

TEST_P(ShardPath, ItsEndResetsEveryConnection) {
  connect();
  frame(udp_frame(ip_to(remote(), IpProtocol::udp), 9, link::pattern(100)));
  EXPECT_EQ(host_.open_sockets(), 2U);
  link_.sent.clear();
  shard_.reset();
  EXPECT_EQ(host_.open_sockets(), 0U);
  ASSERT_EQ(link_.sent.size(), 1U);
  EXPECT_TRUE(heard_tcp().flags.rst);
}

}  // namespace
}  // namespace sf::engine
