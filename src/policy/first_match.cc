#include "policy/first_match.hh"

#include <algorithm>
#include <set>

namespace sf::policy {
namespace {

// A range of one rule begins at `port`, or has ended before it.
struct Edge {
  std::uint32_t port;
  RuleIndex rule;
  bool begins;
};

}  // namespace

FirstMatch::FirstMatch(std::span<const Rule> rules, std::span<const RuleIndex> own)
    : tcp_(cut(rules, own, &Rule::tcp)), udp_(cut(rules, own, &Rule::udp)) {
  for (const RuleIndex index : own) {
    const Rule& rule = rules[index];
    least_ = std::min(least_, index);
    if (rule.icmp) icmp_ = std::min(icmp_, index);
    if (rule.action == Action::allow) {
      first_allow_ = std::min(first_allow_, index);
    } else if (!rule.is_partial()) {
      first_full_deny_ = std::min(first_full_deny_, index);
    }
  }
}

FirstMatch::Stretches FirstMatch::cut(std::span<const Rule> rules, std::span<const RuleIndex> own,
                                      bool Rule::*protocol) {
  std::vector<Edge> edges;
  for (const RuleIndex index : own) {
    const Rule& rule = rules[index];
    if (!(rule.*protocol)) continue;
    if (rule.ports.empty()) edges.push_back({0, index, true});
    for (const PortRange& range : rule.ports) {
      edges.push_back({range.first, index, true});
      if (range.last != 65535) edges.push_back({range.last + 1U, index, false});
    }
  }
  std::ranges::sort(edges, {}, &Edge::port);
  Stretches stretches;
  std::multiset<RuleIndex> open;
  for (std::size_t i = 0; i < edges.size();) {
    const std::uint32_t port = edges[i].port;
    for (; i < edges.size() && edges[i].port == port; ++i) {
      if (edges[i].begins) {
        open.insert(edges[i].rule);
      } else {
        open.erase(open.find(edges[i].rule));  // it began at a lower port
      }
    }
    const RuleIndex first = open.empty() ? kNoRule : *open.begin();
    if (stretches.empty() && port > 0) stretches.push_back({0, kNoRule});
    if (stretches.empty() || stretches.back().rule != first) {
      stretches.push_back({static_cast<std::uint16_t>(port), first});
    }
  }
  stretches.shrink_to_fit();
  return stretches;
}

RuleIndex FirstMatch::find(Protocol protocol, std::uint16_t port) const {
  if (protocol == Protocol::icmp) return icmp_;
  const Stretches& stretches = protocol == Protocol::tcp ? tcp_ : udp_;
  const auto behind = std::ranges::upper_bound(stretches, port, {}, &Stretch::first);
  return behind == stretches.begin() ? kNoRule : std::prev(behind)->rule;
}

}  // namespace sf::policy
