#include "control/exposition.hh"

#include <fmt/format.h>

namespace sf::control {
namespace {

std::string_view name_of(Exposition::Type type) {
  switch (type) {
    case Exposition::Type::counter:
      return "counter";
    case Exposition::Type::gauge:
      return "gauge";
    case Exposition::Type::histogram:
      break;
  }
  return "histogram";
}

// A quote is written out within label values alone.
std::string escaped(std::string_view text, bool quoted) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '\\' || (quoted && c == '"')) out += '\\';
    out += c;
  }
  return out;
}

double seconds_of(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

void Exposition::family(std::string_view name, Type type, std::string_view help) {
  name_ = name;
  text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, escaped(help, false), name, name_of(type));
}

void Exposition::line(std::string_view suffix, Labels labels, std::string_view bound,
                      std::string_view value) {
  text_ += name_;
  text_ += suffix;
  char before = '{';
  for (const auto& [name, text] : labels) {
    text_ += fmt::format("{}{}=\"{}\"", before, name, escaped(text, true));
    before = ',';
  }
  if (!bound.empty()) {
    text_ += fmt::format("{}le=\"{}\"", before, bound);
    before = ',';
  }
  if (before == ',') text_ += '}';
  text_ += ' ';
  text_ += value;
  text_ += '\n';
}

void Exposition::sample(Labels labels, std::uint64_t value) {
  line("", labels, "", fmt::format("{}", value));
}

void Exposition::seconds(Labels labels, double value) {
  line("", labels, "", fmt::format("{:.3f}", value));
}

void Exposition::histogram(Labels labels, const DurationHistogram& durations) {
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < DurationHistogram::kBounds.size(); ++i) {
    count += durations.count(i);
    line("_bucket", labels, fmt::format("{}", seconds_of(DurationHistogram::kBounds[i])),
         fmt::format("{}", count));
  }
  count += durations.count(DurationHistogram::kBounds.size());
  line("_bucket", labels, "+Inf", fmt::format("{}", count));
  line("_sum", labels, "", fmt::format("{}", seconds_of(durations.sum())));
  line("_count", labels, "", fmt::format("{}", count));
}

}  // namespace sf::control
