#include "cli/flow_rates.hh"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

namespace sf::cli {
namespace {

std::string key_of(const FlowReply& flow) {
  return fmt::format("{} {} {} {} {} {}", flow.protocol, flow.inbound, flow.guest_addr, flow.guest_port,
                     flow.remote_addr, flow.remote_port);
}

std::uint64_t per_second(std::uint64_t bytes, std::uint64_t microseconds) {
  // Above any rate that is real, so that nothing that somebody answers overflows.
  constexpr double kMost = 1e18;
  return static_cast<std::uint64_t>(
      std::min(static_cast<double>(bytes) * 1e6 / static_cast<double>(microseconds), kMost));
}

}  // namespace

FlowRows with_rates(const FlowsReply& before, FlowsReply after, std::optional<std::size_t> limit) {
  FlowRows result;
  result.total = after.total;
  if (after.uptime_us > before.uptime_us) result.interval_us = after.uptime_us - before.uptime_us;
  std::unordered_map<std::string, const FlowReply*> known;
  for (const FlowReply& flow : before.flows) known.emplace(key_of(flow), &flow);
  const bool all_known = before.flows.size() >= before.total;
  for (FlowReply& flow : after.flows) {
    FlowRow row{.flow = std::move(flow)};
    const FlowReply& now = row.flow;
    const auto found = known.find(key_of(now));
    const FlowReply* old = found == known.end() ? nullptr : found->second;
    // Fewer bytes than before: another flow with the same ends.
    const bool same = old != nullptr && now.bytes_from_guest >= old->bytes_from_guest &&
                      now.bytes_to_guest >= old->bytes_to_guest;
    if (result.interval_us > 0 && (old != nullptr || all_known)) {
      row.rate_from_guest =
          per_second(now.bytes_from_guest - (same ? old->bytes_from_guest : 0), result.interval_us);
      row.rate_to_guest =
          per_second(now.bytes_to_guest - (same ? old->bytes_to_guest : 0), result.interval_us);
    }
    result.rows.push_back(std::move(row));
  }
  const auto busier = [](const FlowRow& a, const FlowRow& b) {
    const auto rate = [](const FlowRow& row) {
      return row.rate_from_guest.value_or(0) + row.rate_to_guest.value_or(0);
    };
    const auto bytes = [](const FlowRow& row) { return row.flow.bytes_from_guest + row.flow.bytes_to_guest; };
    return rate(a) != rate(b) ? rate(a) > rate(b) : bytes(a) > bytes(b);
  };
  std::ranges::stable_sort(result.rows, busier);
  if (limit && result.rows.size() > *limit) result.rows.resize(*limit);
  return result;
}

}  // namespace sf::cli
