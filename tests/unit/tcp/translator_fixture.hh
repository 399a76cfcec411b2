// The TCP translator between a guest that a test plays and a host that it scripts.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "tcp/translator.hh"
#include "unit/link/fake_link.hh"
#include "unit/support/stream_host.hh"

namespace sf::tcp {

using link::pattern;
using OwnedBytes = std::vector<std::uint8_t>;

// A segment of the guest's; positions are counted from the first payload byte of each side.
struct GuestSays {
  std::uint32_t at = 0;
  std::uint32_t ack = 0;
  std::uint32_t length = 0;  // bytes of the pattern from `at` on
  bool fin = false;
  bool rst = false;
  std::uint16_t window = 0xffff;
};

// A frame to the guest.
struct Heard {
  wire::TcpFlags flags;
  std::uint32_t at = 0;
  std::uint32_t ack = 0;
  std::uint32_t window = 0;  // unscaled
  OwnedBytes payload;
  wire::Offload offload;
};

class TranslatorTest : public testing::Test {
 protected:
  static constexpr std::uint32_t kIrs = 0xffffff00U;
  static constexpr MacAddress kGatewayMac{{0x52, 0x55, 10, 0, 2, 2}};
  static constexpr MacAddress kGuestMac{{0x02, 0, 0, 0, 0, 1}};
  const Endpoint guest_{Address::v4(10, 0, 2, 100), 40000};
  const Endpoint remote_{Address::v4(198, 51, 100, 7), 80};

  explicit TranslatorTest(std::size_t pieces = 256, link::Features features = link::kAllFeatures)
      : link_(features), pool_(pieces) {
    network_.gateway_mac = kGatewayMac;
    network_.prefix4 = *Prefix::parse("10.0.2.0/24");
    network_.gateway4 = Address::v4(10, 0, 2, 2);
    network_.dns4 = Address::v4(10, 0, 2, 3);
    syn_.source_port = guest_.port;
    syn_.destination_port = remote_.port;
    syn_.sequence = kIrs;
    syn_.flags.syn = true;
    syn_.window = 0xffff;
    syn_.options.mss = std::uint16_t{1460};
    syn_.options.window_scale = std::uint8_t{8};
    syn_.options.sack_permitted = true;
  }
  ~TranslatorTest() override {
    flow_.reset();
    EXPECT_EQ(pool_.in_use(), 0U) << "memory was not given back";
  }

  void connect(bool dns = false) {
    flow_.emplace(translator_.accept(guest_, remote_, syn_, now_), guest_, remote_, kGuestMac);
    flow_->token = 4711;
    flow_->dns = dns;
    translator_.connect(*flow_, remote_, now_);
  }
  // The host has connected.
  void connected() {
    host_.current().connected = host::HostError::none;
    event({.writable = true});
  }
  void establish() {
    connect();
    connected();
    turn();
    ASSERT_EQ(link_.sent.size(), 1U);
    learn_iss();
    link_.sent.clear();
    guest({.window = window_});
    turn();
    ASSERT_EQ(flow().connection.phase(), Connection::Phase::open);
    event({.writable = true});  // the whole window is told
    turn();
    link_.sent.clear();
  }
  void learn_iss() { iss_ = hear(0).at + iss_; }

  Flow& flow() { return *flow_; }
  host::StreamHost::Socket& socket() { return host_.current(); }

  void guest(const GuestSays& say) {
    wire::TcpSegment s;
    s.source_port = guest_.port;
    s.destination_port = remote_.port;
    s.sequence = kIrs + 1 + say.at;
    s.acknowledgment = iss_ + 1 + say.ack;
    s.flags.ack = true;
    s.flags.fin = say.fin;
    s.flags.rst = say.rst;
    s.window = say.window;
    const OwnedBytes payload = pattern(say.length, say.at);
    s.payload = payload;
    translator_.on_segment(flow(), s, now_);
  }
  void event(host::Readiness readiness) { translator_.on_host_event(flow(), readiness, now_); }
  // The host's far end sends; `ended` is its FIN.
  void far_end(std::size_t bytes, bool ended = false) {
    const OwnedBytes sent = pattern(bytes, far_sent_);
    far_sent_ += bytes;
    socket().incoming.insert(socket().incoming.end(), sent.begin(), sent.end());
    socket().ended = ended;
    event({.readable = true, .writable = socket().takes > 0, .read_closed = ended});
  }
  // The end of one or more turns of the loop.
  void turn() {
    for (int i = 0; i < 1000; ++i) {
      if (Translator::finished(flow())) return;
      if (!translator_.flush(flow(), now_)) return;
    }
    ADD_FAILURE() << "the loop never rests";
  }
  void pass(Duration time) {
    now_ += time;
    if (Translator::deadline(flow()) <= now_) translator_.on_deadline(flow(), now_);
    turn();
  }

  // Frame `index` to the guest.
  Heard hear(std::size_t index) const {
    if (index >= link_.sent.size()) {
      ADD_FAILURE() << "only " << link_.sent.size() << " frames went to the guest";
      return {};
    }
    const link::SentFrame& frame = link_.sent[index];
    const auto packet = wire::parse_ip(base::drop(frame.bytes, wire::kEthernetHeaderSize));
    if (!packet || packet->protocol != 6) {
      ADD_FAILURE() << "frame " << index << " is no TCP segment";
      return {};
    }
    EXPECT_EQ(packet->source, remote_.address);
    EXPECT_EQ(packet->destination, guest_.address);
    const auto s = wire::TcpSegment::parse(packet->payload);
    if (!s) {
      ADD_FAILURE() << "malformed";
      return {};
    }
    Heard heard;
    heard.flags = s->flags;
    heard.at = s->sequence - iss_ - (s->flags.syn ? 0 : 1);
    heard.ack = s->acknowledgment - kIrs - 1;
    heard.window = std::uint32_t{s->window} << (s->flags.syn ? 0 : Connection::kWindowScale);
    heard.payload.assign(s->payload.begin(), s->payload.end());
    heard.offload = frame.offload;
    return heard;
  }
  std::size_t frames() const { return link_.sent.size(); }
  // All payload that went to the guest since the frames were last cleared, in order of sequence; nothing
  // twice.
  OwnedBytes heard_bytes() const {
    OwnedBytes all;
    for (std::size_t i = 0; i < frames(); ++i) {
      const Heard heard = hear(i);
      if (all.empty()) first_heard_ = heard.at;
      if (heard.payload.empty()) continue;
      EXPECT_EQ(heard.at, first_heard_ + all.size());
      all.insert(all.end(), heard.payload.begin(), heard.payload.end());
    }
    return all;
  }
  bool heard_reset() const { return frames() > 0 && hear(frames() - 1).flags.rst; }
  bool heard_fin() const {
    for (std::size_t i = 0; i < frames(); ++i) {
      if (hear(i).flags.fin) return true;
    }
    return false;
  }
  bool finished() { return Translator::finished(flow()); }

  wire::TcpSegment syn_;
  std::uint16_t window_ = 0xffff;  // the guest's first, to be scaled by 8 bits
  std::uint32_t iss_ = 0;
  std::size_t far_sent_ = 0;
  mutable std::uint32_t first_heard_ = 0;
  Time now_{1000s};
  link::Network network_;
  link::FakeLink link_;
  link::ToGuest to_guest_{link_, kGatewayMac, 1500};
  host::StreamHost host_;
  PiecePool pool_;
  Translator translator_{host_, to_guest_, network_, pool_, SipKey{1, 2}};
  std::optional<Flow> flow_;
};

}  // namespace sf::tcp
