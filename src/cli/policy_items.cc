#include "cli/policy_items.hh"

#include "policy/file.hh"

namespace sf::cli {

Result<policy::Rule> parse_rule_option(std::string_view option, policy::Action action,
                                       std::string_view text) {
  auto rule = policy::parse_rule(action, text);
  if (!rule) return fail("{} '{}': column {}: {}", option, text, rule.error().column, rule.error().message);
  return *std::move(rule);
}

Result<std::shared_ptr<const policy::Policy>> make_policy(const PolicyOptions& options,
                                                          const std::optional<PolicyText>& file,
                                                          std::span<const policy::LoopbackAlias> aliases) {
  if (!options.any()) return nullptr;
  policy::PolicyFile parsed;
  if (file) {
    auto read = policy::parse_policy_file(file->name, file->text);
    if (!read) return tl::unexpected(read.error());
    parsed = *std::move(read);
  }
  std::vector<policy::Rule> rules;
  for (const PolicyItem& item : options.items) {
    if (item.kind == PolicyItem::Kind::rule) {
      rules.push_back(item.rule);
    } else {
      rules.insert(rules.end(), parsed.rules.begin(), parsed.rules.end());
    }
  }
  policy::Settings settings;
  settings.check_sni = options.check_sni || parsed.check_sni.value_or(false);
  settings.audit = options.audit || parsed.audit.value_or(false);
  settings.refuse_with_refused =
      options.refuse_with_refused.value_or(parsed.refuse_with_refused.value_or(false));
  if (parsed.ttl_floor) settings.ttl_floor = *parsed.ttl_floor;
  return std::make_shared<const policy::Policy>(std::move(rules), settings, aliases);
}

}  // namespace sf::cli
