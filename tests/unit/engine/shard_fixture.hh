// A whole shard between raw frames and a scripted host. Parameterized by IP version: true for IPv4.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/shard.hh"
#include "unit/link/fake_link.hh"
#include "unit/support/stream_host.hh"
#include "unit/support/version_name.hh"
#include "wire/udp.hh"

namespace sf::engine {

using OwnedFrame = std::vector<std::uint8_t>;
using wire::DropReason;

class ShardTest : public testing::TestWithParam<bool> {
 protected:
  static constexpr MacAddress kGatewayMac{{0x52, 0x55, 10, 0, 2, 2}};
  static constexpr MacAddress kGuestMac{{0x02, 0, 0, 0, 0, 1}};

  static bool v4() { return GetParam(); }
  static Address pick(const char* four, const char* six) { return *Address::parse(v4() ? four : six); }
  static Address guest() { return pick("10.0.2.100", "fd00::100"); }
  static Address gateway() { return pick("10.0.2.2", "fd00::2"); }
  static Address dns() { return pick("10.0.2.3", "fd00::3"); }
  static Address remote() { return pick("198.51.100.7", "2001:db8:1::7"); }
  static Address on_link() { return pick("10.0.2.77", "fd00::77"); }

  ShardTest() {
    link::Network& network = config_.network;
    network.gateway_mac = kGatewayMac;
    network.prefix4 = *Prefix::parse("10.0.2.0/24");
    network.gateway4 = *Address::parse("10.0.2.2");
    network.dns4 = *Address::parse("10.0.2.3");
    network.guest4 = *Address::parse("10.0.2.100");
    network.dhcp_first = *Address::parse("10.0.2.15");
    network.dhcp_last = *Address::parse("10.0.2.30");
    network.prefix6 = *Prefix::parse("fd00::/64");
    network.gateway6 = *Address::parse("fd00::2");
    network.dns6 = *Address::parse("fd00::3");
    config_.key = SipKey{1, 2};
  }
  // With what config_ says by then.
  void start() {
    shard_ = std::make_unique<Shard>(config_, link_, host_, log_);
    turn();
    link_.sent.clear();  // the first router advertisement
  }

  // --- the guest sends
  void frame(OwnedFrame bytes, const wire::Offload& offload = {}) {
    link_.to_receive.emplace_back(std::move(bytes), offload);
    turn();
  }
  static wire::IpHeader ip_to(const Address& to, wire::IpProtocol protocol) {
    wire::IpHeader ip;
    ip.source = guest();
    ip.destination = to;
    ip.protocol = static_cast<std::uint8_t>(protocol);
    return ip;
  }
  // The frame of whatever `send` sends through `out_`.
  OwnedFrame built() {
    EXPECT_EQ(guest_link_.sent.size(), 1U);
    OwnedFrame bytes = std::move(guest_link_.sent.back().bytes);
    guest_link_.sent.clear();
    return bytes;
  }
  OwnedFrame tcp_frame(const wire::IpHeader& ip, const wire::TcpSegment& segment) {
    EXPECT_EQ(out_.send_tcp(kGatewayMac, ip, segment, {}, 0), link::Status::ok);
    return built();
  }
  OwnedFrame udp_frame(const wire::IpHeader& ip, std::uint16_t to_port, Bytes payload = {}) {
    EXPECT_EQ(out_.send_udp(kGatewayMac, ip, 5000, to_port, payload), link::Status::ok);
    return built();
  }
  OwnedFrame ip_frame(const wire::IpHeader& ip, Bytes packet) {
    EXPECT_EQ(out_.send_ip(kGatewayMac, ip, packet), link::Status::ok);
    return built();
  }
  static wire::TcpSegment syn(std::uint16_t port = 80) {
    wire::TcpSegment s;
    s.source_port = 40000;
    s.destination_port = port;
    s.sequence = 1000;
    s.flags.syn = true;
    s.window = 0xffff;
    return s;
  }
  OwnedFrame syn_frame(const Address& to, std::uint16_t port = 80) {
    return tcp_frame(ip_to(to, wire::IpProtocol::tcp), syn(port));
  }
  OwnedFrame echo_frame(wire::IpHeader ip) {
    ip.protocol = static_cast<std::uint8_t>(v4() ? wire::IpProtocol::icmp : wire::IpProtocol::icmpv6);
    wire::IcmpMessage message;
    message.type = v4() ? wire::icmpv4::kEchoRequest : wire::icmpv6::kEchoRequest;
    message.rest = (77U << 16) | 1;
    static constexpr std::array<std::uint8_t, 8> kBody{1, 2, 3, 4, 5, 6, 7, 8};
    message.body = kBody;
    std::array<std::uint8_t, 64> bytes{};
    Writer out(bytes);
    message.emit(out, ip.source, ip.destination);
    return ip_frame(ip, out.written());
  }

