// Each rule about the event loop and about what is left at the end, shown to fail.
#include <gmock/gmock.h>

#include "sim/planted.hh"

namespace sf::sim {
namespace {

using testing::Contains;

constexpr std::uint64_t kBytes = 100'000;

template <typename T>
std::set<std::string> broken_by_loop(const Plan& plan = make_quiet_plan(7, kBytes)) {
  return broken_rules(plan, reactor_bug<T>());
}

class DeadlinePast final : public PassReactor {
  using PassReactor::PassReactor;
  Time end_turn(Time now) override { return std::min(PassReactor::end_turn(now), now - 1ms); }
};
TEST(PlantedBug, DeadlineInThePast) {
  EXPECT_THAT(broken_by_loop<DeadlinePast>(), Contains("deadline-past"));
}

class DeadlineNever final : public PassReactor {
  using PassReactor::PassReactor;
  Time end_turn(Time now) override {
    const Time deadline = PassReactor::end_turn(now);
    return deadline <= now ? deadline : kNever;
  }
};
TEST(PlantedBug, DeadlineForgottenLeavesFlows) {
  Plan plan = make_quiet_plan(7, kBytes);
  plan.flows[0].from.close = GuestClose::vanish;
  plan.flows[0].from.close_at = kBytes / 2;
  const auto rules = broken_by_loop<DeadlineNever>(plan);
  EXPECT_THAT(rules, Contains("flow-leak"));
  EXPECT_THAT(rules, Contains("socket-leak"));
  EXPECT_THAT(rules, Contains("memory-leak"));
}
TEST(PlantedBug, DeadlineForgottenStalls) {
  Plan plan = make_quiet_plan(7, kBytes);
  plan.flows[0].from.send_bytes = 0;
  plan.link.loss = 0.3;
  EXPECT_THAT(broken_by_loop<DeadlineNever>(plan), Contains("stall"));
}

class BusyLoop final : public PassReactor {
  using PassReactor::PassReactor;
  Time end_turn(Time now) override { return std::min(PassReactor::end_turn(now), now); }
};
TEST(PlantedBug, BusyLoop) {
  EXPECT_THAT(broken_by_loop<BusyLoop>(), Contains("busy-loop"));
}

// Takes one frame only of those that are there.
class OneFrameATurn final : public PassLink {
  using PassLink::PassLink;
  link::Status receive(MutBytes buffer, link::Frame& frame) override {
    return ++calls_ % 2 == 0 ? link::Status::empty : PassLink::receive(buffer, frame);
  }
  int calls_ = 0;
};
TEST(PlantedBug, FramesLeftUnread) {
  EXPECT_THAT(broken_rules(make_quiet_plan(7, kBytes), link_bug<OneFrameATurn>()), Contains("unread"));
}

class Polls final : public PassReactor {
  using PassReactor::PassReactor;
  Time end_turn(Time now) override { return std::min<Time>(PassReactor::end_turn(now), now + 1ms); }
};
TEST(PlantedBug, WakesForNothing) {
  EXPECT_THAT(broken_by_loop<Polls>(), Contains("wake-ups"));
}

// Something to do every minute for ever, as a stack that announces itself too often would have.
class NeverRests final : public PassReactor {
  using PassReactor::PassReactor;
  Time end_turn(Time now) override {
    PassReactor::on_link_readable(now);
    return std::min<Time>(PassReactor::end_turn(now), now + 4min);
  }
};
TEST(PlantedBug, NeverAtRest) {
  EXPECT_THAT(broken_by_loop<NeverRests>(), Contains("never-at-rest"));
}

class SaysItIsDone final : public PassReactor {
  using PassReactor::PassReactor;
  bool alive() const override { return false; }
};
TEST(PlantedBug, EndsWhileTheLinkStands) {
  EXPECT_THAT(broken_by_loop<SaysItIsDone>(), Contains("alive"));
}

class GoesOnForEver final : public PassReactor {
  using PassReactor::PassReactor;
  bool alive() const override { return true; }
};
TEST(PlantedBug, GoesOnWithoutALink) {
  Plan plan = make_quiet_plan(7, kBytes);
  plan.link.gone_at = 5ms;
  EXPECT_THAT(broken_by_loop<GoesOnForEver>(plan), Contains("alive"));
}

class LosesEvents final : public PassReactor {
  using PassReactor::PassReactor;
  void on_socket_event(host::Token token, host::Readiness readiness, Time now) override {
    // Every event but the first, which is the connection's.
    if (count_++ == 0) PassReactor::on_socket_event(token, readiness, now);
  }
  int count_ = 0;
};
TEST(PlantedBug, EventsLost) {
  Plan plan = make_quiet_plan(7, kBytes);
  plan.flows[0].peer.send_chunk = 500;
  plan.flows[0].peer.send_interval = 1ms;
  EXPECT_THAT(broken_by_loop<LosesEvents>(plan), Contains("stall"));
}

}  // namespace
}  // namespace sf::sim
