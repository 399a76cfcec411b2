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

bool is_known_resolver(const Address& address) {
  static const std::vector<Address> known = [] {
    constexpr std::array<std::string_view, 32> kText{"1.1.1.1",
                                                     "1.0.0.1",
                                                     "1.1.1.2",
                                                     "1.0.0.2",
                                                     "1.1.1.3",
                                                     "1.0.0.3",
                                                     "8.8.8.8",
                                                     "8.8.4.4",
                                                     "9.9.9.9",
                                                     "9.9.9.10",
                                                     "9.9.9.11",
                                                     "149.112.112.112",
                                                     "149.112.112.10",
                                                     "149.112.112.11",
                                                     "208.67.222.222",
                                                     "208.67.220.220",
                                                     "94.140.14.14",
                                                     "94.140.15.15",
                                                     "185.228.168.9",
                                                     "185.228.169.9",
                                                     "76.76.2.0",
                                                     "76.76.10.0",
                                                     "194.242.2.2",
                                                     "2606:4700:4700::1111",
                                                     "2606:4700:4700::1001",
                                                     "2001:4860:4860::8888",
                                                     "2001:4860:4860::8844",
                                                     "2620:fe::fe",
                                                     "2620:fe::9",
                                                     "2620:119:35::35",
                                                     "2620:119:53::53",
                                                     "2a10:50c0::ad1:ff"};
    std::vector<Address> addresses;
    for (const std::string_view text : kText) addresses.push_back(Address::parse(text).value_or(Address{}));
    std::ranges::sort(addresses);
    return addresses;
  }();
  return std::ranges::binary_search(known, address);
}

bool is_known_resolver(std::string_view name) {
  constexpr std::array<std::string_view, 22> kNames{
      "dns.google", "dns64.dns.google", "cloudflare-dns.com", "one.one.one.one",
      "1dot1dot1dot1.cloudflare-dns.com", "mozilla.cloudflare-dns.com", "chrome.cloudflare-dns.com",
      "security.cloudflare-dns.com", "family.cloudflare-dns.com", "dns.quad9.net", "dns9.quad9.net",
      "dns10.quad9.net", "dns11.quad9.net", "doh.opendns.com", "dns.adguard-dns.com", "dns.nextdns.io",
      "doh.cleanbrowsing.org", "dns.mullvad.net", "freedns.controld.com",
      // Clients that get no answer for these leave name resolution to the system.
      "use-application-dns.net", "mask.icloud.com", "mask-h2.icloud.com"};
  return std::ranges::find(kNames, name) != kNames.end();
}

}  // namespace sf::policy
