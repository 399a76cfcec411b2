// A forwarder with two name servers, a guest that asks, and servers that a test lets answer.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string_view>

#include "services/dns_forwarder.hh"
#include "unit/services/fake_host.hh"
#include "unit/services/network_fixture.hh"

namespace sf::services {

using Message = std::vector<std::uint8_t>;

inline Message dns_query(std::uint16_t id, std::string_view name, std::uint16_t type = 1) {
  std::array<std::uint8_t, 512> buffer{};
  Writer out{buffer};
  wire::DnsHeader header;
  header.id = id;
  header.recursion_desired = true;
  header.questions = 1;
  header.emit(out);
  wire::DnsQuestion{std::string(name), type, 1}.emit(out);
  EXPECT_TRUE(out.ok());
  return {out.written().begin(), out.written().end()};
}

// `query` turned into a response: QR set, that rcode, and `extra` after the question.
inline Message dns_answer(const Message& query, wire::DnsRcode rcode = wire::DnsRcode::no_error,
                          std::size_t extra = 20) {
  Message answer = query;
  answer[2] = static_cast<std::uint8_t>(answer[2] | 0x80);
  answer[3] = static_cast<std::uint8_t>((answer[3] & 0xf0) | static_cast<std::uint8_t>(rcode));
  for (std::size_t i = 0; i < extra; ++i) answer.push_back(static_cast<std::uint8_t>(i * 7));
  return answer;
}

struct Reply {
  Endpoint guest;
  MacAddress mac;
  Endpoint dns_address;
  Message message;

  [[nodiscard]] wire::DnsHeader header() const { return *wire::DnsHeader::parse(message); }
};

class DnsTest : public testing::Test, public DnsReplySink {
 protected:
  static constexpr host::Token kBase = 0x7000;

  DnsTest() { host_.configured.servers = {first_, second_}; }

  void dns_reply(const Endpoint& guest, const MacAddress& mac, const Endpoint& dns_address, Bytes answer,
                 Time now) override {
    EXPECT_EQ(now, now_);
    replies_.push_back({guest, mac, dns_address, {answer.begin(), answer.end()}});
  }

  void ask(const Message& query) { forwarder_.query(guest_, kGuestMac, dns_, query, now_); }
  void ask(std::uint16_t id, std::string_view name) { ask(dns_query(id, name)); }

  // A datagram arrives at the socket that `sent` left from.
  void deliver(const FakeHost::Sent& sent, const Endpoint& from, const Message& answer) {
    host_.sockets.at(sent.socket).incoming.emplace_back(from, answer);
    event(sent, host::Readiness{.readable = true});
  }
  // The server that was asked answers properly.
  void respond(const FakeHost::Sent& sent, wire::DnsRcode rcode = wire::DnsRcode::no_error) {
    deliver(sent, sent.to, dns_answer(sent.payload, rcode));
  }
  void report_error(const FakeHost::Sent& sent, std::size_t quoted) {
    host::DatagramError error;
    error.destination = sent.to;
    error.error = wire::IcmpError::port_unreachable;
    Message quote(sent.payload.begin(), sent.payload.begin() + static_cast<std::ptrdiff_t>(quoted));
    host_.sockets.at(sent.socket).errors.emplace_back(error, quote);
    event(sent, host::Readiness{.error = true});
  }
  void event(const FakeHost::Sent& sent, host::Readiness readiness) {
    forwarder_.on_socket_event(static_cast<std::uint32_t>(sent.token - kBase), readiness, now_);
  }
  // Moves to the deadline that the forwarder names, as an event loop does.
  void sleep() {
    ASSERT_NE(forwarder_.deadline(), kNever);
    now_ = std::max(now_, forwarder_.deadline());
    forwarder_.on_deadline(now_);
    EXPECT_GT(forwarder_.deadline(), now_) << "a loop that never sleeps";
  }
  // Lets time pass, with every deadline that comes up on the way.
  void pass(Duration duration) {
    const Time end = now_ + duration;
    while (forwarder_.deadline() <= end) sleep();
    now_ = end;
  }

  const Endpoint first_{address("198.51.100.1"), 53};
  const Endpoint second_{address("198.51.100.2"), 53};
  const Endpoint guest_{address("10.0.2.15"), 40000};
  const Endpoint dns_{address("10.0.2.3"), 53};
  Time now_ = Time{} + 5000s;
  std::vector<Reply> replies_;
  std::mt19937 random_{42};
  FakeHost host_;
  DnsForwarder forwarder_{host_, *this, [this] { return static_cast<std::uint32_t>(random_()); }, kBase};
};

}  // namespace sf::services
