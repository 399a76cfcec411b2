// Sequence numbers: 32 bits that wrap, compared by their distance (RFC 9293 section 3.4).
#pragma once

#include <algorithm>
#include <cstdint>

namespace sf::tcp {

struct Seq {
  std::uint32_t value = 0;

  constexpr bool operator==(const Seq&) const = default;
};

constexpr Seq operator+(Seq s, std::uint32_t n) {
  return Seq{s.value + n};
}
constexpr Seq operator-(Seq s, std::uint32_t n) {
  return Seq{s.value - n};
}
constexpr Seq& operator+=(Seq& s, std::uint32_t n) {
  s.value += n;
  return s;
}
// How far `a` is after `b`; only meaningful where it is not before.
constexpr std::uint32_t operator-(Seq a, Seq b) {
  return a.value - b.value;
}
constexpr bool before(Seq a, Seq b) {
  return static_cast<std::int32_t>(a.value - b.value) < 0;
}
constexpr bool operator<(Seq a, Seq b) {
  return before(a, b);
}
constexpr bool operator<=(Seq a, Seq b) {
  return !before(b, a);
}
constexpr bool operator>(Seq a, Seq b) {
  return before(b, a);
}
constexpr bool operator>=(Seq a, Seq b) {
  return !before(a, b);
}
constexpr Seq earlier(Seq a, Seq b) {
  return before(b, a) ? b : a;
}
constexpr Seq later(Seq a, Seq b) {
  return before(a, b) ? b : a;
}

}  // namespace sf::tcp
