#include "cli/option_checks.hh"

#include <fmt/format.h>

#include <algorithm>

#include "cli/values.hh"

namespace sf::cli {

Result<void> parse_flow_log(std::string_view text, Config& config) {
  const bool marked = text.starts_with("fd:");
  const std::string_view number = marked ? text.substr(3) : text;
  if (!marked && (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos)) {
    auto file = any_text("--flow-log", text);
    if (!file) return tl::unexpected(file.error());
    config.flow_log_file = *std::move(file);
    config.flow_log_fd = -1;
    return {};
  }
  const auto fd = parse_descriptor("--flow-log", number);
  if (!fd) return tl::unexpected(fd.error());
  config.flow_log_fd = *fd;
  config.flow_log_file.clear();
  return {};
}

Result<void> take_target(Config& config, std::vector<std::string> left) {
  const bool attach = config.command == Command::attach;
  const std::string_view form = attach ? "attach PID|PATH [TAPNAME]" : "PATH";
  if (left.empty())
    return fail("{} is missing; the form is: slirp-forwarder [options] {}", attach ? "PID or PATH" : "PATH",
                form);
  if (left.size() > (attach ? 2U : 1U)) {
    return fail("'{}': is one word too many; the form is: slirp-forwarder [options] {}", left.back(), form);
  }
  if (left[0].empty()) return fail("'': is not a path; the form is: slirp-forwarder [options] {}", form);
  config.target = left[0];
  if (left.size() == 2) {
    auto name = parse_interface("TAPNAME", left[1]);
    if (!name) return tl::unexpected(name.error());
    config.tap_name = *name;
  }
  return {};
}

Result<void> check_together(const Config& config) {
  if (config.ipv6 && config.mtu < kMinMtu6) {
    return fail("--mtu '{}': IPv6 needs {} or more (RFC 8200); raise it, or add --no-ipv6", config.mtu,
                kMinMtu6);
  }
  if (!config.dns && !config.dns_servers.empty()) {
    return fail("--dns and --no-dns: contradict each other; leave one of them out");
  }
  const auto named = [](const PolicyItem& item) { return item.rule.has_name(); };
  if (!config.dns && std::ranges::any_of(config.policy.items, named)) {
    return fail(
        "--allow or --deny with a name, and --no-dns: names are enforced by the DNS forwarder; leave "
        "--no-dns out");
  }
  if (config.flow_log_fd >= 0 &&
      (config.flow_log_fd == config.ready_fd || config.flow_log_fd == config.exit_fd)) {
    return fail("--flow-log {}: is the descriptor of --ready-fd or --exit-fd as well; open two",
                config.flow_log_fd);
  }
  if (config.ready_fd >= 0 && config.ready_fd == config.exit_fd) {
    return fail("--ready-fd and --exit-fd: cannot be the same descriptor {}; open two", config.ready_fd);
  }
  return {};
}

}  // namespace sf::cli
