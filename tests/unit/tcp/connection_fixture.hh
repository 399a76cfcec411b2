// A Connection with a script's vocabulary. The guest's and our positions are counted from the first payload
// byte.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tcp/connection.hh"

namespace sf::tcp {

// What a test says about one segment of the guest's; the rest is what fits the state of things.
struct Say {
  std::uint32_t at = 0;      // sequence position
  std::uint32_t ack = 0;     // of our bytes
  std::uint32_t length = 0;  // payload bytes
  bool fin = false;
  bool rst = false;
  bool syn = false;
  bool no_ack = false;
  std::uint16_t window = 0xffff;
};

class ConnectionTest : public testing::Test {
 protected:
  using Phase = Connection::Phase;
  static constexpr std::uint32_t kIrs = 0xfffffff0U;
  static constexpr std::uint32_t kIss = 0x7ffffff0U;
  static constexpr std::uint32_t kOurMss = 1460;

  explicit ConnectionTest(bool timestamps = false) {
    if (timestamps) syn_.options.timestamps = wire::TcpTimestamps{timestamp_, 0};
    syn_.sequence = kIrs;
    syn_.flags.syn = true;
    syn_.window = 0xffff;
    syn_.options.mss = std::uint16_t{1460};
    syn_.options.window_scale = std::uint8_t{0};
    syn_.options.sack_permitted = true;
  }

  void begin() { connection_.emplace(syn_, Opening{Seq{kIss}, 77, kOurMss, kOurMss}, now_); }
  // As far as ESTABLISHED.
  void establish() {
    begin();
    connection().host_connected(now_);
    connection().set_held(0, Connection::kCapacity);
    ASSERT_TRUE(next());
    hear({});
    ASSERT_EQ(connection().phase(), Phase::open);
    static_cast<void>(next());
  }
  Connection& connection() { return *connection_; }

  wire::TcpSegment segment(const Say& say) const {
    wire::TcpSegment s;
    s.sequence = kIrs + 1 + say.at;
    s.acknowledgment = kIss + 1 + say.ack;
    s.flags.ack = !say.no_ack;
    s.flags.fin = say.fin;
    s.flags.rst = say.rst;
    s.flags.syn = say.syn;
    s.window = say.window;
    s.payload = Bytes{kZeros}.first(say.length);
    if (syn_.options.timestamps) s.options.timestamps = wire::TcpTimestamps{timestamp_, 0};
    return s;
  }
  // The guest sends; all of its payload finds memory.
  SegmentOutcome hear_segment(const wire::TcpSegment& s) {
    const SegmentOutcome outcome = connection().on_segment(s, now_);
    if (outcome.plan.take > 0 || outcome.plan.fin) {
      grown_ += connection().commit(outcome.plan, outcome.plan.take, now_);
    }
    queued_ -= outcome.acked;
    return outcome;
  }
  SegmentOutcome hear(const Say& say) { return hear_segment(segment(say)); }

  // The host sends.
  void write(std::uint32_t bytes) { queued_ += bytes; }
  // What goes out next.
  std::optional<Emission> next() {
    auto emission = connection().next(queued_, 64'000, now_);
    if (emission) last_ = *emission;
    return emission;
  }
  // What goes out now, as text: "SA" or "A" or "A+F", then "seq:length ack"; one after the other.
  std::string out() {
    std::string text;
    for (int i = 0; i < 100; ++i) {
      const auto emission = next();
      if (!emission) return text;
      const wire::TcpSegment& h = emission->header;
      text += text.empty() ? "" : "; ";
      text += h.flags.syn ? "SA" : h.flags.fin ? "FA" : "A";
      text += " " + std::to_string(static_cast<std::int32_t>(h.sequence - kIss - 1)) + ":" +
              std::to_string(emission->length) + " " + std::to_string(h.acknowledgment - kIrs - 1);
    }
    ADD_FAILURE() << "it does not end";
    return text;
  }
  // Runs what is due after `time`. False: the guest was given up.
  bool pass(Duration time) {
    now_ += time;
    timestamp_ += static_cast<std::uint32_t>(time / 1ms);
    return connection().deadline() > now_ || connection().on_deadline(now_);
  }

  static constexpr std::array<std::uint8_t, 65536> kZeros{};
  wire::TcpSegment syn_;
  std::optional<Connection> connection_;
  std::optional<Emission> last_;
  std::uint32_t queued_ = 0;
  std::uint32_t grown_ = 0;
  std::uint32_t timestamp_ = 5000;
  Time now_{1000s};
};

}  // namespace sf::tcp
