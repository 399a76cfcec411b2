// A compiled egress policy: immutable, so that any number of threads may look things up in it.
//
// Theory of operation. Rules stand in one order, and the first that is about a flow decides. About a flow are
// rules about its address, and rules about the names that the guest has resolved to that address
// (learned_names.hh). So a lookup asks two tables for the smallest rule index each, and takes the smaller
// one. What no rule is about is allowed; a policy that is to refuse the rest ends with deny_all().
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/address_table.hh"
#include "policy/name_table.hh"

namespace sf::policy {

struct Settings {
  bool audit = false;                // what would be refused is logged, and passes
  bool check_sni = false;            // server names in TLS and HTTP are to be allowed too
  bool refuse_with_refused = false;  // names that are not allowed get REFUSED instead of NXDOMAIN
  std::uint32_t ttl_floor = 60;      // seconds that an address stays open at least
  bool operator==(const Settings&) const = default;
};

// Addresses of the gateway that lead to the host's loopback, where they do: rules that name them mean that.
struct LoopbackAlias {
  Address gateway;
  Address loopback;
};

struct Verdict {
  bool allowed = true;
  RuleIndex rule = kNoRule;  // kNoRule: none is about it
};

class Policy {
 public:
  Policy(std::vector<Rule> rules, const Settings& settings, std::span<const LoopbackAlias> aliases = {});

  // A new flow to `address` as the host's sockets see it; `names` are those that it is known by.
  [[nodiscard]] Verdict decide(Protocol protocol, const Address& address, std::uint16_t port,
                               std::span<const NameMatch> names) const;
  // A question for the address, or whatever else, of a name. Every rule for all addresses, or for the
  // internet, is about every name.
  [[nodiscard]] bool may_resolve(std::string_view name) const;
  [[nodiscard]] NameMatch match(std::string_view name) const { return names_.match(name); }
  // An address that the name leads to is worth remembering.
  [[nodiscard]] bool opens_addresses(const NameMatch& match) const {
    return names_.first_allow(match) != kNoRule;
  }

  [[nodiscard]] bool has_names() const { return !names_.empty(); }
  [[nodiscard]] const Settings& settings() const { return settings_; }
  [[nodiscard]] const std::vector<Rule>& rules() const { return rules_; }
  // One rule per line.
  [[nodiscard]] std::string to_string() const;

 private:
  [[nodiscard]] bool is_explicit(RuleIndex index) const;

  std::vector<Rule> rules_;
  Settings settings_;
  AddressTable addresses_;
  NameTable names_;
  FirstMatch everything_;
};

// Addresses at which public resolvers answer over HTTPS; and names of such services, and of what makes
// clients choose them.
[[nodiscard]] bool is_known_resolver(const Address& address);
[[nodiscard]] bool is_known_resolver(std::string_view name);

}  // namespace sf::policy
