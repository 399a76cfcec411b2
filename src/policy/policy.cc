#include "policy/policy.hh"

#include <algorithm>
#include <array>

namespace sf::policy {
namespace {

constexpr std::uint16_t kDns = 53;
constexpr std::uint16_t kDnsOverTls = 853;  // and over QUIC
constexpr std::uint16_t kHttps = 443;

bool is_everything(const Prefix& prefix) {
  return prefix.length == 0;
}

// A rule that any name can be meant by.
bool is_about_any_name(const Rule& rule) {
  if (rule.target == Rule::Target::all) return true;
  if (rule.target == Rule::Target::group) return rule.name == "internet";
  return rule.target == Rule::Target::network && is_everything(rule.prefixes[0]);
}

// 64:ff9b::/96 (RFC 6052): a translator on the way makes an IPv4 address of it.
std::optional<Address> translated(const Address& address) {
  constexpr std::array<std::uint8_t, 12> kPrefix{0, 0x64, 0xff, 0x9b};
  if (address.is_v4() || !std::equal(kPrefix.begin(), kPrefix.end(), address.bytes().begin()))
    return std::nullopt;
  return Address::v4(load_be32(address.bytes().data() + 12));
}

}  // namespace

Policy::Policy(std::vector<Rule> rules, const Settings& settings, std::span<const LoopbackAlias> aliases)
    : rules_(std::move(rules)), settings_(settings), names_(rules_) {
  std::vector<AddressTable::Entry> entries;
  std::vector<RuleIndex> any;
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    const auto index = static_cast<RuleIndex>(i);
    if (is_about_any_name(rules_[i])) any.push_back(index);
    for (Prefix prefix : rules_[i].prefixes) {
      for (const LoopbackAlias& alias : aliases) {
        const bool single = prefix.length == (prefix.base.is_v4() ? 32 : 128);
        if (single && prefix.base == alias.gateway) prefix.base = alias.loopback;
      }
      entries.push_back({prefix, index});
    }
  }
  addresses_ = AddressTable(rules_, std::move(entries));
  everything_ = FirstMatch(rules_, any);
}

Verdict Policy::decide(Protocol protocol, const Address& address, std::uint16_t port,
                       std::span<const NameMatch> names) const {
  RuleIndex best = addresses_.find(address, protocol, port, kNoRule);
  for (const NameMatch& name : names) best = names_.find(name, protocol, port, best);
  Verdict verdict{best == kNoRule || rules_[best].action == Action::allow, best};
  // Who can ask another resolver, needs no rule to be asked about names.
  const bool resolver = port == kDns || port == kDnsOverTls || (port == kHttps && is_known_resolver(address));
  if (verdict.allowed && has_names() && protocol != Protocol::icmp && resolver && !is_explicit(best)) {
    verdict.allowed = false;
  }
  if (verdict.allowed) {
    if (const auto behind = translated(address)) {
      const Verdict other = decide(protocol, *behind, port, names);
      if (!other.allowed) return other;
    }
  }
  return verdict;
}

// It names somebody in particular, by address, or by name and port.
bool Policy::is_explicit(RuleIndex index) const {
  if (index == kNoRule) return false;
  const Rule& rule = rules_[index];
  if (rule.has_name()) return !rule.ports.empty();
  return rule.target == Rule::Target::network && !is_everything(rule.prefixes[0]);
}

bool Policy::may_resolve(std::string_view name) const {
  const NameMatch match = names_.match(name);
  if (has_names() && is_known_resolver(name)) return names_.allows_exactly(match);
  const RuleIndex allow = std::min(names_.first_allow(match), everything_.first_allow());
  const RuleIndex deny = std::min(names_.first_full_deny(match), everything_.first_full_deny());
  // Where nothing is said, all is allowed.
  return allow < deny || deny == kNoRule;
}

std::string Policy::to_string() const {
  std::string text;
  for (const Rule& rule : rules_) text += rule.to_string() + "\n";
  return text;
}

}  // namespace sf::policy
