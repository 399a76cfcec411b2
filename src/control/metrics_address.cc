#include "control/metrics_address.hh"

#include <charconv>
#include <optional>

namespace sf::control {
namespace {

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, port);
  if (text.empty() || error != std::errc{} || end != last) return std::nullopt;
  return port;
}

// Brackets stand around IPv6 and nothing else.
std::optional<Address> parse_host(std::string_view text) {
  const bool brackets = text.size() >= 2 && text.front() == '[' && text.back() == ']';
  const auto address = Address::parse(brackets ? text.substr(1, text.size() - 2) : text);
  if (!address || address->is_v6() != brackets || address->is_multicast() || address->is_broadcast())
    return std::nullopt;
  return address;
}

}  // namespace

std::string MetricsAddress::to_string() const {
  return path.empty() ? at.to_string() : "unix:" + path;
}

Result<MetricsAddress> parse_metrics_address(std::string_view option, std::string_view text) {
  constexpr std::string_view kUnix = "unix:";
  if (text.starts_with(kUnix)) {
    const std::string_view path = text.substr(kUnix.size());
    if (path.empty()) return fail("{} '{}': a path is missing; the form is unix:PATH", option, text);
    return MetricsAddress{std::string(path), {}};
  }
  const std::size_t colon = text.rfind(':');
  const bool alone = colon == std::string_view::npos;
  const auto port = parse_port(alone ? text : text.substr(colon + 1));
  const auto address = alone ? Address::v4(127, 0, 0, 1) : parse_host(text.substr(0, colon));
  if (!port || !address) {
    return fail(
        "{} '{}': must be PORT (on 127.0.0.1), ADDRESS:PORT with IPv6 in brackets, such as [::1]:9100, or "
        "unix:PATH",
        option, text);
  }
  return MetricsAddress{{}, {*address, *port}};
}

}  // namespace sf::control
