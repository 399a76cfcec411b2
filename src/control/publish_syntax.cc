#include "control/publish_syntax.hh"

#include <fmt/format.h>

#include <algorithm>

namespace sf::control {
namespace {

using engine::PublishRule;
using engine::Transport;

constexpr std::string_view kForm = "[tcp|udp/][HOST_ADDR:]HOST_PORT[-END][:GUEST_PORT[-END]]";

// What somebody typed, or sent: fit for one line, whatever it is.
std::string quoted(std::string_view text) {
  constexpr std::size_t kMax = 80;
  std::string out(text.substr(0, kMax));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }, '?');
  return fmt::format("'{}{}'", out, text.size() > kMax ? "..." : "");
}

tl::unexpected<Error> wrong(std::string_view whole, const std::string& what) {
  return fail("cannot publish {}: {}; the form is {}", quoted(whole), what, kForm);
}

struct Range {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  [[nodiscard]] std::uint32_t count() const { return last - first + 1; }
};

std::optional<std::uint32_t> parse_port(std::string_view text) {
  if (text.empty() || text.size() > 5) return std::nullopt;
  std::uint32_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<std::uint32_t>(c - '0');
  }
  if (value > 0xffff) return std::nullopt;
  return value;
}

// `least` is 0 where the host may choose.
Result<Range> parse_range(std::string_view whole, std::string_view text, std::uint32_t least) {
  const std::size_t dash = text.find('-');
  const auto first = parse_port(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_port(text.substr(dash + 1));
  for (const auto& [port, part] :
       {std::pair(first, text.substr(0, dash)), std::pair(last, text.substr(dash + 1))}) {
    if (!port || *port < least) {
      return wrong(whole, fmt::format("{} is not a port from {} to 65535", quoted(part), least));
    }
  }
  if (*first == 0 && dash != std::string_view::npos) {
    return wrong(whole, fmt::format("{}: a range begins at 1; 0 lets the host choose a single port", text));
  }
  if (*last < *first) return wrong(whole, fmt::format("the range {} ends before it begins", text));
  const Range range{*first, *last};
  if (range.count() > kMaxPortsInRange) {
    return wrong(
        whole, fmt::format("the range {} has {} ports, more than {}", text, range.count(), kMaxPortsInRange));
  }
  return range;
}

// Takes "HOST_ADDR:" off the front of `rest`, where it stands there.
Result<std::optional<Address>> take_address(std::string_view whole, std::string_view& rest) {
  std::string_view text;
  if (rest.starts_with('[')) {
    const std::size_t end = rest.find(']');
    if (end == std::string_view::npos) return wrong(whole, "there is no ']' after '['");
    text = rest.substr(1, end - 1);
    rest.remove_prefix(end + 1);
    if (!rest.starts_with(':')) return wrong(whole, "after ']' there has to be ':' and a port");
    if (text.find(':') == std::string_view::npos) {
      return wrong(whole,
                   fmt::format("{} is not an IPv6 address, which alone stands in brackets", quoted(text)));
    }
  } else {
    const std::size_t colon = rest.find(':');
    const auto colons = std::count(rest.begin(), rest.end(), ':');
    if (colons > 2) return wrong(whole, "there are too many ':'; an IPv6 address stands in brackets");
    // Of two parts the first one is an address only if it cannot be a port.
    if (colon == std::string_view::npos) return std::nullopt;
    text = rest.substr(0, colon);
    if (colons == 1 && text.find_first_not_of("0123456789-") == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(colon);
  }
  const auto address = Address::parse(text);
  if (!address) return wrong(whole, fmt::format("{} is not an IP address", quoted(text)));
  if (address->is_multicast() || address->is_broadcast()) {
    return wrong(whole, fmt::format("{} is no address that a socket listens on", quoted(text)));
  }
  rest.remove_prefix(1);
  return address;
}

}  // namespace

Result<std::vector<PublishRule>> parse_publish(std::string_view text) {
  PublishRule rule;
  std::string_view rest = text;
  if (const std::size_t slash = rest.find('/'); slash != std::string_view::npos) {
    const std::string_view transport = rest.substr(0, slash);
    if (transport != "tcp" && transport != "udp") {
      return wrong(text, fmt::format("{} is neither tcp nor udp", quoted(transport)));
    }
    if (transport == "udp") rule.transport = Transport::udp;
    rest.remove_prefix(slash + 1);
  }
  const auto address = take_address(text, rest);
  if (!address) return tl::unexpected(address.error());
  rule.host_address = *address;

  const std::size_t colon = rest.find(':');
  const auto outside = parse_range(text, rest.substr(0, colon), 0);
  if (!outside) return tl::unexpected(outside.error());
  Range inside = *outside;
  if (colon != std::string_view::npos) {
    const auto given = parse_range(text, rest.substr(colon + 1), 1);
    if (!given) return tl::unexpected(given.error());
    inside = *given;
  } else if (outside->first == 0) {
    return wrong(text, "HOST_PORT 0 lets the host choose, and then GUEST_PORT has to be given");
  }
  if (inside.count() != outside->count()) {
    return wrong(text, fmt::format("{} ports of the host's cannot lead to {} of the guest's",
                                   outside->count(), inside.count()));
  }
  std::vector<PublishRule> rules;
  rules.reserve(outside->count());
  for (std::uint32_t i = 0; i < outside->count(); ++i) {
    rule.host_port = static_cast<std::uint16_t>(outside->first + i);
    rule.guest_port = static_cast<std::uint16_t>(inside.first + i);
    rules.push_back(rule);
  }
  return rules;
}

bool names_guest_port(std::string_view text) {
  if (const std::size_t slash = text.find('/'); slash != std::string_view::npos)
    text.remove_prefix(slash + 1);
  static_cast<void>(take_address(text, text));
  return text.find(':') != std::string_view::npos;
}

std::string format_publish(const PublishRule& rule) {
  const std::string host = rule.host_address ? Endpoint{*rule.host_address, rule.host_port}.to_string()
                                             : std::to_string(rule.host_port);
  const std::string guest = rule.guest_address ? Endpoint{*rule.guest_address, rule.guest_port}.to_string()
                                               : std::to_string(rule.guest_port);
  return fmt::format("{}/{}:{}", rule.transport == Transport::udp ? "udp" : "tcp", host, guest);
}

}  // namespace sf::control
