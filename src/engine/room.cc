#include "engine/room.hh"

#include <tuple>

namespace sf::engine {

bool Room::make(Time now) {
  if (said_.first()) {
    log_.warning(
        "no file descriptor is left for the guest's connections: idle ones make room, and new ones are "
        "refused "
        "where there are none (raise the limit with ulimit -n)");
  }
  if (now >= looked_at_ + kLookAgain) candidates_.clear();
  if (end_next(now)) return true;
  look(now);
  return end_next(now);
}

bool Room::end_next(Time now) {
  while (!candidates_.empty()) {
    const Candidate candidate = candidates_.back();
    candidates_.pop_back();
    if (end(candidate, now)) return true;
  }
  return false;
}

Duration Room::patience(Kind kind) {
  switch (kind) {
    case Kind::ping:
      return kPingIdle;
    case Kind::unanswered:
      return kUnanswered;
    case Kind::udp:
      return kUdpIdle;
    case Kind::tcp:
      break;
  }
  return kTcpIdle;
}

void Room::look(Time now) {
  if (now < look_after_) return;
  looked_at_ = now;
  const auto add = [&](Kind kind, Handle handle, Time since) {
    if (now - since >= patience(kind)) candidates_.push_back({kind, since, handle});
  };
  pings_.for_each_idle([&](Handle handle, Time since) { add(Kind::ping, handle, since); });
  tcp_.for_each_idle([&](Handle handle, const TcpFlows::Idle& idle) {
    add(idle.unanswered ? Kind::unanswered : Kind::tcp, handle, idle.since);
  });
  udp_.for_each_idle([&](Handle handle, Time since) { add(Kind::udp, handle, since); });
  if (candidates_.empty()) {
    look_after_ = now + kLookAgain;
    return;
  }
  keep_first(candidates_, kAtOnce, [](const Candidate& a, const Candidate& b) {
    return std::tie(a.kind, a.since) < std::tie(b.kind, b.since);
  });
}

bool Room::end(const Candidate& candidate, Time now) {
  const auto still = [&](const std::optional<Time>& since) {
    return since && now - *since >= patience(candidate.kind);
  };
  switch (candidate.kind) {
    case Kind::ping:
      return still(pings_.idle_since(candidate.handle)) &&
             pings_.end(candidate.handle, FlowCause::evicted, now);
    case Kind::udp:
      return still(udp_.idle_since(candidate.handle)) && udp_.end(candidate.handle, FlowCause::evicted, now);
    case Kind::unanswered:
    case Kind::tcp:
      break;
  }
  const auto idle = tcp_.idle(candidate.handle);
  if (!idle || idle->unanswered != (candidate.kind == Kind::unanswered) || !still(idle->since)) return false;
  tcp_.end(candidate.handle, now);
  return true;
}

}  // namespace sf::engine
