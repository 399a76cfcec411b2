// What was refused, by target: said once, and counted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/log.hh"

namespace sf::policy {

class Refusals {
 public:
  static constexpr std::size_t kMaxTargets = 1024;  // those of more are counted together

  explicit Refusals(const Log& log) : log_(log) {}

  // `target`: "tcp 192.0.2.1:443 (example.com)". `audit`: it passed all the same. What to log: one line for
  // the first time and for each power of ten.
  [[nodiscard]] std::optional<std::string> note(const std::string& target, bool audit);
  [[nodiscard]] std::uint64_t total() const { return total_; }
  // The most frequent first.
  [[nodiscard]] std::vector<std::pair<std::string, std::uint64_t>> list(std::size_t most) const;
  // One line for each target that was refused more often than the log says.
  void summarize() const;

 private:
  const Log& log_;
  std::unordered_map<std::string, std::uint64_t> counts_;
  std::uint64_t total_ = 0;
  Once full_;
};

}  // namespace sf::policy
