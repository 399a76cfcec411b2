#include "sim/simulation.hh"

#include <algorithm>

#include "sim/final_checks.hh"
#include "sim/guest.hh"
#include "sim/noise.hh"
#include "sim/sim_host.hh"
#include "sim/turn_checks.hh"
#include "sim/watches.hh"

namespace sf::sim {
namespace {

// Far beyond every timeout of TCP, keep-alive's two hours included.
constexpr Duration kLongest = std::chrono::hours{8};
constexpr std::uint64_t kMostTurns = 3'000'000;
// A stack without flows may wake as seldom as this and count as at rest (router advertisements).
constexpr Duration kRest = 5min;

class Simulation {
 public:
  Simulation(const Plan& plan, const StackFactory& factory, Trace* trace, const Sabotage& sabotage)
      : plan_(plan),
        world_(plan.seed, plan_.choices, trace),
        watches_(world_, plan),
        link_(world_, plan_.link, watches_),
        host_(world_, plan_),
        guest_(world_, plan_, link_),
        noise_(world_, plan_, link_),
        checks_(world_, plan_.stack),
        excused_(sabotage.excused) {
    link_.set_guest([this](Frame frame, bool damaged) { guest_.on_frame(std::move(frame), damaged); });
    for (const FlowPlan& flow : plan_.flows) {
      Ledger& ledger = *ledgers_.emplace_back(std::make_unique<Ledger>(flow));
      host_.add_flow(ledger);
      watches_.add_flow(ledger);
      guest_.add_flow(ledger);
    }
    if (plan_.link.gone_at > Duration{0}) {
      world_.after(plan_.link.gone_at, [this] {
        link_.disappear();
        gone_ = true;
      });
    }
    if (sabotage.link) wrapped_link_ = sabotage.link(world_, link_);
    if (sabotage.host) wrapped_host_ = sabotage.host(world_, host_);
    stack_ = factory(wrapped_link_ ? *wrapped_link_ : link_, wrapped_host_ ? *wrapped_host_ : host_, plan_);
    reactor_ = stack_.reactor.get();
    if (sabotage.reactor) {
      wrapped_reactor_ = sabotage.reactor(world_, *reactor_);
      reactor_ = wrapped_reactor_.get();
    }
  }

  Result run() {
    deadline_ = start_;  // as the event loop, which begins with a turn
    while (world_.violations().empty() && result_.turns < kMostTurns && step(start_ + kLongest)) {
    }
    if (result_.turns == kMostTurns) world_.violation("runaway", "{} turns and no end", kMostTurns);
    if (world_.violations().empty() && !gone_) {
      check_end(world_, plan_, ledgers_, excused_);
      if (stack_.flows() == 0 && !at_rest()) {
        world_.violation("never-at-rest", "still waking up long after all is over: {}", plan_.summary);
      }
      check_datagrams();
      check_leaks(world_, stack_, host_);
    }
    result_.violations = world_.violations();
    result_.frames = link_.activity();
    result_.answers = guest_.datagrams().answers();
    result_.last_done = last_done();
    result_.virtual_time = world_.now() - start_;
    for (const auto& ledger : ledgers_) {
      result_.bytes += ledger->guest_received + ledger->consumed;
      if (ledger->outcome == GuestOutcome::done) ++result_.completed;
    }
    return result_;
  }

 private:
  // Where nothing was lost on the way, every datagram has to have arrived.
  void check_datagrams() {
    const GuestDatagrams& datagrams = guest_.datagrams();
    const HostPlan& host = plan_.host;
    const bool lossless = !link_.faulty() && host.datagram_loss == 0 && host.datagram_full == 0;
    if (!lossless || plan_.stack.scarce_memory()) return;
    if (datagrams.answers() < datagrams.expected_answers()) {
      world_.violation("datagram-lost", "{} answers to {} datagrams, pings and queries", datagrams.answers(),
                       datagrams.expected_answers());
    }
    if (datagrams.errors() == 0 && datagrams.expects_errors()) {
      world_.violation("error-lost", "no ICMP error although a server refuses datagrams");
    }
  }
  [[nodiscard]] Duration last_done() const {
    Time last{};
    for (const auto& ledger : ledgers_) last = std::max(last, ledger->ended);
    return last - start_;
  }

