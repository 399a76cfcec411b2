#include "cli/tables.hh"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "cli/printable.hh"

namespace sf::cli {
namespace {

constexpr std::size_t kMaxTarget = 100;
constexpr std::size_t kMaxPortsShown = 3;

class Table {
 public:
  enum class Align : std::uint8_t { left, right };
  struct Column {
    std::string name;
    Align align = Align::left;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // One cell per column; made printable here, so that nothing is forgotten.
  void add(std::vector<std::string> cells) {
    for (std::string& cell : cells) cell = printable(cell);
    rows_.push_back(std::move(cells));
  }
  [[nodiscard]] std::string text() const {
    if (rows_.empty()) return {};
    std::vector<std::size_t> widths;
    std::vector<std::string> header;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      header.push_back(columns_[i].name);
      widths.push_back(width(columns_[i].name));
      for (const auto& row : rows_) widths[i] = std::max(widths[i], width(row[i]));
    }
    std::string out = line(header, widths);
    for (const auto& row : rows_) out += line(row, widths);
    return out;
  }

 private:
  [[nodiscard]] std::string line(const std::vector<std::string>& cells,
                                 const std::vector<std::size_t>& widths) const {
    std::string out;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const std::string padding(widths[i] - width(cells[i]), ' ');
      out += columns_[i].align == Align::right ? padding + cells[i] : cells[i] + padding;
      out += "  ";
    }
    out.erase(out.find_last_not_of(' ') + 1);
    return out + "\n";
  }

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

std::string host_text(std::string_view address, std::string_view port) {
  if (address.find(':') != std::string_view::npos) return fmt::format("[{}]:{}", address, port);
  return fmt::format("{}:{}", address.empty() ? "*" : address, port);
}

std::string guest_text(const PortReply& port, std::string_view ports) {
  if (port.loopback) return fmt::format("{} (loopback)", ports);
  return port.guest_addr.empty() ? std::string(ports) : host_text(port.guest_addr, ports);
}

// Neighbours that were published as a range, as one again.
bool continues(const PortReply& before, const PortReply& port) {
  return port.proto == before.proto && port.host_addr == before.host_addr &&
         port.guest_addr == before.guest_addr && port.loopback == before.loopback &&
         port.host_port == before.host_port + 1 && port.guest_port == before.guest_port + 1;
}

std::string range_text(std::uint16_t first, std::uint16_t last) {
  return first == last ? std::to_string(first) : fmt::format("{}-{}", first, last);
}

std::string ports_summary(const std::vector<PortReply>& ports) {
  std::string out;
  std::size_t ranges = 0;
  std::size_t shown = 0;
  for (std::size_t first = 0; first < ports.size();) {
    std::size_t last = first;
    while (last + 1 < ports.size() && continues(ports[last], ports[last + 1])) ++last;
    if (ranges++ < kMaxPortsShown) {
      const std::string outside = range_text(ports[first].host_port, ports[last].host_port);
      const std::string inside = range_text(ports[first].guest_port, ports[last].guest_port);
      const std::string host =
          ports[first].host_addr.empty() ? outside : host_text(ports[first].host_addr, outside);
      out += fmt::format("{}{}/{}:{}", out.empty() ? "" : ", ", ports[first].proto, host,
                         guest_text(ports[first], inside));
      shown += last - first + 1;
    }
    first = last + 1;
  }
  if (shown < ports.size()) out += fmt::format(" and {} more", ports.size() - shown);
  return out.empty() ? "-" : out;
}

std::string end_text(std::string_view address, std::uint16_t port) {
  return address.empty() ? "*" : host_text(address, std::to_string(port));
}

std::string rtt_text(const std::optional<std::uint64_t>& rtt) {
  return rtt ? human_rtt(*rtt) : "-";
}

std::string rate_text(const std::optional<std::uint64_t>& rate) {
  return rate ? human_size(*rate) + "/s" : "-";
}

}  // namespace

std::string human_size(std::uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  constexpr std::array<std::string_view, 6> kUnits{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto size = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  // What would be shown as 1024.0 is 1.0 of the next.
  while (size >= 1023.95 && unit + 1 < kUnits.size()) {
    size /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", size, kUnits[unit]);
}

std::string human_uptime(std::uint64_t seconds) {
  const std::uint64_t minutes = seconds / 60;
  const std::uint64_t hours = minutes / 60;
  if (hours >= 24) return fmt::format("{}d{:02}h", hours / 24, hours % 24);
  if (hours > 0) return fmt::format("{}h{:02}m", hours, minutes % 60);
  if (minutes > 0) return fmt::format("{}m{:02}s", minutes, seconds % 60);
  return fmt::format("{}s", seconds);
}

std::string human_rtt(std::uint64_t microseconds) {
  if (microseconds < 1000) return fmt::format("{}us", microseconds);
  const auto us = static_cast<double>(microseconds);
  return us < 999'950 ? fmt::format("{:.1f}ms", us / 1e3) : fmt::format("{:.1f}s", us / 1e6);
}

std::string instances_table(const std::vector<ListedInstance>& instances) {
  using Align = Table::Align;
  Table table({{"PID"},
               {"UPTIME", Align::right},
               {"GUEST"},
               {"FLOWS", Align::right},
               {"FROM GUEST", Align::right},
               {"TO GUEST", Align::right},
               {"PORTS"},
               {"TARGET"}});
  for (const auto& [pid, socket, info] : instances) {
    table.add({pid, human_uptime(info.uptime_s), info.guest6 ? info.guest4 + " " + *info.guest6 : info.guest4,
               std::to_string(info.flows), human_size(info.bytes_from_guest), human_size(info.bytes_to_guest),
               ports_summary(info.ports), cut(printable(info.target), kMaxTarget)});
  }
  return table.text();
}

std::string ports_table(const std::vector<PortReply>& ports) {
  Table table(
      {{"ID", Table::Align::right}, {"PROTO"}, {"HOST"}, {"GUEST"}, {"ACCEPTED", Table::Align::right}});
  for (const PortReply& port : ports) {
    table.add({std::to_string(port.id), port.proto, host_text(port.host_addr, std::to_string(port.host_port)),
               guest_text(port, std::to_string(port.guest_port)), std::to_string(port.accepted)});
  }
  return table.text();
}

std::string flows_table(const FlowRows& flows) {
  using Align = Table::Align;
  Table table({{"PROTO"},
               {"GUEST"},
               {""},
               {"REMOTE"},
               {"STATE"},
               {"RTT", Align::right},
               {"GUEST RTT", Align::right},
               {"FROM GUEST", Align::right},
               {"TO GUEST", Align::right},
               {"SENT", Align::right},
               {"RECEIVED", Align::right}});
  for (const auto& [flow, rate_from_guest, rate_to_guest] : flows.rows) {
    table.add({flow.protocol, end_text(flow.guest_addr, flow.guest_port), flow.inbound ? "<-" : "->",
               end_text(flow.remote_addr, flow.remote_port), flow.state.empty() ? "-" : flow.state,
               rtt_text(flow.remote_rtt_us), rtt_text(flow.rtt_us), rate_text(rate_from_guest),
               rate_text(rate_to_guest), human_size(flow.bytes_from_guest), human_size(flow.bytes_to_guest)});
  }
  std::string out = table.text();
  if (flows.rows.size() < flows.total) {
    out += fmt::format("{} of {} flows\n", flows.rows.size(), flows.total);
  }
  return out;
}

std::string port_lines(const std::vector<PortReply>& ports) {
  std::string out;
  for (const PortReply& port : ports) out += printable(port.port) + "\n";
  return out;
}

std::string policy_lines(const PolicyReply& policy) {
  if (!policy.active) return "# no policy: everything is allowed\n";
  std::string out;
  for (const std::string& rule : policy.rules) out += printable(rule) + "\n";
  if (policy.audit) out += "# audit: nothing is refused\n";
  if (policy.check_sni) out += "# server names are checked\n";
  out += fmt::format("# refused: {}\n", policy.refusals);
  for (const auto& [target, count] : policy.refused)
    out += fmt::format("# {:>8} {}\n", count, printable(target));
  return out;
}

}  // namespace sf::cli
