#include "policy/name_table.hh"

#include <algorithm>
#include <map>

namespace sf::policy {

NameTable::NameTable(std::span<const Rule> rules) {
  std::map<std::string, std::vector<RuleIndex>> exact;
  std::map<std::string, std::vector<RuleIndex>> suffixes;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const auto index = static_cast<RuleIndex>(i);
    if (rules[i].target == Rule::Target::name) exact[rules[i].name].push_back(index);
    if (rules[i].target == Rule::Target::wildcard) suffixes[rules[i].name].push_back(index);
  }
  const auto add = [&](const auto& names, Index& index) {
    for (const auto& [name, own] : names) {
      index.emplace(name, static_cast<std::uint32_t>(nodes_.size()));
      nodes_.push_back({FirstMatch(rules, own), NameMatch::kNone});
    }
  };
  add(exact, exact_);
  add(suffixes, suffixes_);
  for (const auto& [name, node] : suffixes_) nodes_[node].parent = longest_suffix(name);
}

std::uint32_t NameTable::longest_suffix(std::string_view name) const {
  if (suffixes_.empty()) return NameMatch::kNone;
  for (std::size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.')) {
    name.remove_prefix(dot + 1);
    if (const auto found = suffixes_.find(name); found != suffixes_.end()) return found->second;
  }
  return NameMatch::kNone;
}

NameMatch NameTable::match(std::string_view name) const {
  NameMatch match;
  if (const auto found = exact_.find(name); found != exact_.end()) match.exact = found->second;
  match.wildcard = longest_suffix(name);
  return match;
}

RuleIndex NameTable::find(const NameMatch& match, Protocol protocol, std::uint16_t port,
                          RuleIndex best) const {
  for_each(match, [&](const FirstMatch& node) {
    if (node.least() < best) best = std::min(best, node.find(protocol, port));
  });
  return best;
}

RuleIndex NameTable::first_allow(const NameMatch& match) const {
  RuleIndex first = kNoRule;
  for_each(match, [&](const FirstMatch& node) { first = std::min(first, node.first_allow()); });
  return first;
}

RuleIndex NameTable::first_full_deny(const NameMatch& match) const {
  RuleIndex first = kNoRule;
  for_each(match, [&](const FirstMatch& node) { first = std::min(first, node.first_full_deny()); });
  return first;
}

bool NameTable::allows_exactly(const NameMatch& match) const {
  return match.exact != NameMatch::kNone && nodes_[match.exact].match.first_allow() < first_full_deny(match);
}

}  // namespace sf::policy
