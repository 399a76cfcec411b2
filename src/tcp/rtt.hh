// Round-trip time and the retransmission time-out (RFC 6298).
#pragma once

#include <algorithm>

#include "base/time.hh"

namespace sf::tcp {

class RttEstimator {
 public:
  // RFC 6298 section 2.4 asks for one second, for the Internet's sake. This is a link within one machine; the
  // floor only has to be above the guest's delayed ACKs.
  static constexpr Duration kMinRto = 300ms;
  static constexpr Duration kInitialRto = 1s;
  static constexpr Duration kMaxRto = 60s;

  void sample(Duration rtt) {
    if (smoothed_ == Duration::zero()) {
      smoothed_ = rtt;
      variation_ = rtt / 2;
    } else {
      const Duration error = rtt > smoothed_ ? rtt - smoothed_ : smoothed_ - rtt;
      variation_ = (3 * variation_ + error) / 4;
      smoothed_ = (7 * smoothed_ + rtt) / 8;
    }
    rto_ = std::clamp<Duration>(smoothed_ + std::max<Duration>(4 * variation_, 1ms), kMinRto, kMaxRto);
  }
  void back_off() { rto_ = std::min<Duration>(2 * rto_, kMaxRto); }

  [[nodiscard]] Duration rto() const { return rto_; }
  // Zero before the first sample.
  [[nodiscard]] Duration smoothed() const { return smoothed_; }

 private:
  Duration smoothed_{};
  Duration variation_{};
  Duration rto_ = kInitialRto;
};

}  // namespace sf::tcp
