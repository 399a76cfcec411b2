// One rule of an egress policy, and its text.
//
//     [tcp|udp|icmp/]TARGET[:PORTS]
//
//     github.com:443                  TCP and UDP port 443 of one name
//     tcp/*.debian.org:80,443         its sub-domains, not debian.org itself
//     192.0.2.0/24                    all ports and echo of a network
//     [2001:db8::1]:22,8000-8010      IPv6 stands in brackets where ports follow it
//     internet                        a group: private, loopback, link-local, metadata, internet
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.hh"
#include "base/result.hh"

namespace sf::policy {

enum class Protocol : std::uint8_t { tcp, udp, icmp };
[[nodiscard]] const char* to_string(Protocol protocol);

enum class Action : std::uint8_t { allow, deny };

struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t last = 65535;
  bool operator==(const PortRange&) const = default;
};

struct Rule {
  enum class Target : std::uint8_t {
    name,      // `name` itself
    wildcard,  // what ends in "." + `name`
    network,   // `prefixes`: one address or network
    group,     // `prefixes`: those of the group that is called `name`
    all,       // everything: --deny-all
  };

  Action action = Action::allow;
  bool tcp = true;
  bool udp = true;
  bool icmp = true;
  Target target = Target::all;
  std::string name;  // lower case, no dot at its end
  std::vector<Prefix> prefixes;
  std::vector<PortRange> ports;  // empty: all

  [[nodiscard]] bool has_name() const { return target == Target::name || target == Target::wildcard; }
  // It says nothing about some of the ports or protocols.
  [[nodiscard]] bool is_partial() const { return !tcp || !udp || !icmp || !ports.empty(); }
  // For people: what parse_rule() takes, "allow " or "deny " before it.
  [[nodiscard]] std::string to_string() const;
};

inline constexpr std::size_t kMaxRules = 100000;

struct RuleError {
  std::size_t column = 0;  // from 1, within the text
  std::string message;     // "expected ..., not '...'"
};

[[nodiscard]] tl::expected<Rule, RuleError> parse_rule(Action action, std::string_view text);
[[nodiscard]] Rule deny_all();

// Somebody's text in an error of one line: what is not printable ASCII as \x1b, and cut where it is long.
[[nodiscard]] std::string one_line(std::string_view text);
[[nodiscard]] std::string quoted(std::string_view text);  // the same in '...'

// A host name in lower case without a dot at its end; empty where `text` is none. Underscores are taken, as
// DNS has them.
[[nodiscard]] std::string normalized_name(std::string_view text);

// What the groups are made of.
enum class Group : std::uint8_t { private_, loopback, link_local, metadata, internet };
[[nodiscard]] std::vector<Prefix> prefixes_of(Group group);

}  // namespace sf::policy
