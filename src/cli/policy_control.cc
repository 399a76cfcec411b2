#include "cli/policy_control.hh"

namespace sf::cli {
namespace {

constexpr std::size_t kRefusalsListed = 100;

}  // namespace

Result<void> PolicyControl::load() {
  std::optional<PolicyText> file;
  if (!options_.file.empty()) {
    auto text = read_();
    if (!text) return tl::unexpected(text.error());
    file = PolicyText{options_.file, *std::move(text)};
  }
  auto made = make_policy(options_, file, aliases_);
  if (!made) return tl::unexpected(made.error());
  gate_.replace(*std::move(made));
  return {};
}

Result<void> PolicyControl::changeable() const {
  if (!options_.sealed) return {};
  return fail("the policy cannot be changed: it was started with --seal-policy; start another instance");
}

Result<void> PolicyControl::reload() {
  if (auto may = changeable(); !may) return may;
  return load();
}

Result<void> PolicyControl::set(const std::string& name, const std::string& text) {
  if (auto may = changeable(); !may) return may;
  PolicyOptions only_file;
  only_file.items.push_back({.kind = PolicyItem::Kind::file, .rule = {}});
  auto made = make_policy(only_file, PolicyText{name, text}, aliases_);
  if (!made) return tl::unexpected(made.error());
  gate_.replace(*std::move(made));
  return {};
}

Result<void> PolicyControl::insert(policy::Action action, std::string_view text) {
  if (auto may = changeable(); !may) return may;
  const auto present = gate_.policy();
  if (present != nullptr && present->rules().size() >= policy::kMaxRules) {
    return fail("the policy has {} rules already; replace it with policy set", policy::kMaxRules);
  }
  auto rule = parse_rule_option(action == policy::Action::allow ? "allow" : "deny", action, text);
  if (!rule) return tl::unexpected(rule.error());
  std::vector<policy::Rule> rules{*std::move(rule)};
  if (present != nullptr) rules.insert(rules.end(), present->rules().begin(), present->rules().end());
  const policy::Settings settings = present != nullptr ? present->settings() : policy::Settings{};
  gate_.replace(std::make_shared<const policy::Policy>(std::move(rules), settings, aliases_));
  return {};
}

control::PolicyReport PolicyControl::report() const {
  control::PolicyReport report;
  report.refusals = gate_.refusals();
  report.refused = gate_.refused(kRefusalsListed);
  const auto present = gate_.policy();
  if (present == nullptr) return report;
  report.active = true;
  report.settings = present->settings();
  for (const policy::Rule& rule : present->rules()) report.rules.push_back(rule.to_string());
  return report;
}

}  // namespace sf::cli
