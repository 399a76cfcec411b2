// The Internet checksum, which is computed for what the kernel does not vouch for.
#include <benchmark/benchmark.h>

#include <vector>

#include "wire/checksum.hh"

namespace sf::wire {
namespace {

void checksum(benchmark::State& state) {
  const std::vector<std::uint8_t> bytes(static_cast<std::size_t>(state.range(0)), 0x5a);
  for (auto _ : state) {
    benchmark::DoNotOptimize(checksum_finish(checksum_add(0, bytes)));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(checksum)->Arg(20)->Arg(64)->Arg(1460)->Arg(65536);

}  // namespace
}  // namespace sf::wire
