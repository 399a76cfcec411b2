#include "cli/top_flows.hh"

#include <fmt/format.h>

#include <algorithm>

#include "cli/printable.hh"
#include "cli/sparkline.hh"
#include "cli/tables.hh"

namespace sf::cli {
namespace {

using Sort = TopFlows::Sort;

constexpr std::size_t kMaxAbout = 200;
constexpr std::size_t kLeastWidth = 12;  // of an end of a flow, on a narrow screen

const char* name_of(Sort sort) {
  switch (sort) {
    case Sort::rate:
      return "rate";
    case Sort::bytes:
      return "bytes";
    case Sort::rtt:
      return "round trip";
    case Sort::remote:
      return "remote";
    case Sort::guest:
      return "guest";
    case Sort::state:
    case Sort::count_:
      break;
  }
  return "state";
}

std::string end_of(std::string_view address, std::uint16_t port) {
  if (address.empty()) return "*";
  const bool v6 = address.find(':') != std::string_view::npos;
  return fmt::format(fmt::runtime(v6 ? "[{}]:{}" : "{}:{}"), address, port);
}

std::string remote_of(const FlowReply& flow) {
  return flow.name.empty() ? end_of(flow.remote_addr, flow.remote_port)
                           : fmt::format("{}:{}", flow.name, flow.remote_port);
}

std::string rate_text(const std::optional<std::uint64_t>& rate) {
  return rate ? human_size(*rate) + "/s" : "-";
}

std::uint64_t rate_of(const FlowRow& row) {
  return row.rate_from_guest.value_or(0) + row.rate_to_guest.value_or(0);
}

std::uint64_t bytes_of(const FlowRow& row) {
  return row.flow.bytes_from_guest + row.flow.bytes_to_guest;
}

// What is larger or earlier stands above.
bool stands_above(Sort sort, const FlowRow& a, const FlowRow& b) {
  switch (sort) {
    case Sort::rate:
      return rate_of(a) != rate_of(b) ? rate_of(a) > rate_of(b) : bytes_of(a) > bytes_of(b);
    case Sort::bytes:
      return bytes_of(a) > bytes_of(b);
    case Sort::rtt:
      return a.flow.remote_rtt_us.value_or(0) > b.flow.remote_rtt_us.value_or(0);
    case Sort::remote:
      return remote_of(a.flow) < remote_of(b.flow);
    case Sort::guest:
      return std::pair(a.flow.guest_addr, a.flow.guest_port) <
             std::pair(b.flow.guest_addr, b.flow.guest_port);
    case Sort::state:
    case Sort::count_:
      break;
  }
  return std::pair(a.flow.protocol, a.flow.state) < std::pair(b.flow.protocol, b.flow.state);
}

std::string counted(std::string_view what, std::uint64_t total, const std::vector<Counted>& list) {
  std::string out = fmt::format("{} {}", what, total);
  char before = ':';
  for (const Counted& one : list) {
    out += fmt::format("{} {} {}", before, one.what, one.count);
    before = ',';
  }
  return printable(out);
}

std::uint64_t per_second(std::uint64_t now, std::uint64_t before, std::uint64_t microseconds) {
  if (now < before || microseconds == 0) return 0;
  return static_cast<std::uint64_t>(static_cast<double>(now - before) * 1e6 /
                                    static_cast<double>(microseconds));
}

void remember(std::deque<std::uint64_t>& history, std::uint64_t value) {
  history.push_back(value);
  if (history.size() > TopFlows::kHistory) history.pop_front();
}

}  // namespace

TopFlows::TopFlows(std::string name, const InfoReply& info, bool utf8)
    : name_(std::move(name)),
      about_(cut(
          printable(fmt::format("{}{}  {}", info.guest4, info.guest6 ? " " + *info.guest6 : "", info.target)),
          kMaxAbout)),
      utf8_(utf8) {}

void TopFlows::update(FlowsReply flows, const StatisticsReply& statistics) {
  complaint_.clear();
  if (before_) {
    const std::uint64_t interval =
        flows.uptime_us > before_->uptime_us ? flows.uptime_us - before_->uptime_us : 0;
    remember(from_guest_, per_second(statistics.bytes_from_guest, statistics_.bytes_from_guest, interval));
    remember(to_guest_, per_second(statistics.bytes_to_guest, statistics_.bytes_to_guest, interval));
  }
  statistics_ = statistics;
  uptime_s_ = flows.uptime_us / 1'000'000;
  if (!paused_) {
    flows_ = with_rates(before_.value_or(FlowsReply{}), flows);
    sort();
  }
  before_ = std::move(flows);
}

void TopFlows::sort() {
  const Sort sort = sort_;
  const bool reversed = reversed_;
  std::ranges::stable_sort(flows_.rows, [sort, reversed](const FlowRow& a, const FlowRow& b) {
    return reversed ? stands_above(sort, b, a) : stands_above(sort, a, b);
  });
}

void TopFlows::scroll_by(std::ptrdiff_t rows) {
  const auto last = static_cast<std::ptrdiff_t>(flows_.rows.size());
  first_ = static_cast<std::size_t>(
      std::clamp(static_cast<std::ptrdiff_t>(first_) + rows, std::ptrdiff_t{0}, last));
}

void TopFlows::on_key(const Key& key) {
  const auto page = static_cast<std::ptrdiff_t>(page_);
  const auto all = static_cast<std::ptrdiff_t>(flows_.rows.size());
  switch (key.kind) {
    case Key::Kind::up:
      return scroll_by(-1);
    case Key::Kind::down:
      return scroll_by(1);
    case Key::Kind::page_up:
      return scroll_by(-page);
    case Key::Kind::page_down:
      return scroll_by(page);
    case Key::Kind::home:
      return scroll_by(-all);
    case Key::Kind::end:
      return scroll_by(all);
    case Key::Kind::enter:
      return;
    case Key::Kind::character:
      break;
  }
  constexpr auto kSorts = static_cast<unsigned>(Sort::count_);
  switch (key.character) {
    case 'q':
      return quit();
    case 'k':
      return scroll_by(-1);
    case 'j':
      return scroll_by(1);
    case ' ':
      paused_ = !paused_;
      return;
    case 's':
      sort_ = static_cast<Sort>((static_cast<unsigned>(sort_) + 1) % kSorts);
      return sort();
    case 'S':
      sort_ = static_cast<Sort>((static_cast<unsigned>(sort_) + kSorts - 1) % kSorts);
      return sort();
    case 'r':
      reversed_ = !reversed_;
      return sort();
    default:
      return;
  }
}

ScreenLine TopFlows::throughput(bool from_guest, unsigned columns) const {
  const auto& history = from_guest ? from_guest_ : to_guest_;
  const std::uint64_t now = history.empty() ? 0 : history.back();
  std::string line =
      fmt::format("{:<10} {:>12}", from_guest ? "from guest" : "to guest", human_size(now) + "/s");
  constexpr std::size_t kScale = 22;
  const std::size_t width =
      std::min<std::size_t>(kHistory, columns > line.size() + kScale ? columns - line.size() - kScale : 0);
  const std::size_t seen = std::min(width, history.size());
  const std::uint64_t most =
      seen == 0 ? 0 : *std::max_element(history.end() - static_cast<std::ptrdiff_t>(seen), history.end());
  if (width > 0) {
    line += fmt::format("  {}  max {}/s", sparkline(history, width, std::max<std::uint64_t>(most, 1), utf8_),
                        human_size(most));
  }
  return {line, from_guest ? Look::from_guest : Look::to_guest};
}

std::vector<ScreenLine> TopFlows::head(unsigned columns) const {
  const StatisticsReply& now = statistics_;
  return {
      {fmt::format("{}  up {}  {}", printable(name_), human_uptime(uptime_s_), about_), Look::title},
      throughput(true, columns),
      throughput(false, columns),
      {fmt::format("flows {}   TCP connections {}   sent {}   received {}", now.flows, now.tcp_opened,
                   human_size(now.bytes_from_guest), human_size(now.bytes_to_guest)),
       Look::plain},
      {counted("dropped", now.frames_dropped, now.drops),
       now.frames_dropped > 0 ? Look::warning : Look::plain},
      {counted("refused", now.refusals, now.refused), now.refusals > 0 ? Look::warning : Look::plain},
  };
}

TopFlows::Cells TopFlows::cells_of(const FlowRow& row) {
  const FlowReply& flow = row.flow;
  Cells cells{flow.protocol,
              end_of(flow.guest_addr, flow.guest_port),
              flow.inbound ? "<-" : "->",
              remote_of(flow),
              flow.state.empty() ? "-" : flow.state,
              flow.remote_rtt_us ? human_rtt(*flow.remote_rtt_us) : "-",
              rate_text(row.rate_from_guest),
              rate_text(row.rate_to_guest),
              human_size(flow.bytes_from_guest),
              human_size(flow.bytes_to_guest)};
  for (std::string& cell : cells) cell = printable(cell);
  return cells;
}

ScreenLine TopFlows::last_line(std::size_t first, std::size_t shown, unsigned columns) const {
  if (!complaint_.empty()) return {cut(printable(complaint_), std::max(columns, 3U)), Look::warning};
  std::string line = fmt::format("q quit  s sort: {}{}  r reverse  space {}  up/down scroll", name_of(sort_),
                                 reversed_ ? ", reversed" : "", paused_ ? "go on (paused)" : "pause");
  if (shown < flows_.total) line += fmt::format("  {}-{} of {}", first + 1, first + shown, flows_.total);
  return {line, Look::header};
}

std::vector<ScreenLine> TopFlows::lines(unsigned rows, unsigned columns) {
  static const Cells kHeader{"PROTO", "GUEST",      "",         "REMOTE", "STATE",
                             "RTT",   "FROM GUEST", "TO GUEST", "SENT",   "RECEIVED"};
  constexpr std::size_t kFirstRight = 5;  // numbers stand at the right
  constexpr std::size_t kGap = 2;
  std::vector<ScreenLine> lines = head(columns);
  page_ = rows > lines.size() + 2 ? rows - lines.size() - 2 : 0;
  const std::size_t all = flows_.rows.size();
  first_ = std::min(first_, all > page_ ? all - page_ : 0);
  const std::size_t shown = std::min(page_, all - first_);

  std::vector<Cells> table{kHeader};
  for (std::size_t i = 0; i < shown; ++i) table.push_back(cells_of(flows_.rows[first_ + i]));
  std::array<std::size_t, kColumns> widths{};
  std::size_t total = (kColumns - 1) * kGap;
  for (std::size_t column = 0; column < kColumns; ++column) {
    for (const Cells& cells : table) widths[column] = std::max(widths[column], width(cells[column]));
    total += widths[column];
  }
  for (const std::size_t column : {std::size_t{3}, std::size_t{1}}) {
    const std::size_t least = std::min(widths[column], kLeastWidth);
    const std::size_t less = std::min(total > columns ? total - columns : 0, widths[column] - least);
    widths[column] -= less;
    total -= less;
  }
  for (const Cells& cells : table) {
    std::string line;
    for (std::size_t column = 0; column < kColumns; ++column) {
      const std::string text = cut(cells[column], std::max<std::size_t>(widths[column], 3));
      const std::string padding(widths[column] > width(text) ? widths[column] - width(text) : 0, ' ');
      line += column >= kFirstRight ? padding + text : text + padding;
      if (column + 1 < kColumns) line += std::string(kGap, ' ');
    }
    lines.push_back({line, &cells == &table.front() ? Look::header : Look::plain});
  }
  lines.resize(rows > 0 ? rows - 1 : 0);
  lines.push_back(last_line(first_, shown, columns));
  for (ScreenLine& line : lines) {
    if (width(line.text) > columns) line.text = columns >= 3 ? cut(line.text, columns) : std::string();
  }
  return lines;
}

}  // namespace sf::cli
