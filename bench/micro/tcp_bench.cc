// The TCP state machine alone, without a byte of payload being moved.
#include <benchmark/benchmark.h>

#include <array>

#include "tcp/connection.hh"

namespace sf::tcp {
namespace {

constexpr std::uint32_t kIrs = 1000, kIss = 5000;
constexpr std::uint32_t kFrame = 44 * 1448;  // a super-frame of the guest's

class Established {
 public:
  Established() : connection_(syn(), opening(), now_) {
    connection_.host_connected(now_);
    connection_.set_held(0, Connection::kCapacity);
    benchmark::DoNotOptimize(connection_.next(0, kFrame, now_));
    benchmark::DoNotOptimize(connection_.on_segment(segment(0, 0, 0), now_));
  }

  static Opening opening() {
    Opening made{};
    made.iss = Seq{kIss};
    made.our_mss = made.offered_mss = 1460;
    return made;
  }
  static wire::TcpSegment syn() {
    wire::TcpSegment made;
    made.sequence = kIrs;
    made.flags.syn = true;
    made.window = 0xffff;
    made.options.mss = std::uint16_t{1460};
    made.options.window_scale = std::uint8_t{10};
    made.options.sack_permitted = true;
    made.options.timestamps = wire::TcpTimestamps{1, 0};
    return made;
  }
  wire::TcpSegment segment(std::uint32_t at, std::uint32_t ack, std::uint32_t length) const {
    wire::TcpSegment made;
    made.sequence = kIrs + 1 + at;
    made.acknowledgment = kIss + 1 + ack;
    made.flags.ack = true;
    made.window = 0xffff;
    made.payload = Bytes{payload_}.first(length);
    made.options.timestamps = wire::TcpTimestamps{1, 0};
    return made;
  }
  Connection& connection() { return connection_; }
  Time advance() { return now_ += 10us; }

 private:
  Time now_{1s};
  Connection connection_;
  std::array<std::uint8_t, kFrame> payload_{};
};

// A super-frame comes, its bytes go to the host at once, an ACK goes back.
void tcp_from_guest(benchmark::State& state) {
  Established flow;
  std::uint32_t at = 0;
  for (auto _ : state) {
    const Time now = flow.advance();
    const SegmentOutcome outcome = flow.connection().on_segment(flow.segment(at, 0, kFrame), now);
    at += flow.connection().commit(outcome.plan, outcome.plan.take, now);
    flow.connection().set_held(0, Connection::kCapacity);
    benchmark::DoNotOptimize(flow.connection().next(0, kFrame, now));
    benchmark::DoNotOptimize(flow.connection().deadline());
  }
  if (at != static_cast<std::uint32_t>(state.iterations()) * kFrame) state.SkipWithError("not all was taken");
}
BENCHMARK(tcp_from_guest);

// A super-frame goes, the guest acknowledges it.
void tcp_to_guest(benchmark::State& state) {
  Established flow;
  std::uint32_t acked = 0;
  for (auto _ : state) {
    const Time now = flow.advance();
    const auto emission = flow.connection().next(kFrame, kFrame, now);
    if (!emission || emission->length != kFrame) {
      state.SkipWithError("it was not sent");
      break;
    }
    acked += kFrame;
    benchmark::DoNotOptimize(flow.connection().on_segment(flow.segment(0, acked, 0), now));
    benchmark::DoNotOptimize(flow.connection().deadline());
  }
}
BENCHMARK(tcp_to_guest);

}  // namespace
}  // namespace sf::tcp
