// A set of offsets, held as disjoint half-open ranges.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>

namespace sf::sim {

class IntervalSet {
 public:
  void add(std::uint64_t left, std::uint64_t right) {
    if (left >= right) return;
    auto it = ranges_.upper_bound(left);
    if (it != ranges_.begin() && std::prev(it)->second >= left) --it;
    while (it != ranges_.end() && it->first <= right) {
      left = std::min(left, it->first);
      right = std::max(right, it->second);
      it = ranges_.erase(it);
    }
    ranges_.emplace(left, right);
  }
  [[nodiscard]] bool contains(std::uint64_t left, std::uint64_t right) const {
    if (left >= right) return true;
    auto it = ranges_.upper_bound(left);
    return it != ranges_.begin() && std::prev(it)->second >= right;
  }
  // The end of the range that `from` lies in, or touches from behind; `from` itself where there is none.
  [[nodiscard]] std::uint64_t end_of(std::uint64_t from) const {
    auto it = ranges_.upper_bound(from);
    if (it == ranges_.begin()) return from;
    return std::max(from, std::prev(it)->second);
  }
  // The start of the first range after `from`, or `otherwise`.
  [[nodiscard]] std::uint64_t next_start(std::uint64_t from, std::uint64_t otherwise) const {
    auto it = ranges_.upper_bound(from);
    return it == ranges_.end() ? otherwise : it->first;
  }
  void erase_below(std::uint64_t limit) {
    while (!ranges_.empty() && ranges_.begin()->first < limit) {
      const auto [left, right] = *ranges_.begin();
      ranges_.erase(ranges_.begin());
      if (right > limit) ranges_.emplace(limit, right);
    }
  }
  void clear() { ranges_.clear(); }
  [[nodiscard]] bool empty() const { return ranges_.empty(); }
  [[nodiscard]] const std::map<std::uint64_t, std::uint64_t>& ranges() const { return ranges_; }

 private:
  std::map<std::uint64_t, std::uint64_t> ranges_;
};

}  // namespace sf::sim
