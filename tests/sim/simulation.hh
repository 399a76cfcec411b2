// One run: a plan carried out against a stack, with every rule looked at after every step and once more at
// the end.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "host/host.hh"
#include "link/link.hh"
#include "sim/plan.hh"
#include "sim/trace.hh"
#include "sim/world.hh"

namespace sf::sim {

// The stack under test, as an event loop and a leak check see it.
struct Stack {
  std::unique_ptr<host::Reactor> reactor;
  std::function<std::size_t()> flows;          // that it has open
  std::function<std::size_t()> memory_in_use;  // payload memory of any unit; 0 at rest
};
using StackFactory = std::function<Stack(link::Link& link, host::Host& host, const Plan& plan)>;
// The program's own: engine::Shard.
[[nodiscard]] Stack make_shard(link::Link& link, host::Host& host, const Plan& plan);
// Two to four of them, and each frame of the guest's at any of them.
[[nodiscard]] Stack make_shards(link::Link& link, host::Host& host, const Plan& plan);

// Stands between the stack and the world to plant a bug; each is optional and gives what the stack, or the
// event loop, then speaks to.
struct Sabotage {
  std::function<std::unique_ptr<link::Link>(World& world, link::Link& real)> link;
  std::function<std::unique_ptr<host::Host>(World& world, host::Host& real)> host;
  std::function<std::unique_ptr<host::Reactor>(World& world, host::Reactor& real)> reactor;
};

struct Result {
  std::vector<Violation> violations;
  std::uint64_t turns = 0;
  std::uint64_t frames = 0;
  std::uint64_t bytes = 0;      // of streams that were carried, both ways
  std::uint64_t completed = 0;  // connections that ended in good order
  std::uint64_t answers = 0;    // to datagrams, pings and queries
  Duration virtual_time{0};
  Duration last_done{0};  // from the start until the last connection had ended

  // Rule and message of each violation, a line each.
  [[nodiscard]] std::string report() const;
};

// `trace` may be null.
[[nodiscard]] Result run(const Plan& plan, const StackFactory& factory, Trace* trace,
                         const Sabotage& sabotage = {});

}  // namespace sf::sim
