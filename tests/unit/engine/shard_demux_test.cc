// Shard: what is not as it should be is counted by its reason, and answered where that is due.
#include "unit/engine/shard_fixture.hh"

namespace sf::engine {
namespace {

using wire::IcmpError;
using wire::IpProtocol;

class ShardDemux : public ShardTest {
 protected:
  ShardDemux() { start(); }
};
INSTANTIATE_TEST_SUITE_P(Versions, ShardDemux, testing::Bool(), version_name);

TEST_P(ShardDemux, AFrameForSomebodyElse) {
  OwnedFrame bytes = syn_frame(remote());
  bytes[5] ^= 1;
  frame(bytes);
  expect_dropped(DropReason::not_for_us);
}

TEST_P(ShardDemux, AFrameFromAGroupOfSenders) {
  OwnedFrame bytes = syn_frame(remote());
  bytes[6] |= 1;
  frame(bytes);
  expect_dropped(DropReason::bad_address);
}

TEST_P(ShardDemux, AnUnknownEtherType) {
  OwnedFrame bytes = syn_frame(remote());
  bytes[12] = 0x81;
  bytes[13] = 0x00;
  frame(bytes);
  expect_dropped(DropReason::unknown_ether_type);
}

TEST_P(ShardDemux, TheOtherVersionsEtherType) {
  OwnedFrame bytes = syn_frame(remote());
  wire::EthernetHeader header = *wire::EthernetHeader::parse(bytes);
  header.type = static_cast<std::uint16_t>(v4() ? wire::EtherType::ipv6 : wire::EtherType::ipv4);
  Writer out(bytes);
  header.emit(out);
  frame(bytes);
  expect_dropped(DropReason::bad_version);
}

TEST_P(ShardDemux, ASpoofedSource) {
  for (const Address& source : {remote(), gateway(), pick("10.0.3.1", "fd01::1")}) {
    wire::IpHeader ip = ip_to(remote(), IpProtocol::tcp);
    ip.source = source;
    frame(tcp_frame(ip, syn()));
  }
  EXPECT_EQ(drops(DropReason::spoofed_source), 3U);
  EXPECT_EQ(host_.connects, 0);
  EXPECT_EQ(link_.sent.size(), 0U);
}

TEST_P(ShardDemux, NoSourceAtAll) {
  wire::IpHeader ip = ip_to(remote(), IpProtocol::tcp);
  ip.source = pick("0.0.0.0", "::");
  frame(tcp_frame(ip, syn()));
  expect_dropped(DropReason::bad_address);
  EXPECT_EQ(host_.connects, 0);
}

TEST_P(ShardDemux, AWrongChecksum) {
  OwnedFrame bytes = syn_frame(remote());
  bytes.back() ^= 1;
  frame(bytes);
  expect_dropped(DropReason::bad_checksum);
}

TEST_P(ShardDemux, AChecksumThatTheLinkHasSeenToIsNotLookedAt) {
  OwnedFrame bytes = syn_frame(remote());
  bytes.back() ^= 1;  // the urgent pointer
  wire::Offload offload;
  offload.checksum_needed = true;
  frame(bytes, offload);
  EXPECT_EQ(host_.connects, 1);
}

// Cut anywhere, and whatever the lengths say: counted, and nothing read past the end (the sanitizers watch).
TEST_P(ShardDemux, TruncationsAtEveryLength) {
  const OwnedFrame frames[] = {syn_frame(remote()), udp_frame(ip_to(remote(), IpProtocol::udp), 9),
                               echo_frame(ip_to(remote(), IpProtocol::icmp))};
  std::uint64_t cut = 0;
  for (const OwnedFrame& whole : frames) {
    for (std::size_t length = 0; length < whole.size(); ++length, ++cut) {
      frame(OwnedFrame(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)));
    }
  }
  EXPECT_EQ(drops(DropReason::truncated), cut);
  EXPECT_EQ(shard_->stats().frames_from_guest, cut);
  EXPECT_EQ(shard_->flow_count(), 0U);
  EXPECT_EQ(link_.sent.size(), 0U);
}

TEST_P(ShardDemux, EveryFlippedByteIsSurvived) {
  const OwnedFrame frames[] = {syn_frame(remote()), udp_frame(ip_to(remote(), IpProtocol::udp), 9),
                               echo_frame(ip_to(gateway(), IpProtocol::icmp))};
  for (const OwnedFrame& whole : frames) {
    for (std::size_t at = 0; at < whole.size(); ++at) {
      for (const int flip : {0x01, 0x80, 0xff}) {
        OwnedFrame bytes = whole;
        bytes[at] = static_cast<std::uint8_t>(bytes[at] ^ flip);
        frame(bytes);
      }
    }
  }
  EXPECT_GT(all_drops(), 0U);
}

TEST_P(ShardDemux, AnUnknownProtocolIsAnswered) {
  frame(ip_frame(ip_to(remote(), IpProtocol{132}), OwnedFrame(16)));
  EXPECT_EQ(drops(DropReason::unknown_protocol), 1U);
  expect_error(IcmpError::protocol_unreachable, remote());
}

TEST_P(ShardDemux, MulticastIsNotForwarded) {
  const Address group = pick("239.1.2.3", "ff05::1:3");
  frame(udp_frame(ip_to(group, IpProtocol::udp), 9));
  expect_dropped(DropReason::bad_address);
  EXPECT_EQ(host_.datagrams.size(), 0U);
}

TEST_P(ShardDemux, ErrorsAreLimited) {
  config_.limits.error_burst = 3;
  config_.limits.errors_per_second = 10;
  start();
  for (int i = 0; i < 10; ++i) frame(syn_frame(gateway()));
  EXPECT_EQ(link_.sent.size(), 3U);
  EXPECT_EQ(drops(DropReason::rate_limited), 7U);
  now_ += 100ms;
  frame(syn_frame(gateway()));
  EXPECT_EQ(link_.sent.size(), 4U);
}

// --- where packets may go

TEST_P(ShardDemux, TheGatewayItselfIsNotTheHost) {
  frame(syn_frame(gateway()));
  expect_error(IcmpError::net_unreachable, gateway());
  EXPECT_EQ(host_.connects, 0);
}

TEST_P(ShardDemux, TheGatewaysUdpPortsAreShut) {
  frame(udp_frame(ip_to(gateway(), IpProtocol::udp), 9));
  expect_error(IcmpError::port_unreachable, gateway());
  EXPECT_EQ(host_.datagrams.size(), 0U);
}

TEST_P(ShardDemux, WithHostLoopbackTheGatewayIsTheHost) {
  config_.network.host_loopback = true;
  start();
  frame(syn_frame(gateway()));
  ASSERT_EQ(host_.connects, 1);
  EXPECT_EQ(host_.current().to, (Endpoint{pick("127.0.0.1", "::1"), 80}));
}

TEST_P(ShardDemux, TheHostsOwnLoopbackIsNowhere) {
  for (const char* address : v4() ? std::vector{"127.0.0.1", "127.1.2.3", "0.1.2.3", "169.254.1.1"}
                                  : std::vector{"::1", "fe80::9"}) {
    link_.sent.clear();
    frame(syn_frame(*Address::parse(address)));
    EXPECT_EQ(host_.connects, 0) << address;
    expect_error(IcmpError::net_unreachable, *Address::parse(address));
  }
}

// Else the client would wait for the answer to its SYN.
TEST_P(ShardDemux, ALinkLocalSourceIsToldThatItLeadsNowhere) {
  if (v4()) GTEST_SKIP() << "no guest's source in IPv4";
  start();
  wire::IpHeader ip = ip_to(remote(), wire::IpProtocol::tcp);
  ip.source = *Address::parse("fe80::9");
  frame(tcp_frame(ip, syn()));
  EXPECT_EQ(host_.connects, 0);
  expect_error(IcmpError::beyond_scope, remote());
  EXPECT_EQ(heard_packet().destination, ip.source);
  EXPECT_EQ(drops(DropReason::bad_address), 1U);
}

// Which would give the machine's credentials to the guest.
TEST_P(ShardDemux, MetadataServicesAreNowhereUnlessAskedFor) {
  const auto addresses =
      v4() ? std::vector{"169.254.169.254", "169.254.170.2"} : std::vector{"fd00:ec2::254", "fd20:ce::254"};
  for (const char* address : addresses) {
    link_.sent.clear();
    frame(syn_frame(*Address::parse(address)));
    EXPECT_EQ(host_.connects, 0) << address;
    expect_error(IcmpError::net_unreachable, *Address::parse(address));
  }
  config_.network.metadata = true;
  start();
  frame(syn_frame(*Address::parse(addresses[0])));
  ASSERT_EQ(host_.connects, 1);
  EXPECT_EQ(host_.current().to, (Endpoint{*Address::parse(addresses[0]), 80}));
}

// connect() would take it for the host's loopback.
TEST_P(ShardDemux, TheUnspecifiedAddressIsNowhere) {
  frame(syn_frame(pick("0.0.0.0", "::")));
  expect_dropped(DropReason::bad_address);
  EXPECT_EQ(host_.connects, 0);
}

TEST_P(ShardDemux, NobodyElseIsOnTheLink) {
  frame(syn_frame(on_link()));
  expect_error(IcmpError::net_unreachable, on_link());
  EXPECT_EQ(host_.connects, 0);
}

TEST_P(ShardDemux, TheLastHopIsHere) {
  wire::IpHeader ip = ip_to(remote(), IpProtocol::tcp);
  ip.ttl = 1;
  frame(tcp_frame(ip, syn()));
  expect_error(IcmpError::time_exceeded, remote());
  EXPECT_EQ(host_.connects, 0);
  link_.sent.clear();
  ip.protocol = static_cast<std::uint8_t>(IpProtocol::udp);
  frame(udp_frame(ip, 33434));
  expect_error(IcmpError::time_exceeded, remote());
  link_.sent.clear();
  frame(echo_frame(ip));
  expect_error(IcmpError::time_exceeded, remote());
  EXPECT_EQ(shard_->flow_count(), 0U);
}

TEST_P(ShardDemux, NothingOfIpv6WhereItIsOff) {
  config_.network.ipv6 = false;
  start();
  frame(syn_frame(remote()));
  EXPECT_EQ(host_.connects, v4() ? 1 : 0);
  EXPECT_EQ(drops(DropReason::unknown_ether_type), v4() ? 0U : 1U);
}

// --- fragments

TEST_P(ShardDemux, FragmentsAreOneDatagram) {
  EXPECT_EQ(out_.send_udp(kGatewayMac, ip_to(remote(), IpProtocol::udp), 5000, 9, link::pattern(4000)),
            link::Status::ok);
  ASSERT_EQ(guest_link_.sent.size(), 3U);
  for (std::size_t i : {2U, 0U, 1U}) frame(guest_link_.sent[i].bytes);
  ASSERT_EQ(host_.datagrams.size(), 1U);
  EXPECT_EQ(host_.datagrams[0].first, (Endpoint{remote(), 9}));
  EXPECT_EQ(host_.datagrams[0].second, link::pattern(4000));
}

TEST_P(ShardDemux, OneThatNeverCompletesIsReported) {
  EXPECT_EQ(out_.send_udp(kGatewayMac, ip_to(remote(), IpProtocol::udp), 5000, 9, link::pattern(4000)),
            link::Status::ok);
  frame(guest_link_.sent[0].bytes);
  EXPECT_LE(deadline_, now_ + Reassembly::kTimeout);
  now_ += Reassembly::kTimeout;
  turn();
  bool reported = false;
  for (std::size_t i = 0; i < link_.sent.size(); ++i) {
    if (wire::EthernetHeader::parse(link_.sent[i].bytes)->destination != kGuestMac)
      continue;  // advertisements
    const wire::IcmpMessage message = heard_icmp(i);
    reported |= wire::icmp_error_from(message.type, message.code, v4()) == IcmpError::reassembly_timeout;
  }
  EXPECT_TRUE(reported);
}

}  // namespace
}  // namespace sf::engine
