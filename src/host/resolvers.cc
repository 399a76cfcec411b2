#include "host/resolvers.hh"

#include <algorithm>

namespace sf::host {
namespace {

constexpr std::string_view kBlank = " \t\r\f\v";
constexpr std::uint16_t kDnsPort = 53;
constexpr std::size_t kMaxName = 253;  // RFC 1035 section 2.3.4, as text
constexpr std::size_t kMaxLabel = 63;

// Cuts the next line off `text`.
std::string_view next_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

// Cuts the next word off `line`; empty at its end.
std::string_view next_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
  const std::size_t end = std::min(line.find_first_of(kBlank), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

void add_server(Resolvers& out, std::string_view text) {
  // glibc ends the address at a comment as well as at white space.
  const auto address = Address::parse(text.substr(0, text.find_first_of("#;")));
  if (!address || out.servers.size() == Resolvers::kMaxServers) return;
  // A link-local server is reached only through an interface, which this text cannot carry without a zone.
  if (address->is_v6() && address->is_link_local()) return;
  if (address->is_multicast() || address->is_broadcast()) return;
  // An unspecified address means this host; replies would come from the loopback address.
  Address server = *address;
  if (server.is_unspecified()) {
    server = server.is_v4() ? Address::v4(127, 0, 0, 1) : Address().plus(1);
  }
  out.servers.push_back({server, kDnsPort});
}

// Names end up in DHCP options and router advertisements, which have no way to say a malformed one.
bool is_domain_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxName) return false;
  std::size_t label = 0;
  for (const char c : name) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
      continue;
    }
    if (c <= ' ' || c > '~' || ++label > kMaxLabel) return false;
  }
  return label > 0;
}

void set_search(Resolvers& out, std::string_view names, bool first_only) {
  out.search.clear();
  for (std::string_view name = next_word(names); !name.empty(); name = next_word(names)) {
    if (name.ends_with('.')) name.remove_suffix(1);
    if (is_domain_name(name) && out.search.size() < Resolvers::kMaxSearch) out.search.emplace_back(name);
    if (first_only) break;
  }
}

}  // namespace

Resolvers parse_resolv_conf(std::string_view text) {
  Resolvers out;
  while (!text.empty()) {
    std::string_view line = next_line(text);
    // resolv.conf(5): the keyword starts the line. Comments do not match any.
    if (line.empty() || kBlank.find(line[0]) != std::string_view::npos) continue;
    const std::string_view keyword = next_word(line);
    if (keyword == "nameserver") {
      add_server(out, next_word(line));
    } else if (keyword == "search" || keyword == "domain") {
      set_search(out, line, keyword == "domain");
    }
  }
  if (out.servers.empty()) out.servers.push_back({Address::v4(127, 0, 0, 1), kDnsPort});
  return out;
}

}  // namespace sf::host
