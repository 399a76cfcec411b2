// How often something may be done, as a token bucket: ICMP errors be originated (RFC 4443 section 2.4 (f),
// RFC 1812 section 4.3.2.8), flows be opened that come to nothing, refusals be recorded.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.hh"

namespace sf::base {

// Full at first. Kept as the time at which it will be full again, so that nothing has to be refilled.
class RateLimit {
 public:
  // `per_second` from 1 to 10^9, `burst` from 1.
  constexpr RateLimit(std::uint32_t per_second, std::uint32_t burst)
      : interval_(Duration(1s) / per_second), window_(interval_ * burst) {}

  // Takes a token where there is one.
  [[nodiscard]] constexpr bool admit(Time now) {
    const Time full_at = std::max(full_at_, now) + interval_;
    if (full_at - now > window_) return false;
    full_at_ = full_at;
    return true;
  }
  // Gives a token back that admit() has taken.
  constexpr void give_back() { full_at_ = std::max(full_at_, Time::min() + interval_) - interval_; }

 private:
  Duration interval_;
  Duration window_;
  Time full_at_ = Time::min();
};

}  // namespace sf::base
