// Several shards of one guest: frames at the wrong queue, clients at the wrong listener.
#include <array>
#include <memory>
#include <set>

#include "unit/engine/shard_fixture.hh"
#include "wire/arp.hh"
#include "wire/dhcp.hh"

namespace sf::engine {
namespace {

using wire::IpProtocol;

class Shards : public ShardTest {
 protected:
  static constexpr unsigned kCount = 3;

  struct One {
    link::FakeLink link{link::Features{}};
    host::StreamHost host;
    bool woken = false;
    Mailbox mailbox{[this] { woken = true; }};
    std::unique_ptr<Shard> shard;
  };

  Shards() {
    config_.guest.mac = kGuestMac;
    group_.owners = Owners(kCount, {11, 12});
    for (One& one : all_) group_.mailboxes.push_back(&one.mailbox);
    for (unsigned i = 0; i < kCount; ++i) {
      ShardConfig config = config_;
      config.key = {i, 7};
      config.limits = divided(config.limits, kCount);
      config.place = {&group_, i};
      all_[i].shard = std::make_unique<Shard>(config, all_[i].link, all_[i].host, log_);
    }
    run();
    for (One& one : all_) advertisements_ += one.link.sent.size();
    forget();
  }

  // Turns of all, until none has anything to do.
  void run() {
    for (int i = 0; i < 1000; ++i) {
      bool more = false;
      for (One& one : all_) {
        if (std::exchange(one.woken, false)) one.shard->on_mail();
        one.shard->on_link_readable(now_);
        if (one.shard->end_turn(now_) <= now_) more = true;
      }
      for (const One& one : all_) more = more || one.woken;
      if (!more) return;
    }
    ADD_FAILURE() << "the shards never rest";
  }
  void arrive(unsigned queue, OwnedFrame bytes) {
    all_[queue].link.to_receive.emplace_back(std::move(bytes), wire::Offload{});
    run();
  }
  void forget() {
    for (One& one : all_) one.link.sent.clear();
  }
  // The only shard that has sent something to the guest.
  unsigned speaker() const {
    unsigned found = kCount;
    for (unsigned i = 0; i < kCount; ++i) {
      if (all_[i].link.sent.empty()) continue;
      EXPECT_EQ(found, kCount) << "two shards spoke";
      found = i;
    }
    return found;
  }
  std::uint64_t dropped() const {
    std::uint64_t sum = 0;
    for (const One& one : all_) sum += one.shard->totals().frames_dropped;
    return sum;
  }
  std::size_t flow_count() const {
    std::size_t sum = 0;
    for (const One& one : all_) sum += one.shard->flow_count();
    return sum;
  }
  OwnedFrame tcp(std::uint16_t from, std::uint32_t sequence, std::optional<std::uint32_t> acknowledges = {}) {
    wire::TcpSegment s = syn();
    s.source_port = from;
    s.sequence = sequence;
    s.flags.syn = !acknowledges;
    s.flags.ack = acknowledges.has_value();
    s.acknowledgment = acknowledges.value_or(0);
    return tcp_frame(ip_to(remote(), IpProtocol::tcp), s);
  }
  unsigned owner(std::uint16_t from) const { return group_.owners.of_tcp({{guest(), from}, {remote(), 80}}); }
  static OwnedFrame arp(const MacAddress& sender) {
    wire::ArpPacket request;
    request.operation = wire::ArpPacket::kRequest;
    request.sender = *Address::parse("10.0.2.100");
    request.sender_mac = sender;
    request.target = *Address::parse("10.0.2.2");
    OwnedFrame bytes(wire::kEthernetHeaderSize + wire::kArpSize);
    Writer out(bytes);
    wire::EthernetHeader{{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}, sender, 0x0806}.emit(out);
    request.emit(out);
    return bytes;
  }

