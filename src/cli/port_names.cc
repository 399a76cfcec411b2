#include "cli/port_names.hh"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "cli/printable.hh"
#include "control/publish_syntax.hh"

namespace sf::cli {
namespace {

using control::FoundInstance;
using engine::PublishRule;
using engine::Transport;

bool all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

const PortReply* by_id(const std::vector<PortReply>& published, std::string_view word) {
  std::uint64_t id = 0;
  if (!all_digits(word) || std::from_chars(word.data(), word.data() + word.size(), id).ec != std::errc{})
    return nullptr;
  const auto found = std::ranges::find(published, id, &PortReply::id);
  return found == published.end() ? nullptr : &*found;
}

bool same_host_port(const PortReply& port, const PublishRule& rule) {
  return port.proto == (rule.transport == Transport::udp ? "udp" : "tcp") && port.host_port == rule.host_port;
}

// The host's side is enough: it has every address and port once only.
bool matches(const PortReply& port, const PublishRule& rule, bool guest_named) {
  const std::string address = rule.host_address ? rule.host_address->to_string() : std::string();
  return same_host_port(port, rule) && port.host_addr == address &&
         (!guest_named || port.guest_port == rule.guest_port);
}

// As words for port rm, which has no form for the guest's address.
std::string rule_of(const PortReply& port) {
  const bool v6 = port.host_addr.find(':') != std::string::npos;
  const std::string host = port.host_addr.empty() ? std::string()
                           : v6                   ? fmt::format("[{}]:", port.host_addr)
                                                  : port.host_addr + ":";
  return printable(fmt::format("{}/{}{}:{}", port.proto, host, port.host_port, port.guest_port));
}

tl::unexpected<Error> not_published(const std::vector<PortReply>& published, const PublishRule& rule,
                                    std::string_view word) {
  const auto like =
      std::ranges::find_if(published, [&](const PortReply& port) { return same_host_port(port, rule); });
  if (like != published.end()) {
    return fail("{} is not published, but {} is; nothing was removed", printable(word), rule_of(*like));
  }
  return fail("{} is not published; nothing was removed (slirp-forwarder port ls shows what is)",
              printable(word));
}

Result<std::vector<const PortReply*>> find_word(const std::vector<PortReply>& published,
                                                const std::string& word) {
  const PortReply* named = by_id(published, word);
  const auto rules = control::parse_publish(word);
  if (!rules && named != nullptr) return std::vector{named};
  if (!rules) return tl::unexpected(rules.error());
  const bool guest_named = control::names_guest_port(word);
  std::vector<const PortReply*> found;
  for (const PublishRule& rule : *rules) {
    const auto port = std::ranges::find_if(
        published, [&](const PortReply& one) { return matches(one, rule, guest_named); });
    if (port != published.end()) {
      found.push_back(&*port);
    } else if (named == nullptr) {
      return not_published(published, rule, rules->size() == 1 ? word : control::format_publish(rule));
    }
  }
  if (named == nullptr || (!found.empty() && found[0] == named)) return found;
  if (found.empty()) return std::vector{named};
  return fail("{} is the id of {} as well as the port of {}: say which by its rule; nothing was removed",
              word, rule_of(*named), rule_of(*found[0]));
}

constexpr std::string_view kShows = "slirp-forwarder ls shows those that are";

// The first few pids.
std::string some_of(const std::vector<FoundInstance>& instances) {
  constexpr std::size_t kShown = 5;
  std::vector<std::string_view> pids;
  for (const FoundInstance& one : instances) {
    if (pids.size() < kShown) pids.push_back(one.pid);
  }
  const std::string more =
      instances.size() > kShown ? fmt::format(" and {} more", instances.size() - kShown) : std::string();
  return fmt::format("{}{}", fmt::join(pids, ", "), more);
}

}  // namespace

Result<std::vector<PortReply>> find_ports(const std::vector<PortReply>& published,
                                          const std::vector<std::string>& words) {
  std::vector<PortReply> all;
  for (const std::string& word : words) {
    const auto found = find_word(published, word);
    if (!found) return tl::unexpected(found.error());
    for (const PortReply* port : *found) {
      if (std::ranges::find(all, port->id, &PortReply::id) == all.end()) all.push_back(*port);
    }
  }
  return all;
}

Result<FoundInstance> choose_instance(const std::vector<FoundInstance>& running,
                                      const std::optional<std::string>& name) {
  if (!name) {
    if (running.size() == 1) return running[0];
    if (running.empty())
      return fail("no instance is running; start one, or name the socket of one by its path");
    return fail("{} instances are running: {}; say which by its pid", running.size(), some_of(running));
  }
  if (name->find('/') != std::string::npos) return FoundInstance{*name, *name};
  if (const auto exact = std::ranges::find(running, *name, &FoundInstance::pid); exact != running.end()) {
    return *exact;
  }
  std::vector<FoundInstance> matching;
  if (!name->empty()) {
    std::ranges::copy_if(running, std::back_inserter(matching),
                         [&](const FoundInstance& one) { return one.pid.starts_with(*name); });
  }
  if (matching.size() == 1) return matching[0];
  if (matching.size() > 1) {
    return fail("the pids of {} instances begin with {}: {}; give more of the one you mean", matching.size(),
                *name, some_of(matching));
  }
  if (all_digits(*name)) return fail("no instance has the pid {}; {}", *name, kShows);
  return fail("'{}': is neither the pid of an instance nor a path with a '/' in it; {}", printable(*name),
              kShows);
}

}  // namespace sf::cli
