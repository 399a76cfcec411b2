#include "engine/published.hh"

#include <algorithm>
#include <functional>
#include <iterator>

namespace sf::engine {

void FlowList::cut(std::size_t limit) {
  const std::size_t count = std::min(limit, flows.size());
  std::ranges::partial_sort(flows, flows.begin() + static_cast<std::ptrdiff_t>(count), std::ranges::greater{},
                            [](const FlowInfo& flow) { return flow.bytes_from_guest + flow.bytes_to_guest; });
  flows.resize(count);
}

void FlowList::add(FlowList other) {
  total += other.total;
  std::ranges::move(other.flows, std::back_inserter(flows));
}

void Totals::add(const Totals& other) {
  tcp_opened += other.tcp_opened;
  bytes_from_guest += other.bytes_from_guest;
  bytes_to_guest += other.bytes_to_guest;
  frames_from_guest += other.frames_from_guest;
  frames_dropped += other.frames_dropped;
  flows += other.flows;
  for (std::size_t i = 0; i < drops.size(); ++i) drops[i] += other.drops[i];
}

}  // namespace sf::engine
