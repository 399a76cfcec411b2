#include "flowlog/suggest.hh"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "flowlog/read_records.hh"
#include "policy/file.hh"

namespace sf::flowlog {
namespace {

using Kind = ReadRecord::Kind;
using policy::Protocol;

constexpr std::size_t kMostPorts = 32;        // of a rule; above, it is about all of them
constexpr std::size_t kWildcardFrom = 5;      // as many names of one domain
constexpr std::size_t kMostRefusals = 10000;  // targets that are listed

// Names before addresses, each in their order.
struct Target {
  bool is_address = false;
  std::string name;
  Address address;
  auto operator<=>(const Target&) const = default;
};

struct Use {
  std::set<std::uint16_t> tcp;
  std::set<std::uint16_t> udp;
  bool icmp = false;

  void add(Protocol protocol, std::uint16_t port) {
    // No rule is about port 0: datagrams to it are not allowed, rather than those to all ports.
    if (protocol == Protocol::tcp && port != 0) tcp.insert(port);
    if (protocol == Protocol::udp && port != 0) udp.insert(port);
    if (protocol == Protocol::icmp) icmp = true;
  }
};

struct Seen {
  Use use;
  std::set<std::string> server_names;  // that the guest has named there, other than the target's own
  std::uint64_t flows = 0;
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
};

struct Refused {
  std::uint64_t count = 0;
  bool audited = false;
};

// Some names mean something else in a rule: a host may be called "internet".
bool is_rule_target(const std::string& name) {
  const auto rule = policy::parse_rule(policy::Action::allow, name);
  return rule && rule->target == policy::Rule::Target::name && rule->name == name;
}

std::string target_text(const Target& target) {
  if (!target.is_address) return target.name;
  return target.address.is_v4() ? target.address.to_string()
                                : fmt::format("[{}]", target.address.to_string());
}

// Nothing where it is about all ports.
std::string ports_text(const std::set<std::uint16_t>& ports) {
  if (ports.size() > kMostPorts) return {};
  std::string text;
  for (auto at = ports.begin(); at != ports.end();) {
    const unsigned first = *at;
    unsigned last = first;
    while (++at != ports.end() && *at == last + 1) ++last;
    text += text.empty() ? ':' : ',';
    text += last == first ? fmt::format("{}", first) : fmt::format("{}-{}", first, last);
  }
  return text;
}

std::vector<std::string> rules_for(const std::string& target, const Use& use) {
  std::vector<std::string> rules;
  if (!use.tcp.empty() && use.tcp == use.udp && !ports_text(use.tcp).empty()) {
    rules.push_back(fmt::format("allow {}{}", target, ports_text(use.tcp)));
  } else {
    if (!use.tcp.empty()) rules.push_back(fmt::format("allow tcp/{}{}", target, ports_text(use.tcp)));
    if (!use.udp.empty()) rules.push_back(fmt::format("allow udp/{}{}", target, ports_text(use.udp)));
  }
  if (use.icmp) rules.push_back(fmt::format("allow icmp/{}", target));
  return rules;
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits{"bytes", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  auto size = static_cast<double>(bytes);
  for (; size >= 1024 && unit + 1 < kUnits.size(); ++unit) size /= 1024;
  return unit == 0 ? fmt::format("{} bytes", bytes) : fmt::format("{:.1f} {}", size, kUnits[unit]);
}

std::string counted(std::uint64_t count, const char* what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

// Fit for a comment.
std::string plain(std::string_view text) {
  std::string out;
  for (const char c : text) out += c >= 0x20 && c < 0x7f ? c : '?';
  return out;
}

// The domain that a wildcard could stand for; empty where it would open a whole registry, such as co.uk.
std::string_view domain_of(std::string_view name) {
  const std::size_t dot = name.find('.');
  if (dot == std::string_view::npos) return {};
  const std::string_view parent = name.substr(dot + 1);
  const std::size_t second = parent.find('.');
  constexpr std::size_t kRegistryLabel = 3;
  const bool registry = second == std::string_view::npos ||
                        (parent.find('.', second + 1) == std::string_view::npos && second <= kRegistryLabel);
  return registry ? std::string_view{} : parent;
}

class Suggestion {
 public:
  void add(const ReadRecord& record);
  // There are no more records.
  void finish();
  [[nodiscard]] std::string text(std::string_view log, const ReadSummary& summary) const;

 private:
  using RefusedKey = std::tuple<std::string, std::string, std::string>;  // what, a rule for it, the reason
  // A flow that has begun: it counts when it ends, or when the log does.
  struct Open {
    ReadRecord record;
    bool audited = false;
  };

  [[nodiscard]] static Target target_of(const ReadRecord& record) {
    if (!is_rule_target(record.name)) return {true, {}, record.remote.address};
    return {false, record.name, {}};
  }
  void refuse(const ReadRecord& record);
  void count(const ReadRecord& record);
  void append_rules(std::string& out) const;
  void append_wildcards(std::string& out) const;
  void append_refusals(std::string& out) const;

  std::map<Target, Seen> seen_;
  std::map<RefusedKey, Refused> refused_;
  std::unordered_map<std::uint64_t, Open> open_;
  std::string first_time_;
  std::string last_time_;
  std::uint64_t flows_ = 0;
  std::uint64_t inbound_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint64_t others_ = 0;
  std::uint64_t unlisted_ = 0;
};

void Suggestion::refuse(const ReadRecord& record) {
  std::string what;
  std::vector<std::string> rules;
  if (record.question) {
    what = fmt::format("the DNS question for {}", record.name.empty() ? "what is no host name" : record.name);
    if (is_rule_target(record.name)) rules.push_back(fmt::format("allow {}:443", record.name));
  } else {
    const std::string end =
        record.protocol == Protocol::icmp ? record.remote.address.to_string() : record.remote.to_string();
    what = fmt::format("{} {}", policy::to_string(record.protocol), end);
    const std::string& name = record.server_name.empty() ? record.name : record.server_name;
    if (!name.empty()) what += fmt::format(" ({})", name);
    Use use;
    use.add(record.protocol, record.remote.port);
    Target target = target_of(record);
    if (is_rule_target(name)) target = {false, name, {}};
    rules = rules_for(target_text(target), use);
  }
  const bool by_policy = record.reason == "policy" && !rules.empty();
  const RefusedKey key{what, by_policy ? rules.front() : std::string(), plain(record.reason)};
  if (refused_.size() >= kMostRefusals && !refused_.contains(key)) {
    ++unlisted_;
    return;
  }
  Refused& refused = refused_[key];
  ++refused.count;
  refused.audited = refused.audited || record.kind == Kind::audited;
}

void Suggestion::add(const ReadRecord& record) {
  if (first_time_.empty()) first_time_ = record.time;
  last_time_ = record.time;
  if (record.kind == Kind::dropped) {
    dropped_ += record.count;
    return;
  }
  if (record.others) {
    ++others_;
    return;
  }
  const auto open = open_.find(record.id);
  if (record.kind == Kind::refused || record.kind == Kind::audited) {
    if (record.inbound) return;
    refuse(record);
    if (record.kind == Kind::audited && !record.question && open != open_.end()) open->second.audited = true;
    return;
  }
  if (record.kind == Kind::opened && record.inbound) ++inbound_;
  if (record.inbound || record.forwarder) return;
  if (record.kind == Kind::opened) {
    // The end of an earlier one with this number is missing.
    if (open != open_.end() && !open->second.audited) count(open->second.record);
    open_[record.id] = {record, record.audited};
    return;
  }
  // What a policy would have refused is for people to decide about, also where an audit has let it pass.
  const bool audited = record.audited || (open != open_.end() && open->second.audited);
  if (open != open_.end()) open_.erase(open);
  if (record.reason == "policy") {
    refuse(record);
  } else if (!audited) {
    count(record);
  }
}

void Suggestion::finish() {
  for (const auto& [id, open] : open_) {
    if (!open.audited) count(open.record);
  }
  open_.clear();
}

void Suggestion::count(const ReadRecord& record) {
  Seen& seen = seen_[target_of(record)];
  seen.use.add(record.protocol, record.remote.port);
  ++seen.flows;
  ++flows_;
  seen.sent += record.bytes_from_guest;
  seen.received += record.bytes_to_guest;
  if (is_rule_target(record.server_name) && record.server_name != record.name)
    seen.server_names.insert(record.server_name);
}

void Suggestion::append_rules(std::string& out) const {
  for (const auto& [target, seen] : seen_) {
    const std::string text = target_text(target);
    fmt::format_to(std::back_inserter(out), "  # {}: {}, {} sent, {} received\n", text,
                   counted(seen.flows, "flow"), size_text(seen.sent), size_text(seen.received));
    for (const auto& [ports, name] : {std::pair(&seen.use.tcp, "TCP"), std::pair(&seen.use.udp, "UDP")}) {
      if (ports->size() > kMostPorts)
        fmt::format_to(std::back_inserter(out), "  # {} {} ports: all of them are allowed\n", ports->size(),
                       name);
    }
    for (const std::string& rule : rules_for(text, seen.use))
      fmt::format_to(std::back_inserter(out), "  \"{}\",\n", rule);
    for (const std::string& name : seen.server_names) {
      fmt::format_to(std::back_inserter(out),
                     "  # named as server there, which check-sni = true asks about:\n");
      fmt::format_to(std::back_inserter(out), "  # \"allow tcp/{}{}\",\n", name, ports_text(seen.use.tcp));
    }
  }
}

void Suggestion::append_wildcards(std::string& out) const {
  std::map<std::string_view, std::pair<std::size_t, Use>> domains;
  for (const auto& [target, seen] : seen_) {
    const std::string_view domain = target.is_address ? std::string_view{} : domain_of(target.name);
    if (domain.empty()) continue;
    auto& [count, use] = domains[domain];
    ++count;
    use.tcp.insert(seen.use.tcp.begin(), seen.use.tcp.end());
    use.udp.insert(seen.use.udp.begin(), seen.use.udp.end());
    use.icmp = use.icmp || seen.use.icmp;
  }
  for (const auto& [domain, what] : domains) {
    const auto& [count, use] = what;
    if (count < kWildcardFrom) continue;
    fmt::format_to(std::back_inserter(out),
                   "  # In place of the {} names in {} above; it allows every other name there as well:\n",
                   count, domain);
    for (const std::string& rule : rules_for(fmt::format("*.{}", domain), use))
      fmt::format_to(std::back_inserter(out), "  # \"{}\",\n", rule);
  }
}

void Suggestion::append_refusals(std::string& out) const {
  if (refused_.empty()) return;
  out += "  # Not allowed:\n";
  for (const auto& [key, refused] : refused_) {
    const auto& [what, rule, reason] = key;
    fmt::format_to(std::back_inserter(out), "  # {} {}: {} ({})\n",
                   refused.audited ? "would be refused" : "refused", counted(refused.count, "time"), what,
                   reason);
    if (!rule.empty()) fmt::format_to(std::back_inserter(out), "  # \"{}\",\n", rule);
  }
  if (unlisted_ > 0) fmt::format_to(std::back_inserter(out), "  # and {} more of other targets\n", unlisted_);
}

std::string Suggestion::text(std::string_view log, const ReadSummary& summary) const {
  std::string out = fmt::format("# Suggested by slirp-forwarder policy suggest from {}:\n", plain(log));
  fmt::format_to(
      std::back_inserter(out), "# {} to {}, {} in {}.\n", counted(flows_, "flow"),
      counted(seen_.size(), "target"), counted(summary.records, "record"),
      first_time_.empty() ? "all" : fmt::format("all, from {} to {}", plain(first_time_), plain(last_time_)));
  if (inbound_ > 0)
    fmt::format_to(std::back_inserter(out), "# {} from outside: no policy asks about those.\n",
                   counted(inbound_, "flow"));
  if (dropped_ > 0)
    fmt::format_to(std::back_inserter(out), "# INCOMPLETE: {} could not be written to the log.\n",
                   counted(dropped_, "record"));
  if (others_ > 0)
    fmt::format_to(std::back_inserter(out),
                   "# INCOMPLETE: {} with too many other ends at once for a record of each.\n",
                   counted(others_, "socket"));
  if (summary.cut) out += "# The log's last line is cut off, and was left out.\n";
  out += "# It allows what was seen and no more: read it, and change it, before it is enforced.\n";
  out += "default = \"deny\"\nrules = [\n";
  append_rules(out);
  append_wildcards(out);
  append_refusals(out);
  out += "]\n";
  return out;
}

}  // namespace

Result<std::string> suggest_policy(std::istream& log, std::string_view name) {
  Suggestion suggestion;
  const auto summary = read_records(log, name, [&](const ReadRecord& record) { suggestion.add(record); });
  if (!summary) return tl::unexpected(summary.error());
  suggestion.finish();
  std::string text = suggestion.text(name, *summary);
  // What is suggested can be used.
  if (const auto parsed = policy::parse_policy_file("the suggested policy", text); !parsed) {
    return fail("{} leads to a policy that cannot be used: {}; cut the log into parts", name,
                parsed.error().message);
  }
  return text;
}

}  // namespace sf::flowlog
