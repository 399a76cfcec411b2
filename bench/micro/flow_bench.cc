// Finding a flow by both of its ends, with so many others in the table; and coming and going.
#include <benchmark/benchmark.h>

#include <vector>

#include "engine/flow_table.hh"

namespace sf::engine {
namespace {

struct Flow {
  explicit Flow(const FlowKey& flow) : key(flow) {}
  [[nodiscard]] const FlowKey& flow_key() const { return key; }
  FlowKey key;
};

FlowKey key_of(std::size_t number) {
  const auto port = static_cast<std::uint16_t>(1024 + number % 60000);
  const auto remote_port = static_cast<std::uint16_t>(80 + number / 60000);
  return {{*Address::parse("10.0.2.100"), port}, {*Address::parse("198.51.100.7"), remote_port}};
}

std::vector<FlowKey> keys(std::size_t count) {
  std::vector<FlowKey> made;
  for (std::size_t i = 0; i < count; ++i) made.push_back(key_of(i));
  return made;
}

void flow_found(benchmark::State& state) {
  const auto known = keys(static_cast<std::size_t>(state.range(0)));
  FlowTable<Flow> table(SipKey{1, 2});
  for (const FlowKey& key : known) table.insert(key, key);
  std::size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(table.get(table.find(known[at])));
    at = at + 1 == known.size() ? 0 : at + 1;
  }
}
BENCHMARK(flow_found)->Arg(1)->Arg(1000)->Arg(50000);

void flow_absent(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  FlowTable<Flow> table(SipKey{1, 2});
  for (const FlowKey& key : keys(count)) table.insert(key, key);
  const FlowKey other{{*Address::parse("10.0.2.100"), 1}, {*Address::parse("203.0.113.1"), 1}};
  for (auto _ : state) {
    benchmark::DoNotOptimize(table.find(other));
  }
}
BENCHMARK(flow_absent)->Arg(1000)->Arg(50000);

void flow_comes_and_goes(benchmark::State& state) {
  FlowTable<Flow> table(SipKey{1, 2});
  for (const FlowKey& key : keys(1000)) table.insert(key, key);
  const FlowKey other{{*Address::parse("10.0.2.100"), 1}, {*Address::parse("203.0.113.1"), 1}};
  for (auto _ : state) {
    benchmark::DoNotOptimize(table.insert(other, other));
    table.erase(other);
  }
}
BENCHMARK(flow_comes_and_goes);

}  // namespace
}  // namespace sf::engine