  // One turn of the loop, as often as it asks for another one at once.
  void turn() {
    shard_->on_link_readable(now_);
    for (int i = 0; i < 1000; ++i) {
      deadline_ = shard_->end_turn(now_);
      if (deadline_ > now_) return;
    }
    ADD_FAILURE() << "the loop never rests";
  }
  std::uint64_t drops(DropReason reason) const {
    return shard_->stats().drops[static_cast<std::size_t>(reason)];
  }
  std::uint64_t all_drops() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : shard_->stats().drops) sum += count;
    return sum;
  }
  // Nothing went to the guest, and `reason` was counted once and nothing else.
  void expect_dropped(DropReason reason) {
    EXPECT_EQ(link_.sent.size(), 0U);
    EXPECT_EQ(drops(reason), 1U) << wire::to_string(reason);
    EXPECT_EQ(all_drops(), 1U);
    EXPECT_EQ(shard_->flow_count(), 0U);
  }

  // --- the guest hears
  wire::IpPacket heard_packet(std::size_t index = 0) const {
    if (index >= link_.sent.size()) {
      ADD_FAILURE() << "only " << link_.sent.size() << " frames went to the guest";
      return {};
    }
    const OwnedFrame& bytes = link_.sent[index].bytes;
    EXPECT_EQ(wire::EthernetHeader::parse(bytes)->destination, kGuestMac);
    const auto packet = wire::parse_ip(base::drop(bytes, wire::kEthernetHeaderSize));
    EXPECT_TRUE(packet);
    return packet.value_or(wire::IpPacket{});
  }
  wire::TcpSegment heard_tcp(std::size_t index = 0) const {
    const wire::IpPacket packet = heard_packet(index);
    EXPECT_EQ(packet.protocol, static_cast<std::uint8_t>(wire::IpProtocol::tcp));
    return wire::TcpSegment::parse(packet.payload).value_or(wire::TcpSegment{});
  }
  wire::IcmpMessage heard_icmp(std::size_t index = 0) const {
    const wire::IpPacket packet = heard_packet(index);
    EXPECT_EQ(packet.protocol, v4() ? 1 : 58);
    return wire::IcmpMessage::parse(packet.payload).value_or(wire::IcmpMessage{});
  }
  void expect_error(wire::IcmpError expected, const Address& about) const {
    ASSERT_EQ(link_.sent.size(), 1U);
    EXPECT_EQ(heard_packet().source, gateway());
    const wire::IcmpMessage message = heard_icmp();
    EXPECT_EQ(wire::icmp_error_from(message.type, message.code, v4()), expected);
    const auto quoted = wire::parse_quoted_ip(message.body);
    ASSERT_TRUE(quoted);
    EXPECT_EQ(quoted->destination, about);
  }

  ShardConfig config_;
  Time now_{1000s};
  Time deadline_ = kNever;
  link::FakeLink link_{link::Features{}};
  link::FakeLink guest_link_{link::Features{}};
  link::ToGuest out_{guest_link_, kGuestMac, 1500};
  host::StreamHost host_;
  Log log_{LogLevel::error, [](LogLevel, std::string_view) {}};
  std::unique_ptr<Shard> shard_;
};

}  // namespace sf::engine
