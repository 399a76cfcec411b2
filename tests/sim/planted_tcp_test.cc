// Each rule about the segments towards the guest, shown to fail.
#include <gmock/gmock.h>

#include "sim/planted.hh"

namespace sf::sim {
namespace {

using testing::Contains;
using testing::IsEmpty;

constexpr std::uint64_t kBytes = 100'000;

// Fires from the `nth` segment with data on.
template <typename Action>
EditLink::Edit from_data(int nth, Action action) {
  return [nth, action, seen = 0](wire::TcpSegment& segment, FrameBytes& payload) mutable {
    if (!payload.empty() && ++seen >= nth) action(segment, payload);
  };
}

std::set<std::string> broken_by(EditLink::Edit edit) {
  return broken_rules(make_quiet_plan(7, kBytes), edit_to_guest(std::move(edit)));
}

TEST(PlantedBug, ControlWithoutOne) {
  EXPECT_THAT(broken_by([](wire::TcpSegment&, FrameBytes&) {}), IsEmpty());
  const Sabotage nothing = edit_from_guest([](wire::TcpSegment&, FrameBytes&) {});
  EXPECT_THAT(broken_rules(make_quiet_plan(7, kBytes), nothing), IsEmpty());
}

TEST(PlantedBug, AckOfWhatHasNotCome) {
  EXPECT_THAT(broken_by(from_data(5, [](auto& s, auto&) { s.acknowledgment += 200'000; })),
              Contains("ack-unreceived"));
}

TEST(PlantedBug, AckGoesBack) {
  EXPECT_THAT(broken_by(from_data(5, [](auto& s, auto&) { s.acknowledgment -= 1; })),
              Contains("ack-backwards"));
}

TEST(PlantedBug, AckIsMissing) {
  EXPECT_THAT(broken_by(from_data(5, [](auto& s, auto&) { s.flags.ack = false; })), Contains("ack-missing"));
}

TEST(PlantedBug, WindowShrinks) {
  EXPECT_THAT(broken_by(from_data(5, [](auto& s, auto&) { s.window = 10; })), Contains("window-shrink"));
}

TEST(PlantedBug, TimestampEchoWrong) {
  EXPECT_THAT(broken_by(from_data(5, [](auto& s, auto&) { s.options.timestamps->echo_reply += 50'000; })),
              Contains("timestamps"));
}

TEST(PlantedBug, TimestampsMissing) {
  EXPECT_THAT(broken_by(from_data(5, [](auto& s, auto&) { s.options.timestamps.reset(); })),
              Contains("timestamps"));
}

TEST(PlantedBug, SackOfWhatHasNotCome) {
  const auto bug = [](auto& s, auto& payload) {
    payload.resize(payload.size() / 2);
    s.options.sack_count = 1;
    s.options.sack[0] = {s.acknowledgment + 500'000, s.acknowledgment + 500'100};
  };
  EXPECT_THAT(broken_by(from_data(5, bug)), Contains("sack"));
}

TEST(PlantedBug, SynAckOptionsNotOffered) {
  Plan plan = make_quiet_plan(7, kBytes);
  plan.flows[0].from.offer_scale = false;
  plan.flows[0].from.scale = 0;
  const Sabotage bug = edit_to_guest([](wire::TcpSegment& s, FrameBytes&) {
    if (s.flags.syn) s.options.window_scale = 3;
  });
  EXPECT_THAT(broken_rules(plan, bug), Contains("syn-ack-options"));
}

TEST(PlantedBug, SequenceNumberOfSynAckChanges) {
  // The SYN-ACK is lost for a while, and so is sent again.
  Plan plan = make_quiet_plan(7, kBytes);
  plan.link.drop_send = 1;
  plan.link.faults_end = 5s;
  const Sabotage bug = edit_to_guest([n = 0U](wire::TcpSegment& s, FrameBytes&) mutable {
    if (s.flags.syn) s.sequence += ++n;
  });
  EXPECT_THAT(broken_rules(plan, bug), Contains("syn-ack-changed"));
}

TEST(PlantedBug, DataChanged) {
  EXPECT_THAT(broken_by(from_data(5, [](auto&, auto& payload) { payload.back() ^= 1; })),
              Contains("prefix-to-guest"));
}

TEST(PlantedBug, DataSkipped) {
  EXPECT_THAT(broken_by(from_data(5, [](auto& s, auto&) { s.sequence -= 1; })), Contains("prefix-to-guest"));
}

TEST(PlantedBug, SegmentAboveTheMss) {
  Plan plan = make_quiet_plan(7, kBytes);
  plan.flows[0].from.mss = 1000;
  const Sabotage bug = edit_from_guest([](wire::TcpSegment& s, FrameBytes&) {
    if (s.flags.syn) s.options.mss = std::uint16_t{1460};
  });
  EXPECT_THAT(broken_rules(plan, bug), Contains("mss"));
}

TEST(PlantedBug, MoreThanTheWindow) {
  Plan plan = make_quiet_plan(7, kBytes);
  plan.flows[0].from.receive_buffer = 3000;
  plan.flows[0].from.scale = 0;
  const Sabotage bug = edit_from_guest([](wire::TcpSegment& s, FrameBytes&) {
    if (!s.flags.syn) s.window = 60'000;
  });
  EXPECT_THAT(broken_rules(plan, bug), Contains("window-overrun"));
}

TEST(PlantedBug, ResetForNothing) {
  EXPECT_THAT(broken_by(from_data(5, [](auto& s, auto&) { s.flags.rst = true; })),
              Contains("unexpected-reset"));
}

TEST(PlantedBug, FinTooEarly) {
  EXPECT_THAT(broken_by(from_data(5, [](auto& s, auto&) { s.flags.fin = true; })), Contains("fin-early"));
}

// A stack that throws away what came in window, and leaves it to the guest to send it again.
TEST(PlantedBug, DropsWhatCameInWindow) {
  const auto bug = from_data(10, [done = false](auto& s, auto& payload) mutable {
    if (std::exchange(done, true)) return;
    s.flags.fin = false;
    payload.clear();
  });
  EXPECT_THAT(broken_rules(make_quiet_plan(7, kBytes), edit_from_guest(bug)), Contains("in-window-dropped"));
}

// The last ACK is lost, and the FIN that comes again is answered by a reset.
TEST(PlantedBug, NoTimeWait) {
  Plan plan = make_quiet_plan(7, kBytes);
  plan.flows[0].from.close = GuestClose::after_peer_fin;
  const auto bug = [fins = 0](wire::TcpSegment& s, FrameBytes&) mutable {
    // The stack's FIN, then its ACK of the guest's.
    if (s.flags.fin) fins = 1;
    if (fins > 0 && ++fins > 3) s.flags.rst = true;
  };
  EXPECT_THAT(broken_rules(plan, edit_to_guest(bug)), Contains("time-wait"));
}

class BadChecksum final : public PassLink {
 public:
  using PassLink::PassLink;
  [[nodiscard]] link::Status send(std::span<const Bytes> parts, const wire::Offload& offload) override {
    FrameBytes frame;
    for (const Bytes& part : parts) frame.insert(frame.end(), part.begin(), part.end());
    frame.back() ^= 1;
    const Bytes whole[] = {frame};
    return PassLink::send(whole, offload);
  }
};

TEST(PlantedBug, BadChecksum) {
  const auto rules = broken_rules(make_quiet_plan(7, kBytes), link_bug<BadChecksum>());
  EXPECT_THAT(rules, Contains("checksum"));
}

class FalseFeatures final : public PassLink {
 public:
  using PassLink::PassLink;
  [[nodiscard]] link::Features features() const override {
    return {.checksum = true, .tcp4_gso = true, .tcp6_gso = true};
  }
};

TEST(PlantedBug, AsksForOffloadsThatAreNotThere) {
  EXPECT_THAT(broken_rules(make_quiet_plan(7, kBytes), link_bug<FalseFeatures>()), Contains("offload"));
}

}  // namespace
}  // namespace sf::sim
