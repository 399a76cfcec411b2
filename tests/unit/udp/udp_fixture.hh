// A UDP translator with one flow, and datagrams for it.
#pragma once

#include "udp/translator.hh"
#include "unit/support/datagram_fixture.hh"

namespace sf::udp {

class UdpTest : public DatagramTest {
 protected:
  static constexpr std::uint16_t kGuestPort = 5000;
  static constexpr std::uint16_t kRemotePort = 3478;
  static constexpr host::Token kToken = 77;

  void SetUp() override {
    flow_.guest = {guest(), kGuestPort};
    flow_.guest_mac = kGuestMac;
    ASSERT_EQ(translator_.open(flow_, kToken, kStart), host::HostError::none);
  }

  // One datagram from the guest, to `port` of `header`'s destination, which is remote() where it has none.
  void send(Bytes payload, wire::IpHeader header = {}, std::uint16_t port = kRemotePort,
            std::uint16_t gso_size = 0, Time now = kStart) {
    OwnedBytes bytes(wire::kUdpHeaderSize + payload.size());
    Writer out(bytes);
    wire::UdpDatagram{kGuestPort, port, 0, {}}.emit(out, payload.size(), 0);
    out.bytes(payload);
    header.protocol = 17;
    const wire::IpPacket packet = guest_packet(header, bytes);
    const auto datagram = wire::UdpDatagram::parse(packet.payload);
    ASSERT_TRUE(datagram);
    const Address to = network_.route(packet.destination).address;
    translator_.from_guest(flow_, packet, *datagram, to, gso_size, now);
  }

  host::ScriptedHost::Incoming incoming(OwnedBytes payload) const {
    host::ReceivedDatagram datagram;
    datagram.from = {remote(), kRemotePort};
    return {datagram, std::move(payload)};
  }
  wire::UdpDatagram udp_to_guest(std::size_t index) const {
    const auto datagram = wire::UdpDatagram::parse(to_guest_packet(index).payload);
    EXPECT_TRUE(datagram);
    return datagram.value_or(wire::UdpDatagram{});
  }

  host::ScriptedHost::QueuedError queued(wire::IcmpError error, const Address& offender,
                                         OwnedBytes payload = {}) const {
    host::DatagramError entry;
    entry.destination = {remote(), kRemotePort};
    entry.offender = offender;
    entry.error = error;
    return {entry, std::move(payload)};
  }

  link::Forwarding::AdmitError admit_ = [this](Time now) {
    EXPECT_EQ(now, kStart);
    ++asked_to_admit_;
    return admit_errors_;
  };
  Translator translator_{host_, to_guest_, network_, admit_};
  Flow flow_;
};

}  // namespace sf::udp
