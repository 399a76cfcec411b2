// Rules for the end of a run, when everything has had the time to end.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "sim/ledger.hh"
#include "sim/sim_host.hh"
#include "sim/simulation.hh"

namespace sf::sim {

// Every connection that is not excused came to the end that its plan asked for.
void check_end(World& world, const Plan& plan, const std::vector<std::unique_ptr<Ledger>>& ledgers,
               const std::function<bool(const FlowPlan&)>& excused);
// No flow, socket or payload memory is left.
void check_leaks(World& world, const Stack& stack, const SimHost& host);

}  // namespace sf::sim
