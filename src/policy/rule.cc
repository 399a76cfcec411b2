#include "policy/rule.hh"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

namespace sf::policy {
namespace {

constexpr std::string_view kTargets =
    "a name, *.name, an address, a network, or one of private, loopback, link-local, metadata, internet";
constexpr std::size_t kMaxName = 253;
constexpr std::size_t kMaxLabel = 63;

constexpr std::array<std::pair<std::string_view, Group>, 5> kGroups{{{"private", Group::private_},
                                                                     {"loopback", Group::loopback},
                                                                     {"link-local", Group::link_local},
                                                                     {"metadata", Group::metadata},
                                                                     {"internet", Group::internet}}};

// The text that is left, and where it stands.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : rest_(text) {}

  [[nodiscard]] std::string_view rest() const { return rest_; }
  void advance(std::size_t count) {
    rest_.remove_prefix(count);
    column_ += count;
  }
  bool skip(std::string_view prefix) {
    if (!rest_.starts_with(prefix)) return false;
    advance(prefix.size());
    return true;
  }
  [[nodiscard]] tl::unexpected<RuleError> expected(std::string_view what) const {
    const std::string got = rest_.empty() ? "the end" : quoted(rest_);
    return tl::unexpected(RuleError{column_, fmt::format("expected {}, not {}", what, got)});
  }

 private:
  std::string_view rest_;
  std::size_t column_ = 1;
};

constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::optional<std::uint16_t> take_port(Cursor& in) {
  std::uint32_t port = 0;
  const std::string_view text = in.rest();
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || port == 0 || port > 65535) return std::nullopt;
  in.advance(static_cast<std::size_t>(end - text.data()));
  return static_cast<std::uint16_t>(port);
}

tl::expected<void, RuleError> take_ports(Cursor& in, Rule& rule) {
  do {
    const Cursor at = in;
    const auto first = take_port(in);
    if (!first) return at.expected("a port from 1 to 65535");
    PortRange range{*first, *first};
    if (in.skip("-")) {
      const Cursor end = in;
      const auto last = take_port(in);
      if (!last) return end.expected("a port from 1 to 65535");
      if (*last < *first) return end.expected(fmt::format("the range's last port, {} or more", *first));
      range.last = *last;
    }
    rule.ports.push_back(range);
  } while (in.skip(","));
  if (!in.rest().empty()) return in.expected("',', '-' or the end after a port");
  return {};
}

void take_protocol(Cursor& in, Rule& rule) {
  if (in.skip("tcp/")) {
    rule.udp = rule.icmp = false;
  } else if (in.skip("udp/")) {
    rule.tcp = rule.icmp = false;
  } else if (in.skip("icmp/")) {
    rule.tcp = rule.udp = false;
  }
}

bool take_network(std::string_view text, Rule& rule) {
  rule.target = Rule::Target::network;
  if (const auto address = Address::parse(text)) {
    rule.prefixes = {{*address, static_cast<std::uint8_t>(address->is_v4() ? 32 : 128)}};
    return true;
  }
  const auto prefix = Prefix::parse(text);
  if (prefix) rule.prefixes = {*prefix};
  return prefix.has_value();
}

bool take_group(std::string_view text, Rule& rule) {
  const auto found = std::ranges::find(kGroups, text, &std::pair<std::string_view, Group>::first);
  if (found == kGroups.end()) return false;
  rule.target = Rule::Target::group;
  rule.name = text;
  rule.prefixes = prefixes_of(found->second);
  return true;
}

// What there is to say about a target that is none.
std::string_view explain(std::string_view text) {
  if (text == "*") return "a name behind '*.' (for everything that is public: internet)";
  if (std::ranges::any_of(text, [](char c) { return (static_cast<unsigned char>(c) & 0x80U) != 0; })) {
    return "a name in ASCII (xn--...)";
  }
  if (text.find('/') != std::string_view::npos) {
    return "tcp/, udp/ or icmp/ before the target, or a network without host bits such as 192.0.2.0/24";
  }
  return kTargets;
}

