#include "policy/refusals.hh"

#include <fmt/format.h>

#include <algorithm>

namespace sf::policy {
namespace {

bool is_power_of_ten(std::uint64_t number) {
  while (number >= 10 && number % 10 == 0) number /= 10;
  return number == 1;
}

}  // namespace

std::optional<std::string> Refusals::note(const std::string& target, bool audit) {
  ++total_;
  auto found = counts_.find(target);
  if (found == counts_.end()) {
    if (counts_.size() >= kMaxTargets) {
      if (!full_.first()) return std::nullopt;
      return fmt::format("policy: {} targets were refused; further ones are counted but not named",
                         kMaxTargets);
    }
    found = counts_.emplace(target, 0).first;
  }
  const std::uint64_t count = ++found->second;
  if (!is_power_of_ten(count)) return std::nullopt;
  const char* what = audit ? "would refuse" : "refused";
  return count == 1 ? fmt::format("policy: {} {}", what, target)
                    : fmt::format("policy: {} {}, {} times by now", what, target, count);
}

std::vector<std::pair<std::string, std::uint64_t>> Refusals::list(std::size_t most) const {
  std::vector<std::pair<std::string, std::uint64_t>> all(counts_.begin(), counts_.end());
  std::ranges::sort(all, [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  if (all.size() > most) all.resize(most);
  return all;
}

void Refusals::summarize() const {
  for (const auto& [target, count] : list(kMaxTargets)) {
    if (!is_power_of_ten(count)) log_.warning("policy: refused {}, {} times in all", target, count);
  }
}

}  // namespace sf::policy
