#include "engine/neighbours.hh"

#include <algorithm>

namespace sf::engine {

bool Neighbours::learn_other(const Address& address, const MacAddress& mac, Time now) {
  auto found = std::ranges::find(entries_, address, &Entry::address);
  const bool known = found != entries_.end() && found->seen != 0 && found->mac == mac;
  if (found == entries_.end()) found = std::ranges::min_element(entries_, {}, &Entry::seen);
  const bool tell = !known || now - found->told >= kTellAgain;
  *found = {address, mac, ++clock_, tell ? now : found->told};
  latest_ = static_cast<std::size_t>(found - entries_.begin());
  return tell;
}

std::optional<MacAddress> Neighbours::find(const Address& address) const {
  const auto found = std::ranges::find(entries_, address, &Entry::address);
  if (found == entries_.end() || found->seen == 0) return std::nullopt;
  return found->mac;
}

std::optional<Address> Neighbours::latest_of(const Prefix& prefix) const {
  const Entry* best = nullptr;
  for (const Entry& entry : entries_) {
    const bool fits = entry.seen != 0 && prefix.contains(entry.address);
    if (fits && (best == nullptr || entry.seen > best->seen)) best = &entry;
  }
  if (best == nullptr) return std::nullopt;
  return best->address;
}

}  // namespace sf::engine
