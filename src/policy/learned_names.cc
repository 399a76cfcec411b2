#include "policy/learned_names.hh"

#include <algorithm>

namespace sf::policy {
namespace {

constexpr Duration kPurgeInterval = 1s;

}  // namespace

void LearnedNames::learn(const Address& address, std::string_view name, const Policy& policy, Time expires,
                         Time now) {
  auto found = addresses_.find(address);
  if (found == addresses_.end()) {
    if (addresses_.size() >= kMaxAddresses) make_room(now);
    const auto place = order_.insert(order_.end(), address);
    found = addresses_.emplace(address, Entry{{}, generation_, place}).first;
  } else {
    order_.splice(order_.end(), order_, found->second.place);
  }
  std::vector<Name>& names = found->second.names;
  std::erase_if(names, [now](const Name& known) { return known.expires <= now; });
  const auto same = std::ranges::find(names, name, &Name::name);
  if (same != names.end()) {
    same->expires = std::max(same->expires, expires);
    return;
  }
  if (names.size() >= kMaxNames) {
    *std::ranges::min_element(names, {}, &Name::expires) = {std::string(name), expires, policy.match(name)};
  } else {
    names.push_back({std::string(name), expires, policy.match(name)});
  }
}

std::span<const NameMatch> LearnedNames::find(const Address& address, const Policy& policy, Time now) {
  found_.clear();
  const auto found = addresses_.find(address);
  if (found == addresses_.end()) return found_;
  Entry& entry = found->second;
  if (entry.generation != generation_) {
    for (Name& name : entry.names) name.match = policy.match(name.name);
    entry.generation = generation_;
  }
  for (const Name& name : entry.names) {
    if (name.expires > now) found_.push_back(name.match);
  }
  return found_;
}

std::string_view LearnedNames::name_of(const Address& address) const {
  const auto found = addresses_.find(address);
  return found == addresses_.end() || found->second.names.empty() ? std::string_view{}
                                                                  : found->second.names.back().name;
}

void LearnedNames::make_room(Time now) {
  if (now >= purged_ + kPurgeInterval) {
    purged_ = now;
    std::erase_if(addresses_, [this, now](const auto& entry) {
      const bool over =
          std::ranges::all_of(entry.second.names, [now](const Name& name) { return name.expires <= now; });
      if (over) order_.erase(entry.second.place);
      return over;
    });
  }
  if (addresses_.size() < kMaxAddresses) return;
  addresses_.erase(order_.front());
  order_.pop_front();
}

}  // namespace sf::policy
