// A frame from the guest through a whole shard, from the Ethernet header to the call that would leave the
// program.
#include <benchmark/benchmark.h>

#include "engine/shard.hh"
#include "link/to_guest.hh"
#include "null_sides.hh"

namespace sf::bench {
namespace {

constexpr MacAddress kGateway{{0x52, 0x55, 10, 0, 2, 2}}, kGuest{{0x02, 0, 0, 0, 0, 1}};
constexpr std::size_t kSuperFrame = 44 * 1448;
constexpr std::uint32_t kFirst = 1000;  // the guest's initial sequence number

link::Network network() {
  link::Network made;
  made.gateway_mac = kGateway;
  made.prefix4 = *Prefix::parse("10.0.2.0/24");
  made.gateway4 = *Address::parse("10.0.2.2");
  made.dns4 = *Address::parse("10.0.2.3");
  made.guest4 = *Address::parse("10.0.2.100");
  return made;
}

class Rig {
 public:
  Rig()
      : log_(LogLevel::error, [](LogLevel, std::string_view) {}),
        shard_({network(), SipKey{1, 2}}, link_, host_, log_),
        builder_(built_, kGuest, 65535) {
    ip_.source = *Address::parse("10.0.2.100");
    ip_.destination = *Address::parse("198.51.100.7");
  }

  // One turn of the loop with this frame, which the guest's kernel vouches for.
  void turn(const std::vector<std::uint8_t>& frame) {
    wire::Offload offload;
    offload.checksum_valid = true;
    link_.offer(frame, offload);
    now_ += 10us;
    shard_.on_link_readable(now_);
    benchmark::DoNotOptimize(shard_.end_turn(now_));
  }
  void connected() {
    shard_.on_socket_event(host_.token(), host::Readiness{.writable = true}, now_);
    benchmark::DoNotOptimize(shard_.end_turn(now_));
  }
  std::vector<std::uint8_t> udp_frame(std::size_t size) {
    ip_.protocol = static_cast<std::uint8_t>(wire::IpProtocol::udp);
    const std::vector<std::uint8_t> payload(size, 1);
    benchmark::DoNotOptimize(builder_.send_udp(kGateway, ip_, 5000, 6000, payload));
    return built_.last();
  }
  std::vector<std::uint8_t> tcp_frame(const wire::TcpSegment& header, Bytes payload) {
    ip_.protocol = static_cast<std::uint8_t>(wire::IpProtocol::tcp);
    benchmark::DoNotOptimize(
        builder_.send_tcp(kGateway, ip_, header, std::span(&payload, payload.empty() ? 0 : 1), 0));
    return built_.last();
  }
  [[nodiscard]] const NullHost& host() const { return host_; }
  [[nodiscard]] const NullLink& link() const { return link_; }

 private:
  NullHost host_;
  NullLink link_, built_;
  Log log_;
  engine::Shard shard_;
  link::ToGuest builder_;
  wire::IpHeader ip_;
  Time now_{1s};
};

void demux_udp(benchmark::State& state) {
  Rig rig;
  const auto size = static_cast<std::size_t>(state.range(0));
  const auto frame = rig.udp_frame(size);
  for (auto _ : state) rig.turn(frame);
  if (rig.host().sent() != static_cast<std::uint64_t>(state.iterations()) * size)
    state.SkipWithError("not all was sent");
}
BENCHMARK(demux_udp)->Arg(64)->Arg(1400);

// What is not for us: an Ethernet type that nobody here speaks.
void demux_dropped(benchmark::State& state) {
  Rig rig;
  auto frame = rig.udp_frame(64);
  frame[12] = 0x88;
  frame[13] = 0xcc;
  for (auto _ : state) rig.turn(frame);
}
BENCHMARK(demux_dropped);

wire::TcpSegment header(std::uint32_t sequence, std::uint32_t acknowledgment) {
  wire::TcpSegment made;
  made.source_port = 40000;
  made.destination_port = 80;
  made.sequence = sequence;
  made.acknowledgment = acknowledgment;
  made.flags.ack = acknowledgment != 0;
  made.flags.syn = acknowledgment == 0;
  made.window = 0xffff;
  if (made.flags.syn) made.options.mss = std::uint16_t{1460};
  return made;
}

// A TCP super-frame of an open connection: to the host, and acknowledged.
void shard_tcp_from_guest(benchmark::State& state) {
  Rig rig;
  const auto size = static_cast<std::size_t>(state.range(0));
  rig.turn(rig.tcp_frame(header(kFirst, 0), {}));
  rig.connected();
  const auto& answer = rig.link().last();
  if (answer.size() < 54) {
    state.SkipWithError("no SYN-ACK");
    return;
  }
  const std::uint32_t ours = load_be32(answer.data() + 14 + 20 + 4) + 1;
  rig.turn(rig.tcp_frame(header(kFirst + 1, ours), {}));
  const std::vector<std::uint8_t> payload(size, 1);
  auto frame = rig.tcp_frame(header(kFirst + 1, ours), payload);
  std::uint32_t sequence = kFirst + 1;
  for (auto _ : state) {
    store_be32(frame.data() + 14 + 20 + 4, sequence);  // the checksum is vouched for
    rig.turn(frame);
    sequence += static_cast<std::uint32_t>(size);
  }
  if (rig.host().sent() != static_cast<std::uint64_t>(state.iterations()) * size)
    state.SkipWithError("not all was sent");
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(shard_tcp_from_guest)->Arg(64)->Arg(1448)->Arg(kSuperFrame);

}  // namespace
}  // namespace sf::bench
