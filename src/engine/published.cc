#include "engine/published.hh"

#include <algorithm>
#include <functional>
#include <iterator>

#include "base/sums.hh"

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
  using T = Totals;
  add_members(*this, other, &T::tcp_opened, &T::bytes_from_guest, &T::bytes_to_guest, &T::frames_from_guest,
              &T::frames_dropped, &T::drops, &T::flows);
}

}  // namespace sf::engine
