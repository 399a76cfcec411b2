// An ICMP translator with one flow, and echo messages for it.
#pragma once

#include "icmp/translator.hh"
#include "unit/support/datagram_fixture.hh"
#include "wire/icmp.hh"

namespace sf::icmp {

class IcmpTest : public DatagramTest {
 protected:
  static constexpr std::uint16_t kId = 0x1234;
  static constexpr std::uint16_t kSocketId = 0x9876;  // the identifier that the host's kernel chose
  static constexpr std::uint16_t kSequence = 7;
  static constexpr host::Token kToken = 78;

  void SetUp() override {
    flow_.guest = {guest(), kId};
    flow_.guest_mac = kGuestMac;
    ASSERT_EQ(translator_.open(flow_, kToken, request(pattern_), kStart), host::HostError::none);
  }

  static std::uint8_t request_type() { return v4() ? 8 : 128; }
  static std::uint8_t reply_type() { return v4() ? 0 : 129; }
  static std::uint8_t protocol() { return v4() ? 1 : 58; }

  static OwnedBytes message(std::uint8_t type, std::uint16_t id, std::uint16_t sequence, Bytes body,
                            const Address& source, const Address& destination) {
    OwnedBytes bytes(wire::kIcmpHeaderSize + body.size());
    Writer out(bytes);
    wire::IcmpMessage{type, 0, 0, (std::uint32_t{id} << 16) | sequence, body}.emit(out, source, destination);
    EXPECT_TRUE(out.ok());
    return bytes;
  }
  // The guest's echo request; the view lasts until the next call.
  wire::IpPacket request(Bytes body, wire::IpHeader header = {}) {
    if (header.destination == Address{}) header.destination = remote();
    header.protocol = protocol();
    return guest_packet(header, message(request_type(), kId, kSequence, body, guest(), header.destination));
  }
  void send(Bytes body, const wire::IpHeader& header = {}) {
    translator_.from_guest(flow_, request(body, header), remote(), kStart);
  }
  // What a ping socket gives: the message with the socket's identifier.
  host::ScriptedHost::Incoming reply(Bytes body) const {
    host::ReceivedDatagram datagram;
    datagram.from = {remote(), 0};
    return {datagram, message(reply_type(), kSocketId, kSequence, body, remote(), router())};
  }
  host::ScriptedHost::QueuedError queued(wire::IcmpError error, const Address& offender, Bytes body) const {
    host::DatagramError entry;
    entry.destination = {remote(), 0};
    entry.offender = offender;
    entry.error = error;
    return {entry, message(request_type(), kSocketId, kSequence, body, router(), remote())};
  }

  const OwnedBytes pattern_ = link::pattern(56);
  std::vector<std::string> warnings_;
  Log log_{LogLevel::debug, [this](LogLevel level, std::string_view text) {
             EXPECT_EQ(level, LogLevel::warning);
             warnings_.emplace_back(text);
           }};
  Translator translator_{host_, to_guest_, network_, log_, [this](Time now) {
                           EXPECT_EQ(now, kStart);
                           ++asked_to_admit_;
                           return admit_errors_;
                         }};
  Flow flow_;
};

}  // namespace sf::icmp
