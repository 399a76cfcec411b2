// The text that Prometheus reads (text format 0.0.4): families of samples, each with its help and its type.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "base/duration_histogram.hh"

namespace sf::control {

class Exposition {
 public:
  enum class Type : std::uint8_t { counter, gauge, histogram };
  using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  // What follows belongs to it. Each name once.
  void family(std::string_view name, Type type, std::string_view help);
  // Names of labels are letters, digits and underscores; values are any text.
  void sample(Labels labels, std::uint64_t value);
  void seconds(Labels labels, double value);
  // Durations in seconds: a bucket of all up to each bound, the sum, the count.
  void histogram(Labels labels, const DurationHistogram& durations);

  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  void line(std::string_view suffix, Labels labels, std::string_view bound, std::string_view value);

  std::string text_;
  std::string name_;
};

}  // namespace sf::control