  Group group_;
  std::array<One, kCount> all_;
  std::size_t advertisements_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Versions, Shards, testing::Bool(), version_name);

TEST_P(Shards, OneOfThemAdvertises) {
  EXPECT_EQ(advertisements_, 1U);
}

// Each segment comes by another queue, and none by its own.
TEST_P(Shards, AConnectionThroughWrongQueues) {
  std::set<unsigned> owners;
  for (std::uint16_t port = 40000; port < 40016; ++port) {
    const unsigned mine = owner(port);
    owners.insert(mine);
    arrive((mine + 1) % kCount, tcp(port, 1000));
    One& one = all_[mine];
    ASSERT_EQ(one.shard->totals().tcp_opened, static_cast<std::uint64_t>(one.host.connects));
    one.host.current().connected = host::HostError::none;
    one.shard->on_socket_event(one.host.current().token, {.writable = true}, now_);
    run();
    ASSERT_EQ(speaker(), mine) << "port " << port;
    const OwnedFrame bytes = one.link.sent.back().bytes;
    const auto packet = wire::parse_ip(base::drop(bytes, wire::kEthernetHeaderSize));
    const auto answer = wire::TcpSegment::parse(packet->payload);
    ASSERT_TRUE(answer->flags.syn && answer->flags.ack);
    forget();
    arrive((mine + 2) % kCount, tcp(port, 1001, answer->sequence + 1));
    const OwnedFrame hello{1, 2, 3};
    wire::TcpSegment data = syn();
    data.source_port = port;
    data.sequence = 1001;
    data.flags = {};
    data.flags.ack = true;
    data.acknowledgment = answer->sequence + 1;
    const std::array<Bytes, 1> payload{Bytes(hello)};
    EXPECT_EQ(out_.send_tcp(kGatewayMac, ip_to(remote(), IpProtocol::tcp), data, payload, 0),
              link::Status::ok);
    arrive((mine + 1) % kCount, built());
    EXPECT_EQ(one.host.current().taken, hello);
    forget();
  }
  EXPECT_EQ(owners.size(), kCount) << "all of them have flows";
  EXPECT_EQ(flow_count(), 16U);
  EXPECT_EQ(dropped(), 0U);
}

// Endpoint-independent mapping: one socket, wherever its datagrams come from and go to.
TEST_P(Shards, OnePortIsOneSocketToAllDestinations) {
  for (unsigned i = 0; i < 12; ++i) {
    arrive(i % kCount, udp_frame(ip_to(remote(), IpProtocol::udp), static_cast<std::uint16_t>(7000 + i)));
  }
  std::size_t sockets = 0;
  std::size_t datagrams = 0;
  for (const One& one : all_) {
    sockets += one.host.open_sockets();
    datagrams += one.host.datagrams.size();
  }
  EXPECT_EQ(sockets, 1U);
  EXPECT_EQ(datagrams, 12U);
}

TEST_P(Shards, OnePingIsOneSocket) {
  for (unsigned queue = 0; queue < kCount; ++queue)
    arrive(queue, echo_frame(ip_to(remote(), IpProtocol::icmp)));
  std::size_t sockets = 0;
  for (const One& one : all_) sockets += one.host.open_sockets();
  EXPECT_EQ(sockets, 1U);
  EXPECT_EQ(flow_count(), 1U);
}

TEST_P(Shards, TheGatewayAnswersWhereItIsAsked) {
  for (unsigned queue = 0; queue < kCount; ++queue) {
    arrive(queue, echo_frame(ip_to(gateway(), IpProtocol::icmp)));
    EXPECT_EQ(speaker(), queue);
    forget();
  }
}

// Each fragment by another queue; the whole goes to the owner of its port.
TEST_P(Shards, FragmentsFromAllQueues) {
  const OwnedFrame payload = link::pattern(4000);
  EXPECT_EQ(out_.send_udp(kGatewayMac, ip_to(remote(), IpProtocol::udp), 5000, 7000, payload),
            link::Status::ok);
  ASSERT_EQ(guest_link_.sent.size(), 3U);
  for (unsigned i = 0; i < 3; ++i) arrive((i + 1) % kCount, std::move(guest_link_.sent[i].bytes));
  const One& one = all_[group_.owners.of_udp(5000)];
  ASSERT_EQ(one.host.datagrams.size(), 1U);
  EXPECT_EQ(one.host.datagrams[0].second, payload);
  EXPECT_EQ(dropped(), 0U);
}

// The guest has made it small already: where it is too large for the path, the host may cut it further.
TEST_P(Shards, WhatCameAsFragmentsMayBeFragmented) {
  std::uint16_t port = 5000;
  while (group_.owners.of_udp(port) == Owners::kServices)
    ++port;  // put together by one shard, sent by another
  link::ToGuest narrow(guest_link_, kGuestMac, 1280);
  EXPECT_EQ(narrow.send_udp(kGatewayMac, ip_to(remote(), IpProtocol::udp), port, 7000, link::pattern(1400)),
            link::Status::ok);
  ASSERT_EQ(guest_link_.sent.size(), 2U);
  for (unsigned i = 0; i < 2; ++i) arrive((i + 1) % kCount, std::move(guest_link_.sent[i].bytes));
  const One& one = all_[group_.owners.of_udp(port)];
  ASSERT_EQ(one.host.options.size(), 1U);
  EXPECT_FALSE(one.host.options[0].dont_fragment);
}

TEST_P(Shards, WhatOneKnowsOfTheGuestAllKnow) {
  if (!v4()) GTEST_SKIP() << "ARP is IPv4's";
  const MacAddress moved{{0x02, 0, 0, 0, 0, 9}};
  arrive(1, arp(moved));
  forget();
  // Whichever shard the flow is of.
  for (unsigned i = 0; i < kCount; ++i) {
    for (std::uint16_t port = 5000; port < 5064; ++port) {
      if (group_.owners.of_tcp({{guest(), 80}, {remote(), port}}) != i) continue;
      all_[i].shard->published().adopt(UniqueFd(), {remote(), port}, {guest(), 80}, now_);
      break;
    }
    run();
    ASSERT_EQ(speaker(), i);
    EXPECT_EQ(wire::EthernetHeader::parse(all_[i].link.sent.at(0).bytes)->destination, moved);
    forget();
  }
}

TEST_P(Shards, OneLeaseWhicheverQueue) {
  if (!v4()) GTEST_SKIP() << "DHCP is IPv4's";
  wire::DhcpMessage discover;
  discover.type = wire::DhcpType::discover;
  discover.hardware = kGuestMac;
  std::array<std::uint8_t, wire::kDhcpMaxSize> bytes{};
  Writer out(bytes);
  discover.emit(out);
  wire::IpHeader ip;
  ip.source = Address::v4(0);
  ip.destination = Address::v4(0xffffffff);
  ip.protocol = static_cast<std::uint8_t>(IpProtocol::udp);
  for (unsigned queue = 0; queue < kCount; ++queue) {
    EXPECT_EQ(out_.send_udp({{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}, ip, 68, 67, out.written()),
              link::Status::ok);
    arrive(queue, built());
    EXPECT_EQ(speaker(), Owners::kServices);
    forget();
  }
}

// A client goes to its flow's owner, and the guest's answer finds it from any queue.
TEST_P(Shards, ClientsOfAPublishedPort) {
  const PublishRule rule{Transport::tcp, v4() ? Address::v4(0) : Address(), 8080, guest(), 80};
  for (unsigned i = 0; i < kCount; ++i) {
    ASSERT_TRUE(
        all_[i].shard->published().add(rule, i == 0 ? host::PortSharing::first : host::PortSharing::joins));
  }
  std::set<unsigned> owners;
  for (std::uint16_t port = 5000; port < 5016; ++port) {
    One& door = all_[port % kCount];
    door.host.sockets.front().clients.push_back({remote(), port});
    door.shard->on_socket_event(door.host.sockets.front().token, {.readable = true}, now_);
    run();
    const unsigned mine = group_.owners.of_tcp({{guest(), 80}, {remote(), port}});
    ASSERT_EQ(speaker(), mine);
    owners.insert(mine);
    One& one = all_[mine];
    const OwnedFrame bytes = one.link.sent.at(0).bytes;
    const auto packet = wire::parse_ip(base::drop(bytes, wire::kEthernetHeaderSize));
    const auto dialled = wire::TcpSegment::parse(packet->payload);
    EXPECT_EQ(packet->source, remote());
    EXPECT_EQ(dialled->source_port, port);
    forget();
    wire::TcpSegment answer = syn(port);
    answer.source_port = 80;
    answer.sequence = 7000;
    answer.flags.ack = true;
    answer.acknowledgment = dialled->sequence + 1;
    arrive((mine + 1) % kCount, tcp_frame(ip_to(remote(), IpProtocol::tcp), answer));
    EXPECT_EQ(speaker(), mine);
    forget();
  }
  EXPECT_EQ(owners.size(), kCount);
  EXPECT_EQ(flow_count(), 16U);
  std::uint64_t accepted = 0;
  for (const One& one : all_) accepted += one.shard->published().list().at(0).accepted;
  EXPECT_EQ(accepted, 16U);
}

// The client is the gateway to the guest, and needs another port: one whose flow is the same shard's.
TEST_P(Shards, AClientThatLooksLikeAnotherStaysWithItsShard) {
  const Address here = v4() ? Address::v4(127, 0, 0, 1) : Address().plus(1);
  const unsigned mine = group_.owners.of_tcp({{guest(), 80}, {gateway(), 5000}});
  for (int i = 0; i < 4; ++i) {
    all_[mine].shard->published().adopt(UniqueFd(), {here, 5000}, {guest(), 80}, now_);
    run();
  }
  EXPECT_EQ(all_[mine].shard->flow_count(), 4U);
  for (const FlowInfo& flow : all_[mine].shard->flows(10).flows) {
    EXPECT_EQ(group_.owners.of_tcp({flow.guest, flow.remote}), mine);
  }
}

TEST_P(Shards, AFloodThatTheOwnerDoesNotTakeIsLostAndCounted) {
  const std::uint16_t port = 5000;
  const unsigned mine = group_.owners.of_udp(port);
  const unsigned other = (mine + 1) % kCount;
  const OwnedFrame payload(1400);
  EXPECT_EQ(out_.send_udp(kGatewayMac, ip_to(remote(), IpProtocol::udp), port, 7000, payload),
            link::Status::ok);
  const OwnedFrame bytes = built();
  const std::size_t many = 2 * Mailbox::kMostBytes / bytes.size();
  for (std::size_t i = 0; i < many; ++i) all_[other].link.to_receive.emplace_back(bytes, wire::Offload{});
  Shard& busy = *all_[other].shard;
  busy.on_link_readable(now_);
  while (busy.end_turn(now_) <= now_) {
  }
  const std::uint64_t lost = busy.stats().drops[static_cast<std::size_t>(DropReason::handover_full)];
  EXPECT_GT(lost, 0U);
  run();
  EXPECT_EQ(all_[mine].host.datagrams.size() + lost, many) << "nothing is lost twice, or uncounted";
}

TEST_P(Shards, LimitsAreDivided) {
  const Limits part = divided(Limits{}, 4);
  EXPECT_EQ(part.tcp_flows, Limits{}.tcp_flows / 4);
  EXPECT_EQ(part.pieces, Limits{}.pieces / 4);
  EXPECT_EQ(part.errors_per_second, Limits{}.errors_per_second / 4);
  EXPECT_EQ(part.published.dialling, Limits{}.published.dialling / 4);
  EXPECT_EQ(divided(Limits{}, 1).ping_flows, Limits{}.ping_flows);
}

// Fragments that two shards make at the same time must not look like those of one packet.
TEST_P(Shards, IdentificationsDiffer) {
  std::set<std::uint32_t> seen;
  const OwnedFrame payload(2000);  // two fragments
  for (unsigned index = 0; index < kCount; ++index) {
    link::FakeLink link{link::Features{}};
    link::ToGuest out(link, kGatewayMac, 1500);
    out.number_from(index, kCount);
    for (int i = 0; i < 100; ++i) {
      EXPECT_EQ(out.send_udp(kGuestMac, ip_to(remote(), IpProtocol::udp), 1, 2, payload), link::Status::ok);
    }
    ASSERT_EQ(link.sent.size(), 200U);
    for (std::size_t i = 0; i < link.sent.size(); i += 2) {
      const std::uint8_t* ip = &link.sent[i].bytes[wire::kEthernetHeaderSize];
      EXPECT_TRUE(seen.insert(v4() ? load_be16(ip + 4) : load_be32(ip + 44)).second);
    }
  }
}

}  // namespace
}  // namespace sf::engine
