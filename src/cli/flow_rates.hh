// How busy flows are, from two lists of them.
#pragma once

#include <optional>
#include <vector>

#include "cli/replies.hh"

namespace sf::cli {

struct FlowRow {
  FlowReply flow;
  // Payload bytes per second; absent where the first list did not reach to the flow.
  std::optional<std::uint64_t> rate_from_guest{};
  std::optional<std::uint64_t> rate_to_guest{};
};

struct FlowRows {
  std::uint64_t interval_us = 0;
  std::uint64_t total = 0;
  std::vector<FlowRow> rows;
};

// Those of `after`, the busiest first, and `limit` of them at most. A flow that began in between has all its
// bytes since; one that ended is not there.
[[nodiscard]] FlowRows with_rates(const FlowsReply& before, FlowsReply after,
                                  std::optional<std::size_t> limit = std::nullopt);

}  // namespace sf::cli
