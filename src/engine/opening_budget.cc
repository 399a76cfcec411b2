#include "engine/opening_budget.hh"

#include "base/give_back.hh"

namespace sf::engine {

OpeningBudget::Charge OpeningBudget::admit(const FlowKey& ends, Time now) {
  if (common_.admit(now)) {
    if (!lost_.empty() && now >= flood_until_) give_back_all(lost_);
    return Charge::common;
  }
  Proven& proven = place_of(ends.remote);
  if (proven.remote == ends.remote && proven.until > now && proven.tokens.admit(now)) return Charge::proven;
  if (was_lost(ends, now) && again_.admit(now)) return Charge::again;
  return Charge::none;
}

void OpeningBudget::completed(const FlowKey& ends, Charge charge, Time now) {
  Proven& proven = place_of(ends.remote);
  if (proven.remote != ends.remote) proven = Proven{.remote = ends.remote};
  proven.until = now + kProvenFor;
  switch (charge) {
    case Charge::none:
      break;
    case Charge::common:
      common_.give_back();
      break;
    case Charge::proven:
      proven.tokens.give_back();
      break;
    case Charge::again:
      again_.give_back();
      break;
  }
}

OpeningBudget::Proven& OpeningBudget::place_of(const Endpoint& remote) {
  return proven_[hash_of(key_, FlowKey{{}, remote}) % kProven];
}

bool OpeningBudget::was_lost(const FlowKey& ends, Time now) {
  flood_until_ = now + kFlood;
  if (lost_.empty()) lost_.resize(kLost);
  const std::uint64_t hash = hash_of(key_, ends);
  const auto print = static_cast<std::uint16_t>((hash >> 48) | 1U);  // 0: none
  std::uint16_t& place = lost_[hash % kLost];
  const bool known = place == print;
  place = print;
  return known;
}

}  // namespace sf::engine
