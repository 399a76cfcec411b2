// What the tests of the UDP and ICMP translators share: a network, a guest's packets, and looking into the
// frames that went to the guest.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "link/network.hh"
#include "link/to_guest.hh"
#include "unit/link/fake_link.hh"
#include "unit/support/scripted_host.hh"
#include "unit/support/version_name.hh"
#include "wire/udp.hh"

namespace sf {

using OwnedBytes = std::vector<std::uint8_t>;

inline OwnedBytes copy(Bytes bytes) {
  return {bytes.begin(), bytes.end()};
}

// Parameterized by IP version: true for IPv4.
class DatagramTest : public testing::TestWithParam<bool> {
 protected:
  static constexpr MacAddress kGatewayMac{{0x52, 0x55, 10, 0, 2, 2}};
  static constexpr MacAddress kGuestMac{{0x02, 0, 0, 0, 0, 1}};
  static constexpr Time kStart{1000s};

  static bool v4() { return GetParam(); }
  static Address pick(const char* four, const char* six) { return *Address::parse(v4() ? four : six); }
  static Address guest() { return pick("10.0.2.100", "fd00::100"); }
  static Address gateway() { return pick("10.0.2.2", "fd00::2"); }
  static Address remote() { return pick("198.51.100.7", "2001:db8:1::7"); }
  static Address router() { return pick("192.0.2.1", "2001:db8:9::1"); }
  static Address loopback() { return pick("127.0.0.1", "::1"); }

  static link::Network make_network() {
    link::Network network;
    network.gateway_mac = kGatewayMac;
    network.prefix4 = *Prefix::parse("10.0.2.0/24");
    network.gateway4 = *Address::parse("10.0.2.2");
    network.dns4 = *Address::parse("10.0.2.3");
    network.guest4 = *Address::parse("10.0.2.100");
    network.prefix6 = *Prefix::parse("fd00::/64");
    network.gateway6 = *Address::parse("fd00::2");
    network.dns6 = *Address::parse("fd00::3");
    return network;
  }

  // A packet of the guest's; the view lasts until the next call.
  wire::IpPacket guest_packet(wire::IpHeader header, Bytes payload) {
    header.source = guest();
    if (header.destination == Address{}) header.destination = remote();
    packet_.assign(header.size() + payload.size(), 0);
    Writer out(packet_);
    header.emit(out, payload.size());
    out.bytes(payload);
    const auto packet = wire::parse_ip(packet_);
    EXPECT_TRUE(packet);
    return packet.value_or(wire::IpPacket{});
  }

  // Frame `index` to the guest as an IP packet, its transport checksum verified. A view into the frame.
  wire::IpPacket to_guest_packet(std::size_t index) const {
    if (index >= link_.sent.size()) {
      ADD_FAILURE() << "only " << link_.sent.size() << " frames went to the guest";
      return {};
    }
    const OwnedBytes& frame = link_.sent[index].bytes;
    const auto ethernet = wire::EthernetHeader::parse(frame);
    EXPECT_EQ(ethernet->destination, kGuestMac);
    EXPECT_EQ(ethernet->source, kGatewayMac);
    const auto packet = wire::parse_ip(drop(frame, wire::kEthernetHeaderSize));
    EXPECT_TRUE(packet);
    if (!packet) return {};
    EXPECT_EQ(packet->destination, guest());
    if (!packet->fragment && link_.sent[index].offload.gso == wire::GsoType::none) {
      EXPECT_TRUE(wire::verify_transport_checksum(packet->source, packet->destination, packet->protocol,
                                                  packet->payload));
    }
    return *packet;
  }

  struct SentError {
    Address from;
    wire::IcmpError error{};
    std::uint32_t rest = 0;  // the MTU, in the low bits
    wire::IpPacket quoted;
  };
  // Frame `index` as an ICMP error.
  SentError to_guest_error(std::size_t index) const {
    const wire::IpPacket packet = to_guest_packet(index);
    EXPECT_EQ(packet.protocol, v4() ? 1 : 58);
    const auto message = wire::IcmpMessage::parse(packet.payload);
    if (!message) {
      ADD_FAILURE() << "no ICMP message";
      return {};
    }
    const auto error = wire::icmp_error_from(message->type, message->code, v4());
    const auto quoted = wire::parse_quoted_ip(message->body);
    EXPECT_TRUE(error && quoted);
    if (!error || !quoted) return {};
    EXPECT_EQ(quoted->source, guest());
    return {packet.source, *error, message->rest, *quoted};
  }

  link::Network network_ = make_network();
  link::FakeLink link_{link::Features{}};
  link::ToGuest to_guest_{link_, kGatewayMac, 1500};
  host::ScriptedHost host_;
  bool admit_errors_ = true;
  int asked_to_admit_ = 0;

 private:
  OwnedBytes packet_;
};

}  // namespace sf
