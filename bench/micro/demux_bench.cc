// A frame from the guest through a whole shard, from the Ethernet header to the call that would leave the
// program.
#include <benchmark/benchmark.h>

#include "rig.hh"

namespace sf::bench {
namespace {

constexpr std::size_t kSuperFrame = 44 * 1448;
constexpr std::uint16_t kPort = 40000;

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

// A TCP super-frame of an open connection: to the host, and acknowledged.
void shard_tcp_from_guest(benchmark::State& state) {
  Rig rig;
  const auto size = static_cast<std::size_t>(state.range(0));
  const std::uint32_t ours = rig.open(kPort);
  if (ours == 0) {
    state.SkipWithError("no SYN-ACK");
    return;
  }
  const std::vector<std::uint8_t> payload(size, 1);
  auto frame = rig.tcp_frame(Rig::header(kPort, Rig::kFirst + 1, ours), payload);
  std::uint32_t sequence = Rig::kFirst + 1;
  for (auto _ : state) {
    store_be32(frame.data() + Rig::kSequenceAt, sequence);  // the checksum is vouched for
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
