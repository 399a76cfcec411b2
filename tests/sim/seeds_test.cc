#include <fmt/core.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <string>

#include "sim/options.hh"
#include "sim/scenario.hh"
#include "sim/simulation.hh"

namespace sf::sim {
namespace {

constexpr int kMostFailures = 10;

// Runs the seed again with a trace, which costs too much to keep for every run, and leaves it in ./artifacts.
std::string write_trace(const Plan& plan, const StackFactory& stack) {
  Trace trace(false);
  static_cast<void>(run(plan, stack, &trace));
  std::error_code error;
  std::filesystem::create_directories("artifacts", error);
  const std::string stem = fmt::format("artifacts/simulator-seed-{}", plan.seed);
  if (!trace.write(stem)) return fmt::format("(could not write {}.pcap)", stem);
  return fmt::format("{0}.pcap, {0}.txt", stem);
}

bool run_seed(std::uint64_t seed, Trace* trace, Result& total, const StackFactory& stack = make_shard) {
  const Plan plan = make_plan(seed);
  const Result result = run(plan, stack, trace);
  total.turns += result.turns;
  total.frames += result.frames;
  total.bytes += result.bytes;
  total.completed += result.completed;
  total.answers += result.answers;
  total.virtual_time += result.virtual_time;
  if (result.violations.empty()) return true;
  ADD_FAILURE() << fmt::format("seed {} ({}):\n{}  frames: {}\n  to repeat: simulator --seed={}", seed,
                               plan.summary, result.report(), write_trace(plan, stack), seed);
  return false;
}

void print(const Result& total, std::uint64_t seeds) {
  fmt::print(
      "{} seeds: {} connections ended in good order, {} MB, {} frames, {} answers to datagrams, {} turns, {} "
      "hours\n",
      seeds, total.completed, total.bytes / 1'000'000, total.frames, total.answers, total.turns,
      std::chrono::duration_cast<std::chrono::hours>(total.virtual_time).count());
}

TEST(Simulator, Seeds) {
  Result total;
  if (options().seed) {
    Trace trace(!options().quiet);
    run_seed(*options().seed, &trace, total);
    return print(total, 1);
  }
  int failures = 0;
  for (std::uint64_t i = 0; i < options().seeds && failures < kMostFailures; ++i) {
    if (!run_seed(options().first + i, nullptr, total)) ++failures;
  }
  print(total, options().seeds);
  // A simulation in which nothing happens would find nothing.
  if (options().seeds >= 50) {
    EXPECT_GT(total.completed, options().seeds);
    EXPECT_GT(total.answers, options().seeds);
  }
}

// As few seeds as do: what is not about shards, Seeds looks at.
TEST(Simulator, SeedsOverSeveralShards) {
  Result total;
  int failures = 0;
  const std::uint64_t seeds = options().seeds / 5 + 1;
  for (std::uint64_t i = 0; i < seeds && failures < kMostFailures; ++i) {
    if (!run_seed(options().first + i, nullptr, total, make_shards)) ++failures;
  }
  print(total, seeds);
  if (seeds >= 50) {
    EXPECT_GT(total.completed, seeds);
    EXPECT_GT(total.answers, seeds);
  }
}

TEST(Simulator, SameSeedSameRun) {
  for (const std::uint64_t seed : {3U, 14U, 15U}) {
    const Plan plan = make_plan(seed);
    const Result first = run(plan, make_shard, nullptr);
    Trace trace(false);
    const Result second = run(plan, make_shard, &trace);
    EXPECT_EQ(first.frames, second.frames) << "seed " << seed;
    EXPECT_EQ(first.turns, second.turns) << "seed " << seed;
    EXPECT_EQ(first.virtual_time, second.virtual_time) << "seed " << seed;
  }
}

TEST(Simulator, QuietRunCarriesEverything) {
  const Result result = run(make_quiet_plan(1, 300'000), make_shard, nullptr);
  EXPECT_TRUE(result.violations.empty()) << result.report();
  EXPECT_EQ(result.bytes, 600'000U);
  EXPECT_EQ(result.completed, 1U);
}

// Without faults no timer has to help: what takes a retransmission's or a probe's time has been forgotten
// somewhere.
TEST(Simulator, QuietRunIsPrompt) {
  for (const bool offloads : {false, true}) {
    for (const std::uint32_t receive_buffer : {20'000U, 200'000U, 4'000'000U}) {
      Plan plan = make_quiet_plan(1, 5'000'000);
      if (offloads)
        plan.link.features = {.checksum = true, .tcp4_gso = true, .tcp6_gso = true, .big_tcp = true};
      plan.link.checksum_partial = plan.link.guest_gso = plan.link.deliver_gso_whole = offloads;
      plan.flows[0].from.receive_buffer = receive_buffer;
      const Result result = run(plan, make_shard, nullptr);
      EXPECT_TRUE(result.violations.empty()) << result.report();
      EXPECT_LT(result.last_done, receive_buffer < 100'000 ? 300ms : 100ms)
          << (offloads ? "offloads" : "no offloads") << ", receive buffer " << receive_buffer;
    }
  }
}

// A window of megabytes fills a long path only where it is scaled right.
TEST(Simulator, LongPathIsFilled) {
  Plan plan = make_quiet_plan(1, 5'000'000);
  plan.link.delay = 10ms;
  plan.flows[0].from.receive_buffer = 4'000'000;
  plan.flows[0].peer.send_capacity = plan.flows[0].peer.receive_capacity = 4'000'000;
  const Result result = run(plan, make_shard, nullptr);
  EXPECT_TRUE(result.violations.empty()) << result.report();
  EXPECT_LT(result.last_done, 2s);
}

}  // namespace
}  // namespace sf::sim
