// Which of the rules about one target comes first, for each port: the ports are cut into stretches in which
// the answer is the same, and looked up by binary search.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "policy/rule.hh"

namespace sf::policy {

using RuleIndex = std::uint32_t;  // smaller ones come first
inline constexpr RuleIndex kNoRule = std::numeric_limits<RuleIndex>::max();

class FirstMatch {
 public:
  FirstMatch() = default;
  // `own` are indexes into `rules`, ascending.
  FirstMatch(std::span<const Rule> rules, std::span<const RuleIndex> own);

  [[nodiscard]] RuleIndex find(Protocol protocol, std::uint16_t port) const;
  // The first of all, whatever it is about: none that find() returns is smaller.
  [[nodiscard]] RuleIndex least() const { return least_; }
  // The first that allows anything, and the first that refuses everything.
  [[nodiscard]] RuleIndex first_allow() const { return first_allow_; }
  [[nodiscard]] RuleIndex first_full_deny() const { return first_full_deny_; }

 private:
  struct Stretch {
    std::uint16_t first;
    RuleIndex rule;
  };
  using Stretches = std::vector<Stretch>;  // by `first`; the first one begins at 0
  [[nodiscard]] static Stretches cut(std::span<const Rule> rules, std::span<const RuleIndex> own,
                                     bool Rule::*protocol);

  Stretches tcp_;
  Stretches udp_;
  RuleIndex icmp_ = kNoRule;
  RuleIndex least_ = kNoRule;
  RuleIndex first_allow_ = kNoRule;
  RuleIndex first_full_deny_ = kNoRule;
};

}  // namespace sf::policy
