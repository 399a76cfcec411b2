#include "sim/day.hh"

#include <fmt/core.h>

#include <algorithm>

#include "sim/allocations.hh"
#include "sim/pass_through.hh"
#include "sim/scenario.hh"

namespace sf::sim {
namespace {

// What tables and queues may grow by after the first hour, which is the busiest; and what a connection may
// have.
constexpr std::size_t kMemorySlack = 12 * 1024;
constexpr std::size_t kMemoryPerFlow = 512;
// In an hour in which nothing begins: a router advertisement every ten minutes, and for each connection that
// stands or that ends in it a few probes.
constexpr std::uint64_t kAdvertisements = 6;
constexpr std::uint64_t kIdleWakeUpsPerFlow = 20;
// In the last ten minutes of any; a connection of which one half has ended is probed every minute.
constexpr std::uint64_t kLateWakeUps = 2;
constexpr std::uint64_t kLateWakeUpsPerFlow = 11;
// Until an idle connection has been found to have no guest.
constexpr Duration kUntilProbed = 125min;
constexpr std::uint64_t kMostTurns = 20'000'000;

class NoWatch final : public FrameWatch {
 public:
  void on_received(Bytes, const wire::Offload&) override {}
  void on_sent(Bytes, const wire::Offload&, bool) override {}
};

Plan make_base(const DaySetup& setup) {
  Plan plan = make_quiet_plan(setup.seed, 0);
  plan.flows.clear();
  plan.network.ipv6 = setup.ipv6;
  plan.link.loss = 0.002;
  plan.link.duplicate = 0.001;
  plan.link.reorder = 0.005;
  plan.link.corrupt = 0.001;
  plan.link.jitter = 50us;
  plan.link.faults_end = std::chrono::hours{Day::kHours};
  plan.host.spurious = 0.001;
  for (const bool v4 : {true, false}) {
    if (!v4 && !setup.ipv6) continue;
    const Address base = v4 ? Address::v4(198, 51, 100, 0) : *Address::parse("2001:db8:7::");
    plan.datagram_servers.push_back({{base.plus(1), 7}, DatagramService::echo});
    plan.datagram_servers.push_back({{base.plus(2), 9}, DatagramService::black_hole});
    plan.datagram_servers.push_back({{base.plus(3), 11}, DatagramService::refuse});
  }
  plan.datagram_servers.push_back({{Address::v4(198, 51, 100, 53), 53}, DatagramService::name_server});
  return plan;
}

// What they allocate is not the shard's.
class UncountedLink final : public PassLink {
 public:
  using PassLink::PassLink;
  [[nodiscard]] link::Status receive(MutBytes buffer, link::Frame& frame) override {
    const Counting off(false);
    return PassLink::receive(buffer, frame);
  }
  [[nodiscard]] link::Status send(std::span<const Bytes> parts, const wire::Offload& offload) override {
    const Counting off(false);
    return PassLink::send(parts, offload);
  }
};

class UncountedHost final : public PassHost {
 public:
  using PassHost::PassHost;
  [[nodiscard]] tl::expected<host::SocketId, host::HostError> connect_stream(const Endpoint& to,
                                                                             host::Token token) override {
    const Counting off(false);
    return PassHost::connect_stream(to, token);
  }
  [[nodiscard]] host::HostError finish_connect(host::SocketId socket) override {
    const Counting off(false);
    return PassHost::finish_connect(socket);
  }
  [[nodiscard]] host::IoResult send(host::SocketId socket, std::span<const Bytes> pieces) override {
    const Counting off(false);
    return PassHost::send(socket, pieces);
  }
  [[nodiscard]] host::IoResult receive(host::SocketId socket, std::span<const MutBytes> into) override {
    const Counting off(false);
    return PassHost::receive(socket, into);
  }
  [[nodiscard]] tl::expected<host::SocketId, host::HostError> listen_stream(
      const Endpoint& at, host::Token token, host::PortSharing sharing) override {
    const Counting off(false);
    return PassHost::listen_stream(at, token, sharing);
  }
  [[nodiscard]] tl::expected<host::Accepted, host::HostError> accept_stream(
      host::SocketId listener) override {
    const Counting off(false);
    return PassHost::accept_stream(listener);
  }
  [[nodiscard]] bool watch(host::SocketId socket, host::Token token) override {
    const Counting off(false);
    return PassHost::watch(socket, token);
  }
  [[nodiscard]] tl::expected<host::SocketId, host::HostError> bind_datagram(const Endpoint& at,
                                                                            host::Token token) override {
    const Counting off(false);
    return PassHost::bind_datagram(at, token);
  }
  void shutdown_send(host::SocketId socket) override {
    const Counting off(false);
    PassHost::shutdown_send(socket);
  }
  void keep_alive(host::SocketId socket) override {
    const Counting off(false);
    PassHost::keep_alive(socket);
  }
  void abort(host::SocketId socket) override {
    const Counting off(false);
    PassHost::abort(socket);
  }
  [[nodiscard]] tl::expected<host::SocketId, host::HostError> open_datagram(host::DatagramKind kind, bool v4,
                                                                            host::Token token) override {
    const Counting off(false);
    return PassHost::open_datagram(kind, v4, token);
  }
  [[nodiscard]] host::HostError send_datagram(host::SocketId socket, const Endpoint& to, Bytes payload,
                                              const host::DatagramOptions& options) override {
    const Counting off(false);
    return PassHost::send_datagram(socket, to, payload, options);
  }
  [[nodiscard]] std::span<const host::ReceivedDatagram> receive_datagrams(host::SocketId socket) override {
    const Counting off(false);
    return PassHost::receive_datagrams(socket);
  }
  [[nodiscard]] bool receive_error(host::SocketId socket, host::DatagramError& error) override {
    const Counting off(false);
    return PassHost::receive_error(socket, error);
  }
  void close(host::SocketId socket) override {
    const Counting off(false);
    PassHost::close(socket);
  }
};

}  // namespace

std::string DayResult::report() const {
  std::string text;
  for (const Violation& violation : violations) {
    text += fmt::format("  {:.3f} {}: {}\n",
                        std::chrono::duration<double>(violation.at.time_since_epoch()).count(),
                        violation.rule, violation.message);
  }
  return text;
}

Day::Day(const DaySetup& setup)
    : setup_(setup),
      world_(setup.seed, {}, setup.trace, setup.start),
      plan_(make_base(setup)),
      watch_(std::make_unique<NoWatch>()),
      link_(world_, plan_.link, *watch_),
      host_(world_, plan_),
      guest_(world_, plan_, link_),
      server_(world_, guest_, plan_.network),
      checks_(world_, plan_.stack),
      shard_link_(std::make_unique<UncountedLink>(link_)),
      shard_host_(std::make_unique<UncountedHost>(host_)),
      log_(LogLevel::error, [](LogLevel, std::string_view line) { fmt::print(stderr, "{}\n", line); }),
      hour_(setup.start),
      deadline_(setup.start) {
  link_.set_guest([this](Frame frame, bool damaged) { guest_.on_frame(std::move(frame), damaged); });
  guest_.listen([this](const ParsedFrame& frame) { return server_.on_frame(frame); });
  engine::ShardConfig config;
  config.network = plan_.network;
  config.key = {mix(setup.seed), mix(setup.seed + 1)};
  config.guest.mac = kGuestMac;
  const Counting on(true);
  shard_ = std::make_unique<engine::Shard>(config, *shard_link_, *shard_host_, log_);
}

DayResult Day::run() {
  for (unsigned hour = 0; hour < kHours && world_.violations().empty(); ++hour) {
    hour_ = setup_.start + std::chrono::hours{hour};
    wake_ups_ = late_wake_ups_ = 0;
    begin_hour(hour);
    run_until(hour_ + 50min);
    late_wake_ups_ = wake_ups_;
    run_until(hour_ + 60min);
    late_wake_ups_ = wake_ups_ - late_wake_ups_;
    if (world_.violations().empty()) mark(hour);
  }
  result_.violations = world_.violations();
  result_.frames = link_.activity();
  return result_;
}

void Day::run_until(Time end) {
  while (world_.violations().empty()) {
    if (result_.turns >= kMostTurns) return world_.violation("runaway", "{} turns", result_.turns);
    const Time event = world_.next_event();
    Time turn = kNever;
    if (link_.has_edge() || host_.has_events()) turn = std::max(world_.now(), busy_until_);
    if (deadline_ != kNever) turn = std::min(turn, std::max({deadline_, world_.now(), busy_until_}));
    const Time next = std::min(event, turn);
    if (next > end) break;
    world_.advance(next);
    if (event > turn) take_turn();
  }
  if (world_.violations().empty()) world_.advance(end);
}

void Day::take_turn() {
  ++result_.turns;
  const Time now = world_.now();
  const std::vector<SimHost::Event> events = host_.take_events();
  const bool readable = link_.take_edge();
  const std::uint64_t before = link_.activity() + host_.activity();
  if (!readable && events.empty() && deadline_ <= now) ++wake_ups_;
  {
    const Counting on(true);
    for (const SimHost::Event& event : events) shard_->on_socket_event(event.token, event.readiness, now);
    if (readable) shard_->on_link_readable(now);
    deadline_ = shard_->end_turn(now);
  }
  checks_.on_turn({.events = !events.empty() || readable,
                   .active = link_.activity() + host_.activity() != before,
                   .unread = link_.unread(),
                   .deadline = deadline_});
  busy_until_ = now + 10us;
}

unsigned Day::published_sockets() const {
  unsigned sockets = 0;
  for (const engine::PublishedPort& port : shard_->published().list()) {
    sockets += setup_.ipv6 && !port.rule.host_address ? 2U : 1U;
  }
  return sockets;
}

// The shard is weighed, long after the hour's traffic.
void Day::mark(unsigned hour) {
  const Time now = world_.now();
  for (DayFlow& flow : flows_) {
    if (flow.kind != DayKind::aborted || flow.gone_by > now || !flow.ledger->socket_open) continue;
    flow.kind = DayKind::dropped;
    flow.gone_by = now + kUntilProbed;
  }
  const auto still = [&](const DayFlow& flow) { return flow.gone_by > now; };
  const auto least = static_cast<std::size_t>(
      std::ranges::count_if(flows_, [&](const DayFlow& flow) { return flow.stands_until > now; }));
  const auto most = static_cast<std::size_t>(std::ranges::count_if(flows_, still));
  const std::size_t flows = shard_->flow_count();
  if (flows < least || flows > most) {
    world_.violation("day-flows", "hour {}: {} flows; {} to {} connections stand", hour, flows, least, most);
  }
  const std::size_t sockets = host_.open_sockets();
  if (sockets != flows + published_sockets()) {
    world_.violation("day-sockets", "hour {}: {} sockets for {} flows and {} of published ports: {}", hour,
                     sockets, flows, published_sockets(), host_.describe_open());
  }
  const engine::ShardStats stats = shard_->stats();
  if (stats.pieces_in_use != 0) {
    world_.violation("day-pieces", "hour {}: {} pieces of payload memory", hour, stats.pieces_in_use);
  }
  if (stats.timers > flows) {
    world_.violation("day-timers", "hour {}: {} timers for {} flows", hour, stats.timers, flows);
  }
  if (stats.reassembly_memory != 0) {
    world_.violation("day-fragments", "hour {}: {} bytes for fragments", hour, stats.reassembly_memory);
  }
  if (flows == 0 && !setup_.ipv6 && deadline_ != kNever) {
    world_.violation("day-rest", "hour {}: nothing is there, and a deadline is", hour);
  }
  const std::uint64_t late = (setup_.ipv6 ? kLateWakeUps : 0) + kLateWakeUpsPerFlow * most;
  if (late_wake_ups_ > late) {
    world_.violation("day-wake-ups", "hour {}: {} wake-ups in ten quiet minutes", hour, late_wake_ups_);
  }
  if (is_idle(hour)) {
    result_.most_idle_wake_ups = std::max(result_.most_idle_wake_ups, wake_ups_);
    const std::uint64_t idle = (setup_.ipv6 ? kAdvertisements : 0) + kIdleWakeUpsPerFlow * flows_before_;
    if (wake_ups_ > idle) {
      world_.violation("day-wake-ups", "hour {}: {} wake-ups, and nothing begins", hour, wake_ups_);
    }
  }
  flows_before_ = flows;
  const std::size_t memory = stack_memory();
  if (hour == 0) result_.memory_first = memory;
  result_.memory_last = memory;
  if (memory > result_.memory_first + kMemorySlack + kMemoryPerFlow * flows) {
    world_.violation("day-memory", "hour {}: {} bytes, {} after the first hour", hour, memory,
                     result_.memory_first);
  }
  for (DayFlow& flow : flows_) {
    if (still(flow)) continue;
    check_flow(flow);
    over_.push_back(std::move(flow));
  }
  std::erase_if(flows_, [](const DayFlow& flow) { return flow.ledger == nullptr; });
}

void Day::check_flow(const DayFlow& flow) {
  const Ledger& ledger = *flow.ledger;
  const std::string name =
      fmt::format("{} to {}", ledger.plan.guest.to_string(), ledger.plan.server.to_string());
  const GuestOutcome outcome = ledger.outcome;
  ++result_.connections;
  result_.bytes += ledger.guest_received + ledger.consumed;
  if (ledger.socket_open) world_.violation("day-socket", "{}: its socket is still open", name);
  switch (flow.kind) {
    case DayKind::whole: {
      const bool all = ledger.consumed == ledger.plan.from.send_bytes &&
                       ledger.guest_received == ledger.plan.peer.send_bytes && ledger.peer_saw_fin &&
                       ledger.guest_saw_fin;
      // The very last ACK may be lost for longer than the shard waits for it.
      const bool ended =
          outcome == GuestOutcome::done || outcome == GuestOutcome::reset || outcome == GuestOutcome::gave_up;
      if (all && ended) {
        ++result_.whole;
        return;
      }
      world_.violation("day-whole", "{}: {}; {} of {} bytes from the guest, {} of {} to it", name,
                       to_string(outcome), ledger.consumed, ledger.plan.from.send_bytes,
                       ledger.guest_received, ledger.plan.peer.send_bytes);
      return;
    }
    case DayKind::failed:
      if (outcome == GuestOutcome::pending || outcome == GuestOutcome::done ||
          outcome == GuestOutcome::gave_up)
        world_.violation("day-failed", "{}: {}", name, to_string(outcome));
      return;
    case DayKind::reset:
      if (outcome != GuestOutcome::reset) world_.violation("day-reset", "{}: {}", name, to_string(outcome));
      return;
    case DayKind::dropped:
    case DayKind::aborted:
      return;
  }
}

}  // namespace sf::sim
