// How many flows a guest may open that come to nothing: connections, and UDP flows for which others have to
// go. Each costs the host a socket and a dozen system calls; a flood brings hundreds of thousands a second,
// and all flows of the guest's wait behind them.
//
// An opening takes a token, and a connection that is completed gives it back: so connections that succeed may
// be as many as the machine can do, and only those that are refused, or answered by nobody, are counted. (Of
// UDP flows those that make others go are counted, answered or not.) Where no token is left, a flood is on,
// and a SYN is lost unless there is more to be said for it than its coming:
//
//   - flows to the same address and port have been completed lately: these have tokens of their own;
//   - it comes again: a program that means it says its SYN once more after a second, and a flood does not.
//
// What is lost costs a hash and a look at a table here; a policy has been asked before.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/flow_key.hh"
#include "base/rate_limit.hh"
#include "base/siphash.hh"

namespace sf::engine {

class OpeningBudget {
 public:
  static constexpr std::uint32_t kPerSecond = 2'000;
  static constexpr std::uint32_t kAtOnce = 4'096;
  // To an address and port where flows have been completed within kProvenFor.
  static constexpr std::uint32_t kProvenPerSecond = 500;
  static constexpr std::uint32_t kProvenAtOnce = 1'000;
  static constexpr Duration kProvenFor = 60s;
  static constexpr std::size_t kProven = 256;  // such addresses and ports; they take each other's places
  // That come again.
  static constexpr std::uint32_t kAgainPerSecond = 500;
  static constexpr std::uint32_t kAgainAtOnce = 500;
  static constexpr std::size_t kLost = std::size_t{1} << 19;  // remembered of those that were lost: 1 MiB
  static constexpr Duration kFlood = 60s;                     // it lasts, after the last one that was lost

  // Whose token an opening has taken. `none`: there is none for it.
  enum class Charge : std::uint8_t { none, common, proven, again };

  explicit OpeningBudget(SipKey key) : key_(key) {}

  [[nodiscard]] Charge admit(const FlowKey& ends, Time now);
  // An opening that was charged so is complete: the guest has connected, or got an answer.
  void completed(const FlowKey& ends, Charge charge, Time now);
  // For what was lost, in bytes.
  [[nodiscard]] std::size_t memory() const { return lost_.capacity() * sizeof(lost_[0]); }

 private:
  // A place where flows have been completed.
  struct Proven {
    Endpoint remote;
    Time until = Time::min();
    RateLimit tokens{kProvenPerSecond, kProvenAtOnce};
  };

  [[nodiscard]] Proven& place_of(const Endpoint& remote);
  // Whether a SYN of these ends was lost before; from now on, one was.
  [[nodiscard]] bool was_lost(const FlowKey& ends, Time now);

  SipKey key_;
  RateLimit common_{kPerSecond, kAtOnce};
  RateLimit again_{kAgainPerSecond, kAgainAtOnce};
  std::array<Proven, kProven> proven_{};
  std::vector<std::uint16_t> lost_;  // prints of ends; empty but in a flood
  Time flood_until_ = Time::min();
};

}  // namespace sf::engine
