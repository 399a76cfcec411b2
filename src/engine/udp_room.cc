#include "engine/udp_room.hh"

#include <algorithm>
#include <tuple>

namespace sf::engine {

bool UdpRoom::make(const FlowKey& ends, Time now) {
  if (budget_.admit(ends, now) == OpeningBudget::Charge::none) return false;
  if (now - kLookAgain >= looked_at_) candidates_.clear();
  if (end_next(now)) return true;
  look(now);
  return end_next(now);
}

bool UdpRoom::may_go(udp::Flow& flow, const Endpoint& remote, Time now) {
  if (flow.seen_reply) return true;
  const auto to = static_cast<std::uint16_t>(hash_of(key_, FlowKey{{}, remote}) | 1U);  // 0: none yet
  if (std::ranges::find(flow.went_to, to) != flow.went_to.end()) return true;
  const bool first = flow.went_to.front() == 0;
  if (!first && budget_.admit({flow.guest, remote}, now) == OpeningBudget::Charge::none) return false;
  std::ranges::copy_backward(flow.went_to.begin(), flow.went_to.end() - 1, flow.went_to.end());
  flow.went_to.front() = to;
  return true;
}

bool UdpRoom::idle(const udp::Flow& flow, Time now) {
  return now - flow.last_active >= (flow.seen_reply ? kAnsweredIdle : kUnansweredIdle);
}

bool UdpRoom::end_next(Time now) {
  while (!candidates_.empty()) {
    const Candidate candidate = candidates_.back();
    candidates_.pop_back();
    const udp::Flow* flow = flows_.get(candidate.handle);
    // One that was used since then has had its turn behind others.
    if (flow == nullptr || flow->last_active != candidate.since || !idle(*flow, now)) continue;
    if (flows_.end(candidate.handle, FlowCause::evicted, now)) return true;
  }
  return false;
}

void UdpRoom::look(Time now) {
  if (now < look_after_) return;
  looked_at_ = now;
  flows_.for_each_handle([&](Handle handle, const udp::Flow& flow) {
    if (idle(flow, now)) candidates_.push_back({flow.seen_reply, flow.last_active, handle});
  });
  if (candidates_.empty()) {
    look_after_ = now + kLookAgain;
    return;
  }
  keep_first(candidates_, kFound, [](const Candidate& a, const Candidate& b) {
    return std::tie(a.answered, a.since) < std::tie(b.answered, b.since);
  });
}

}  // namespace sf::engine
