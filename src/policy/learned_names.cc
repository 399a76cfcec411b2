#include "policy/learned_names.hh"

#include <algorithm>

namespace sf::policy {
namespace {

constexpr Duration kPurgeInterval = 1s;
constexpr std::size_t kLookedAt = 8;  // where nothing has expired, what goes first of these makes room

}  // namespace

void LearnedNames::learn(const Address& address, std::string_view name, const Policy& policy, Time expires,
                         Time now) {
  auto found = addresses_.find(address);
  if (found == addresses_.end()) {
    if (addresses_.size() >= kMaxAddresses) make_room(now);
    found = addresses_.emplace(address, Entry{{}, generation_}).first;
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
    std::erase_if(addresses_, [now](const auto& entry) {
      return std::ranges::all_of(entry.second.names, [now](const Name& name) { return name.expires <= now; });
    });
  }
  if (addresses_.size() < kMaxAddresses) return;
  const auto expiry = [](const Entry& entry) {
    Time last{};
    for (const Name& name : entry.names) last = std::max(last, name.expires);
    return last;
  };
  auto first = addresses_.begin();
  auto at = first;
  for (std::size_t i = 0; i < kLookedAt && at != addresses_.end(); ++i, ++at) {
    if (expiry(at->second) < expiry(first->second)) first = at;
  }
  addresses_.erase(first);
}

}  // namespace sf::policy
