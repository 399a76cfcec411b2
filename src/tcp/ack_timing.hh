// When an ACK goes to the guest: at the end of the turn, or a little later with the payload that is likely to
// follow.
//
// Theory of operation. An ACK by itself is a frame, and the guest's kernel takes as long for it as for one
// with payload. A guest that gets an answer to each of its small messages within a moment, as a server on a
// kept connection does with the client's next request, needs none before that answer. The pattern is learnt
// from the bare ACKs that turned out to be needless: kPatientAfter times in a row one of them went out
// between two payloads, and the second payload came within kDelay. One answer that does not come in time, or
// two bare ACKs in a row, and it has to be learnt anew. So a guest whose second small message waits for the
// ACK of the first (Nagle's algorithm, RFC 9293 section 3.7.4) never gets ACKs late: it needs two.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.hh"

namespace sf::tcp {

class AckTiming {
 public:
  // RFC 9293 section 3.8.6.3 allows 500 ms. A guest with one segment in flight waits for 200 ms and more
  // before it probes (RFC 8985 section 7.2).
  static constexpr Duration kDelay = 10ms;
  // After a FIN, where our own is often close behind. With payload before it, the guest may probe after two
  // round trips and a tick or two of its kernel's.
  static constexpr Duration kFinDelay = 2ms;
  static constexpr std::uint8_t kPatientAfter = 4;

  // --- the guest has sent
  // Something that is to be acknowledged in this turn.
  void demand() { pending_ = true; }
  // A small message in order, with nothing before it that waits for its ACK.
  void message(Time now) {
    if (answers_ < kPatientAfter) {
      pending_ = true;
    } else {
      at_ = std::min(at_, now + kDelay);
    }
  }
  // Its FIN, in order: nothing else of its own can be waiting for the ACK.
  void fin(Time now) {
    pending_ = false;
    at_ = now + kFinDelay;
  }

  // --- and we send
  // Payload, `later` than the guest's last segment. Every segment carries the ACK: acknowledged() follows.
  void payload(Duration later) {
    const bool needless = at_ != kNever || (bare_ == 1 && later <= kDelay);
    if (needless) {
      answers_ = std::min<std::uint8_t>(answers_ + 1, kPatientAfter);
    } else if (bare_ > 0) {
      answers_ = 0;
    }
    bare_ = 0;
  }
  // A segment without payload, that only the ACK is for.
  void bare() { bare_ = std::min<std::uint8_t>(bare_ + 1, 2); }
  void acknowledged() {
    pending_ = false;
    at_ = kNever;
  }

  void on_deadline(Time now) {
    if (at_ > now) return;
    at_ = kNever;
    pending_ = true;
    answers_ = 0;
  }
  [[nodiscard]] Time deadline() const { return at_; }
  [[nodiscard]] bool pending() const { return pending_; }

 private:
  Time at_ = kNever;  // what waits goes out by itself then
  bool pending_ = false;
  std::uint8_t bare_ = 0;  // ACKs since the last payload
  std::uint8_t answers_ = 0;
};

}  // namespace sf::tcp
