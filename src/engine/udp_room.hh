// Where there are as many UDP flows as there may be: which one makes room for another.
//
// Of those that nobody has answered, the one over which nothing has passed for longest; where there is none,
// the same of those that were answered. Each must have been idle for a while, so that a question that was
// asked just now keeps its answer, and a conversation its port. The guest's next datagram from there opens
// another flow, from another port of the host's.
//
// How often is limited (OpeningBudget), for in a flood of datagrams from all ports the next one is in vain
// again. Beyond that, room is made for a datagram to whom has answered others lately, and for one that comes
// again.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/opening_budget.hh"
#include "engine/room.hh"

namespace sf::engine {

class UdpRoom {
 public:
  static constexpr Duration kUnansweredIdle = 500ms;
  static constexpr Duration kAnsweredIdle = 10s;
  static constexpr std::size_t kFound = 64;  // by one look at all flows
  // After a look in vain; and for as long counts what one has found.
  static constexpr Duration kLookAgain = 100ms;

  // `flows` outlives it.
  UdpRoom(Room::UdpFlows& flows, SipKey key) : flows_(flows), key_(key), budget_(key) {}

  // Ends one flow, for a datagram between these ends. False: none has been idle for long enough, or this is
  // asked too often.
  [[nodiscard]] bool make(const FlowKey& ends, Time now);
  // The flow's next datagram goes to `remote`. False: it is lost, as one of too many that go from flows which
  // nobody has answered, each to another place than the last four: who asks around gets answers, and who
  // only tells, as a log's sender does, tells a few.
  [[nodiscard]] bool may_go(udp::Flow& flow, const Endpoint& remote, Time now);
  // Somebody has answered.
  void answered(const FlowKey& ends, Time now) { budget_.completed(ends, OpeningBudget::Charge::none, now); }

 private:
  struct Candidate {
    bool answered;
    Time since;
    Handle handle;
  };

  void look(Time now);
  // Ends the first of the candidates that is as it was. False: there is none.
  [[nodiscard]] bool end_next(Time now);
  [[nodiscard]] static bool idle(const udp::Flow& flow, Time now);

  Room::UdpFlows& flows_;
  SipKey key_;
  OpeningBudget budget_;
  Time look_after_ = Time::min();
  Time looked_at_ = Time::min();
  std::vector<Candidate> candidates_;  // the next one to go last
};

}  // namespace sf::engine
