// Where no file descriptor is left for a new flow: which one makes room for it.
//
// In this order, and of each kind the one that has been idle for longest first:
//   pings, idle for 2 s;
//   connections that one side has not answered for 5 s, as to hosts that never do;
//   UDP mappings, idle for 10 s: the guest's next datagram opens another, from another port of the host's;
//   connections over which nothing has come for 30 s, which are lost to both sides (reset).
// Where none of these is there, the new flow is refused.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/log.hh"
#include "engine/datagram_flows.hh"
#include "engine/tcp_flows.hh"
#include "icmp/translator.hh"
#include "udp/translator.hh"

namespace sf::engine {

// Leaves the `most` that `sooner` puts first, the very first one last, to be popped; and gives back the
// memory, as there may have been one for each flow.
template <typename Candidate, typename Order>
void keep_first(std::vector<Candidate>& candidates, std::size_t most, Order sooner) {
  const std::size_t kept = std::min(most, candidates.size());
  std::ranges::partial_sort(candidates, candidates.begin() + static_cast<std::ptrdiff_t>(kept), sooner);
  candidates.resize(kept);
  candidates.shrink_to_fit();
  std::ranges::reverse(candidates);
}

class Room {
 public:
  using UdpFlows = DatagramFlows<udp::Translator, udp::Flow>;
  using PingFlows = DatagramFlows<icmp::Translator, icmp::Flow>;
  static constexpr Duration kPingIdle = 2s;
  static constexpr Duration kUnanswered = 5s;
  static constexpr Duration kUdpIdle = 10s;
  static constexpr Duration kTcpIdle = 30s;
  static constexpr std::size_t kAtOnce = 64;  // found by one look at all flows
  // After a look in vain; and for as long counts what one has found.
  static constexpr Duration kLookAgain = 100ms;

  // All outlive it.
  Room(TcpFlows& tcp, UdpFlows& udp, PingFlows& pings, const Log& log)
      : tcp_(tcp), udp_(udp), pings_(pings), log_(log) {}

  // Ends one flow, and so frees a descriptor. False: none is idle for long enough.
  [[nodiscard]] bool make(Time now);

 private:
  enum class Kind : std::uint8_t { ping, unanswered, udp, tcp };
  struct Candidate {
    Kind kind;
    Time since;
    Handle handle;
  };

  void look(Time now);
  // Ends the first of the candidates that is still idle. False: there is none.
  [[nodiscard]] bool end_next(Time now);
  // False: it has gone, or is not idle any more.
  [[nodiscard]] bool end(const Candidate& candidate, Time now);
  [[nodiscard]] static Duration patience(Kind kind);

  TcpFlows& tcp_;
  UdpFlows& udp_;
  PingFlows& pings_;
  const Log& log_;
  Once said_;
  Time look_after_ = Time::min();
  Time looked_at_{};
  std::vector<Candidate> candidates_;  // the next one to go last
};

}  // namespace sf::engine
