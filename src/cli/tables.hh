// What the commands show people: aligned columns, sizes and times rounded, everything printable.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/flow_rates.hh"
#include "cli/replies.hh"

namespace sf::cli {

// "0 B", "1023 B", "1.0 KiB" up to EiB.
[[nodiscard]] std::string human_size(std::uint64_t bytes);
// "45s", "3m12s", "2h05m", "3d04h".
[[nodiscard]] std::string human_uptime(std::uint64_t seconds);
// "45us", "1.2ms", "3.4s".
[[nodiscard]] std::string human_rtt(std::uint64_t microseconds);

struct ListedInstance {
  std::string pid;
  std::string socket;
  InfoReply info;
};

// Each with a header, and empty where there is nothing to list.
[[nodiscard]] std::string instances_table(const std::vector<ListedInstance>& instances);
// One rule per line, then settings and what was refused as comments.
[[nodiscard]] std::string policy_lines(const PolicyReply& policy);
[[nodiscard]] std::string ports_table(const std::vector<PortReply>& ports);
// With a last line that says how many there are, where not all are shown.
[[nodiscard]] std::string flows_table(const FlowRows& flows);
// One rule per line.
[[nodiscard]] std::string port_lines(const std::vector<PortReply>& ports);

}  // namespace sf::cli
