// A policy file: TOML 1.0.
//
//     default = "deny"           # what no rule is about: "deny" or "allow"
//     rules = [                  # the first that is about a flow decides
//       "deny metadata",
//       "allow github.com:443",
//     ]
//     check-sni = true           # the rest may be left out
//     audit = false
//     dns-refusal = "nxdomain"   # or "refused"
//     ttl-floor = 60             # seconds
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hh"
#include "policy/rule.hh"

namespace sf::policy {

inline constexpr std::size_t kMaxPolicyFile = std::size_t{8} << 20;

struct PolicyFile {
  std::vector<Rule> rules;  // the last one is deny_all() where that is the default
  std::optional<bool> check_sni;
  std::optional<bool> audit;
  std::optional<bool> refuse_with_refused;
  std::optional<std::uint32_t> ttl_floor;
};

// The Error is one line: "FILE:LINE:COLUMN: expected ..., not ...".
[[nodiscard]] Result<PolicyFile> parse_policy_file(std::string_view file, std::string_view text);

}  // namespace sf::policy
