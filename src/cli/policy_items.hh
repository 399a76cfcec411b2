// What the command line says about the egress policy, in its order.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hh"
#include "policy/policy.hh"

namespace sf::cli {

struct PolicyItem {
  enum class Kind : std::uint8_t { rule, file };
  Kind kind = Kind::rule;
  policy::Rule rule;  // --allow, --deny, --deny-all
};

struct PolicyOptions {
  std::vector<PolicyItem> items;
  std::string file;  // --policy; empty: none
  bool check_sni = false;
  bool audit = false;
  bool sealed = false;  // no change at run time
  std::optional<bool> refuse_with_refused;

  [[nodiscard]] bool any() const { return !items.empty(); }
};

// --allow, --deny: an Error is one line with the column.
[[nodiscard]] Result<policy::Rule> parse_rule_option(std::string_view option, policy::Action action,
                                                     std::string_view text);

struct PolicyText {
  std::string name;  // for messages
  std::string text;
};
// The rules and settings of the options, with those of the file in its place; `file` is what it has now. Null
// where the options say nothing.
[[nodiscard]] Result<std::shared_ptr<const policy::Policy>> make_policy(
    const PolicyOptions& options, const std::optional<PolicyText>& file,
    std::span<const policy::LoopbackAlias> aliases);

}  // namespace sf::cli