tl::expected<void, RuleError> take_target(Cursor& in, Rule& rule) {
  const Cursor start = in;
  if (in.skip("[")) {
    const std::size_t end = in.rest().find(']');
    if (end == std::string_view::npos) return start.expected("']' behind an IPv6 address");
    if (!take_network(in.rest().substr(0, end), rule) || rule.prefixes[0].base.is_v4()) {
      return in.expected("an IPv6 address or network in the brackets");
    }
    in.advance(end + 1);
    return {};
  }
  // IPv6 without brackets has no ports: all of its colons are its own.
  if (std::ranges::count(in.rest(), ':') > 1) {
    if (!take_network(in.rest(), rule))
      return in.expected("an IPv6 address (in brackets where ports follow)");
    in.advance(in.rest().size());
    return {};
  }
  const std::string_view text = in.rest().substr(0, in.rest().find(':'));
  if (text.empty()) return in.expected(kTargets);
  if (!take_group(text, rule) && !take_network(text, rule)) {
    const bool wildcard = text.starts_with("*.");
    rule.target = wildcard ? Rule::Target::wildcard : Rule::Target::name;
    rule.name = normalized_name(wildcard ? text.substr(2) : text);
    if (rule.name.empty()) return start.expected(explain(text));
  }
  in.advance(text.size());
  return {};
}

std::string protocol_text(const Rule& rule) {
  if (rule.tcp && !rule.udp) return "tcp/";
  if (rule.udp && !rule.tcp) return "udp/";
  return rule.icmp && !rule.tcp ? "icmp/" : "";
}

std::string target_text(const Rule& rule) {
  switch (rule.target) {
    case Rule::Target::name:
    case Rule::Target::group:
      return rule.name;
    case Rule::Target::wildcard:
      return "*." + rule.name;
    case Rule::Target::all:
      return "all";
    case Rule::Target::network:
      break;
  }
  const Prefix& prefix = rule.prefixes[0];
  const bool single = prefix.length == (prefix.base.is_v4() ? 32 : 128);
  const std::string text = single ? prefix.base.to_string() : prefix.to_string();
  return prefix.base.is_v4() ? text : fmt::format("[{}]", text);
}

}  // namespace

const char* to_string(Protocol protocol) {
  switch (protocol) {
    case Protocol::tcp:
      return "tcp";
    case Protocol::udp:
      return "udp";
    case Protocol::icmp:
      return "icmp";
  }
  return "";
}

std::string one_line(std::string_view text) {
  constexpr std::size_t kMost = 200;
  std::string out;
  for (const char c : text.substr(0, kMost)) {
    if (c >= ' ' && c <= '~') {
      out += c;
    } else {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  return text.size() > kMost ? out + "..." : out;
}

std::string quoted(std::string_view text) {
  return fmt::format("'{}'", one_line(text));
}

std::string normalized_name(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.empty() || text.size() > kMaxName) return {};
  std::string name(text);
  std::size_t label = 0;
  bool digits_only = true;  // of the last label: then it is an address that went wrong
  for (char& c : name) {
    if (c == '.') {
      if (label == 0) return {};
      label = 0;
      digits_only = true;
      continue;
    }
    c = lower(c);
    const bool digit = c >= '0' && c <= '9';
    const bool letter = c >= 'a' && c <= 'z';
    if (!digit && !letter && c != '-' && c != '_') return {};
    if (!digit) digits_only = false;
    if (++label > kMaxLabel) return {};
  }
  return label == 0 || digits_only ? std::string() : name;
}

tl::expected<Rule, RuleError> parse_rule(Action action, std::string_view text) {
  Rule rule;
  rule.action = action;
  Cursor in(text);
  take_protocol(in, rule);
  if (auto taken = take_target(in, rule); !taken) return tl::unexpected(taken.error());
  if (in.rest().empty()) return rule;
  if (rule.icmp && !rule.tcp && !rule.udp) return in.expected("the end: icmp has no ports");
  if (!in.skip(":")) return in.expected("':' and ports, or the end");
  if (auto taken = take_ports(in, rule); !taken) return tl::unexpected(taken.error());
  rule.icmp = false;
  return rule;
}

Rule deny_all() {
  Rule rule;
  rule.action = Action::deny;
  rule.target = Rule::Target::all;
  rule.prefixes = {{Address::v4(0), 0}, {Address{}, 0}};
  return rule;
}

std::string Rule::to_string() const {
  std::string text = action == Action::allow ? "allow " : "deny ";
  text += protocol_text(*this) + target_text(*this);
  char before = ':';
  for (const PortRange& range : ports) {
    text += before + std::to_string(range.first);
    if (range.last != range.first) text += "-" + std::to_string(range.last);
    before = ',';
  }
  return text;
}

}  // namespace sf::policy