  // The next thing that happens, in the world or in the stack. False where nothing is to come, or not before
  // `limit`.
  bool step(Time limit) {
    const Time event = world_.next_event();
    Time turn = kNever;
    if (link_.has_edge() || host_.has_events()) turn = std::max(world_.now(), busy_until_);
    if (deadline_ != kNever)
      turn = std::min(turn, std::max({deadline_ + lateness_, world_.now(), busy_until_}));
    const Time next = std::min(event, turn);
    if (next == kNever || next > limit ||
        (event == kNever && !link_.has_edge() && !host_.has_events() && stack_.flows() == 0 && at_rest())) {
      return false;
    }
    world_.advance(next);
    if (event > turn) take_turn();
    return world_.violations().empty() && !(gone_ && !reactor_->alive());
  }

  [[nodiscard]] bool at_rest() const { return deadline_ == kNever || deadline_ >= world_.now() + kRest; }

  void take_turn() {
    ++result_.turns;
    const Time now = world_.now();
    const std::vector<SimHost::Event> events = host_.take_events();
    const bool readable = link_.take_edge();
    const std::uint64_t before = link_.activity() + host_.activity();
    const std::size_t place = world_.random().below(events.size() + 1);
    for (std::size_t i = 0; i <= events.size(); ++i) {
      if (readable && i == place) reactor_->on_link_readable(now);
      if (i < events.size()) reactor_->on_socket_event(events[i].token, events[i].readiness, now);
    }
    deadline_ = reactor_->end_turn(now);
    watches_.on_turn_end();
    checks_.on_turn({.events = !events.empty() || readable,
                     .active = link_.activity() + host_.activity() != before,
                     .unread = link_.unread() && !gone_,
                     .deadline = deadline_});
    const bool alive = reactor_->alive();
    if (!alive && !gone_)
      world_.violation("alive", "the reactor says that it is done although its link stands");
    if (alive && gone_ && readable)
      world_.violation("alive", "the reactor has not noticed that its link is gone");
    // Events gather while a turn runs, and a machine wakes late rather than early.
    busy_until_ = now + world_.random().duration(1us, 30us);
    lateness_ = world_.random().chance(0.3) ? world_.random().duration(0us, 1ms) : Duration{0};
  }

  const Plan plan_;
  World world_;
  const Time start_ = world_.now();
  std::vector<std::unique_ptr<Ledger>> ledgers_;
  Watches watches_;
  SimLink link_;
  SimHost host_;
  Guest guest_;
  Noise noise_;
  TurnChecks checks_;
  std::function<bool(const FlowPlan&)> excused_;
  std::unique_ptr<link::Link> wrapped_link_;
  std::unique_ptr<host::Host> wrapped_host_;
  Stack stack_;
  std::unique_ptr<host::Reactor> wrapped_reactor_;
  host::Reactor* reactor_ = nullptr;
  Time deadline_ = kNever;
  Time busy_until_{};
  Duration lateness_{0};
  bool gone_ = false;
  Result result_;
};

}  // namespace

std::string Result::report() const {
  std::string text;
  for (const Violation& violation : violations) {
    text += fmt::format("  {:.6f} {}: {}\n",
                        std::chrono::duration<double>(violation.at.time_since_epoch()).count(),
                        violation.rule, violation.message);
  }
  return text;
}

Result run(const Plan& plan, const StackFactory& factory, Trace* trace, const Sabotage& sabotage) {
  return Simulation(plan, factory, trace, sabotage).run();
}

}  // namespace sf::sim
