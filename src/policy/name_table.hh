// The names of a policy: from a host name to the rules about it and about all domains that it is in.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "policy/first_match.hh"

namespace sf::policy {

// What a table says about one name; of use as long as the table is.
struct NameMatch {
  static constexpr std::uint32_t kNone = 0xffffffffU;
  std::uint32_t exact = kNone;
  std::uint32_t wildcard = kNone;  // of the longest suffix; shorter ones are its ancestors

  [[nodiscard]] bool any() const { return exact != kNone || wildcard != kNone; }
};

class NameTable {
 public:
  NameTable() = default;
  explicit NameTable(std::span<const Rule> rules);

  // `name` is normalized_name() of something.
  [[nodiscard]] NameMatch match(std::string_view name) const;
  // The first rule about a name and port, if it comes before `best`; else `best`.
  [[nodiscard]] RuleIndex find(const NameMatch& match, Protocol protocol, std::uint16_t port,
                               RuleIndex best) const;
  [[nodiscard]] RuleIndex first_allow(const NameMatch& match) const;
  [[nodiscard]] RuleIndex first_full_deny(const NameMatch& match) const;
  // A rule with this very name allows something, and comes first.
  [[nodiscard]] bool allows_exactly(const NameMatch& match) const;
  [[nodiscard]] bool empty() const { return nodes_.empty(); }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  using Index = std::unordered_map<std::string, std::uint32_t, Hash, std::equal_to<>>;
  struct Node {
    FirstMatch match;
    std::uint32_t parent = NameMatch::kNone;
  };

  [[nodiscard]] std::uint32_t longest_suffix(std::string_view name) const;
  template <typename Visitor>
  void for_each(const NameMatch& match, Visitor&& visit) const {
    if (match.exact != NameMatch::kNone) visit(nodes_[match.exact].match);
    for (std::uint32_t at = match.wildcard; at != NameMatch::kNone; at = nodes_[at].parent)
      visit(nodes_[at].match);
  }

  std::vector<Node> nodes_;
  Index exact_;
  Index suffixes_;
};

}  // namespace sf::policy
