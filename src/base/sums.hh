// Sums of counters that are members of a struct.
#pragma once

#include <array>
#include <cstddef>

namespace sf::base {

template <typename Number>
void add_number(Number& to, const Number& from) {
  if constexpr (requires { to.add(from); }) {
    to.add(from);
  } else {
    to += from;
  }
}
template <typename Number, std::size_t Size>
void add_number(std::array<Number, Size>& to, const std::array<Number, Size>& from) {
  for (std::size_t i = 0; i < Size; ++i) add_number(to[i], from[i]);
}

// Each of `members` of `from` to that of `to`; what has an add() of its own is added by that.
template <typename Counters, typename... Members>
void add_members(Counters& to, const Counters& from, Members Counters::*... members) {
  (add_number(to.*members, from.*members), ...);
}

}  // namespace sf::base
