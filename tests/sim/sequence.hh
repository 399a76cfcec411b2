// Sequence numbers as 64-bit offsets from the initial one, so that nothing else here has to think of
// wrapping.
#pragma once

#include <cstdint>

namespace sf::sim {

// The offset of `number` that is nearest to `near`; nothing below 0.
[[nodiscard]] constexpr std::uint64_t offset_of(std::uint32_t number, std::uint32_t initial,
                                                std::uint64_t near) {
  const auto distance = static_cast<std::int32_t>(number - (initial + static_cast<std::uint32_t>(near)));
  const std::int64_t offset = static_cast<std::int64_t>(near) + distance;
  return offset < 0 ? 0 : static_cast<std::uint64_t>(offset);
}

// `a` is earlier than `b` on a clock that wraps (RFC 7323 section 5.2).
[[nodiscard]] constexpr bool timestamp_before(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::int32_t>(a - b) < 0;
}

}  // namespace sf::sim
