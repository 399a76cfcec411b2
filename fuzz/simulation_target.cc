// The simulator with its choices made by the input instead of a seed: what is to happen, and every fate of a
// frame. All its rules hold.
#include <algorithm>
#include <cstdio>

#include "input.hh"
#include "sim/scenario.hh"
#include "sim/simulation.hh"

namespace sf::fuzz {
namespace {

// A run must be short: bytes and connections are less than what a seed may draw.
void shorten(sim::Plan& plan) {
  constexpr std::size_t kFlows = 4;
  constexpr std::uint64_t kBytes = 30'000;
  if (plan.flows.size() > kFlows) plan.flows.resize(kFlows);
  for (sim::FlowPlan& flow : plan.flows) {
    flow.from.send_bytes = std::min(flow.from.send_bytes, kBytes);
    flow.peer.send_bytes = std::min(flow.peer.send_bytes, kBytes);
    // Where one side gives up after so many bytes, there must be as many.
    const std::uint64_t total = flow.from.send_bytes + flow.peer.send_bytes;
    flow.from.close_at = std::min(flow.from.close_at, total);
    flow.peer.close_at = std::min(flow.peer.close_at, total);
    flow.from.mss = std::max<std::uint16_t>(flow.from.mss, 536);
  }
  for (sim::DatagramPlan& datagrams : plan.datagrams) datagrams.count = std::min(datagrams.count, 20U);
  plan.noise.malformed = std::min(plan.noise.malformed, 40U);
}

}  // namespace
}  // namespace sf::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sf;
  if (size > 4096) return 0;
  fuzz::Input in(Bytes{data, size});
  const std::uint32_t seed = in.u32();
  const Bytes plan_choices = in.bytes(in.u8() * std::size_t{2});
  sim::Plan plan = sim::make_plan(seed, plan_choices);
  fuzz::shorten(plan);
  plan.choices.assign(in.rest().begin(), in.rest().end());
  const sim::Result result = sim::run(plan, sim::make_shard, nullptr);
  if (result.violations.empty()) return 0;
  std::fprintf(stderr, "%s\n%s", plan.summary.c_str(), result.report().c_str());
  fuzz::require(false, "a rule of the simulator");
  return 0;
}
