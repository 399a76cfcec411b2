#include "policy/file.hh"

#include <array>

// What the library takes for granted is not always so, and it has an error for it: a table header that begins
// with what no key may ("[."). It would abort there, or with NDEBUG have the compiler take it for impossible.
#undef NDEBUG
#define TOML_ASSERT(expression) static_cast<void>(0)
#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
#define TOML_ENABLE_WINDOWS_COMPAT 0
#include <toml++/toml.h>

namespace sf::policy {
namespace {

constexpr std::uint32_t kMaxTtlFloor = 3600;

// Where something stands, for an Error.
class Reader {
 public:
  Reader(std::string_view file, const toml::table& table) : file_(file), table_(table) {}

  [[nodiscard]] tl::unexpected<Error> wrong(const toml::source_region& at, std::size_t column,
                                            std::string_view what) const {
    return fail("{}:{}:{}: {}", file_, at.begin.line, at.begin.column + column, what);
  }
  [[nodiscard]] Result<void> only_known() const {
    constexpr std::array<std::string_view, 6> kKnown{"default", "rules",       "check-sni",
                                                     "audit",   "dns-refusal", "ttl-floor"};
    for (const auto& [key, value] : table_) {
      if (std::find(kKnown.begin(), kKnown.end(), key.str()) != kKnown.end()) continue;
      return wrong(key.source(), 0,
                   fmt::format("expected default, rules, check-sni, audit, dns-refusal or ttl-floor, not {}",
                               quoted(key.str())));
    }
    return {};
  }
  [[nodiscard]] Result<std::optional<bool>> flag(std::string_view key) const {
    const toml::node* node = table_.get(key);
    if (node == nullptr) return std::optional<bool>();
    if (const auto value = node->value_exact<bool>()) return std::optional<bool>(*value);
    return wrong(node->source(), 0, fmt::format("expected true or false for {}", key));
  }
  // One of two words; true for `yes`.
  [[nodiscard]] Result<std::optional<bool>> choice(std::string_view key, std::string_view yes,
                                                   std::string_view no) const {
    const toml::node* node = table_.get(key);
    if (node == nullptr) return std::optional<bool>();
    const auto value = node->value_exact<std::string_view>();
    if (value == yes) return std::optional<bool>(true);
    if (value == no) return std::optional<bool>(false);
    return wrong(node->source(), 0, fmt::format("expected \"{}\" or \"{}\" for {}", yes, no, key));
  }
  [[nodiscard]] Result<std::optional<std::uint32_t>> seconds(std::string_view key) const {
    const toml::node* node = table_.get(key);
    if (node == nullptr) return std::optional<std::uint32_t>();
    const auto value = node->value_exact<std::int64_t>();
    if (value && *value >= 1 && *value <= kMaxTtlFloor) {
      return std::optional<std::uint32_t>(static_cast<std::uint32_t>(*value));
    }
    return wrong(node->source(), 0,
                 fmt::format("expected a number of seconds from 1 to {} for {}", kMaxTtlFloor, key));
  }
  [[nodiscard]] Result<std::vector<Rule>> rules() const;

 private:
  [[nodiscard]] Result<Rule> rule(const toml::node& node) const;

  std::string_view file_;
  const toml::table& table_;
};

Result<Rule> Reader::rule(const toml::node& node) const {
  constexpr std::string_view kForm = "expected \"allow RULE\" or \"deny RULE\"";
  const auto value = node.value_exact<std::string_view>();
  if (!value) return wrong(node.source(), 0, kForm);
  std::string_view text = *value;
  const Action action = text.starts_with("allow ") ? Action::allow : Action::deny;
  if (action == Action::deny && !text.starts_with("deny ")) {
    return wrong(node.source(), 1, fmt::format("{}, not {}", kForm, quoted(text)));
  }
  text.remove_prefix(text.find(' '));
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  auto rule = parse_rule(action, text);
  // Behind the opening quote.
  if (!rule)
    return wrong(node.source(), value->size() - text.size() + rule.error().column, rule.error().message);
  return *std::move(rule);
}

Result<std::vector<Rule>> Reader::rules() const {
  std::vector<Rule> out;
  const toml::node* node = table_.get("rules");
  if (node == nullptr) return out;
  const toml::array* list = node->as_array();
  if (list == nullptr) return wrong(node->source(), 0, "expected a list of rules in brackets");
  if (list->size() > kMaxRules)
    return wrong(node->source(), 0, fmt::format("expected {} rules at most", kMaxRules));
  for (const toml::node& one : *list) {
    auto parsed = rule(one);
    if (!parsed) return tl::unexpected(parsed.error());
    out.push_back(*std::move(parsed));
  }
  return out;
}

Result<PolicyFile> read(const Reader& reader) {
  PolicyFile out;
  if (auto known = reader.only_known(); !known) return tl::unexpected(known.error());
  auto rules = reader.rules();
  if (!rules) return tl::unexpected(rules.error());
  const auto deny = reader.choice("default", "deny", "allow");
  if (!deny) return tl::unexpected(deny.error());
  if (!*deny)
    return reader.wrong({{1, 1}, {1, 1}, nullptr}, 0,
                        "expected a line default = \"deny\" or default = \"allow\" in the file");
  const auto sni = reader.flag("check-sni");
  if (!sni) return tl::unexpected(sni.error());
  const auto audit = reader.flag("audit");
  if (!audit) return tl::unexpected(audit.error());
  const auto refused = reader.choice("dns-refusal", "refused", "nxdomain");
  if (!refused) return tl::unexpected(refused.error());
  const auto floor = reader.seconds("ttl-floor");
  if (!floor) return tl::unexpected(floor.error());
  out.rules = *std::move(rules);
  if (**deny) out.rules.push_back(deny_all());
  out.check_sni = *sni;
  out.audit = *audit;
  out.refuse_with_refused = *refused;
  out.ttl_floor = *floor;
  return out;
}

// A character that is not ASCII becomes one '?': it may stand in comments, where nobody looks, and nowhere
// else does one mean anything. The TOML library is not safe with all of them (toml++ 3.1, is_unicode_letter).
std::string ascii(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) out += c;
    if (byte >= 0xc0) out += '?';
  }
  return out;
}

}  // namespace

Result<PolicyFile> parse_policy_file(std::string_view file, std::string_view text) {
  if (text.size() > kMaxPolicyFile) {
    return fail("{}:1:1: expected {} bytes at most, not {}", file, kMaxPolicyFile, text.size());
  }
  const toml::parse_result parsed = toml::parse(ascii(text));
  if (!parsed) {
    const toml::source_position at = parsed.error().source().begin;
    return fail("{}:{}:{}: {}", file, at.line, at.column, one_line(parsed.error().description()));
  }
  return read(Reader(file, parsed.table()));
}

}  // namespace sf::policy
