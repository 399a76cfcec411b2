// What happens in an hour of the day.
#include <algorithm>

#include "sim/allocations.hh"
#include "sim/day.hh"
#include "wire/dhcp.hh"

namespace sf::sim {
namespace {

constexpr std::uint16_t kShortPorts = 10'000;
constexpr std::uint16_t kLongPorts = 20'000;
constexpr std::uint16_t kUdpPorts = 30'000;
constexpr std::uint16_t kPublished = 9000;  // and up: on the host
constexpr Duration kGone = 45min;           // of all that is over within its hour
constexpr Duration kPowerCut = 20min;

Address any(bool v4) {
  return v4 ? Address::v4(0) : Address();
}

}  // namespace

Endpoint Day::guest_end(bool v4, std::uint16_t port) const {
  return {v4 ? plan_.network.guest4 : plan_.network.prefix6.base.plus(0x100), port};
}

FlowPlan Day::flow_plan(Duration start) {
  Random& random = world_.random();
  const bool v4 = draw_v4();
  const std::uint16_t index = next_++;
  FlowPlan plan;
  plan.guest = guest_end(v4, static_cast<std::uint16_t>(kShortPorts + index));
  const Address servers = v4 ? Address::v4(203, 0, 113, 0) : *Address::parse("2001:db8:5::");
  plan.server = {servers.plus(1 + index % 50), static_cast<std::uint16_t>(2000 + index)};
  plan.start = start;
  plan.key = random.next();
  plan.from.isn = static_cast<std::uint32_t>(random.chance(0.25) ? 0 - random.below(3000) : random.next());
  // Half of the guest's clocks wrap when ours would.
  plan.from.timestamp_offset = random.chance(0.5) ? 0 : static_cast<std::uint32_t>(random.next());
  plan.from.offer_timestamps = random.chance(0.9);
  plan.peer.connect_delay = random.duration(1ms, 100ms);
  return plan;
}

void Day::add(const FlowPlan& plan, DayKind kind, Duration stands, Duration gone) {
  DayFlow flow{std::make_unique<Ledger>(plan), kind, world_.now() + stands, world_.now() + gone};
  flow.ledger->reached_stack = UINT64_MAX;  // nobody watches the door
  host_.add_flow(*flow.ledger);
  guest_.add_flow(*flow.ledger);
  flows_.push_back(std::move(flow));
}

void Day::begin_hour(unsigned hour) {
  next_ = 0;
  result_.answers += guest_.datagrams().answers();
  auto plan = std::make_unique<Plan>(plan_);
  if (is_idle(hour)) {
    guest_.begin_datagrams(*plan);
    hours_.push_back(std::move(plan));
    return;
  }
  hours_.push_back(std::move(plan));
  short_connections(hour);
  transfers();
  half_open();
  silent_ends(hour);
  long_lived(hour);
  datagrams();
  fragments();
  dhcp();
  published(hour);
  if (loses_power(hour)) world_.after(kPowerCut, [this] { power_cut(); });
}

void Day::short_connections(unsigned hour) {
  Random& random = world_.random();
  for (const Duration burst : {Duration{1min}, Duration{13min}, Duration{27min}}) {
    for (unsigned i = 0; i < count(hour == 0 ? 600 : 300); ++i) {
      FlowPlan plan = flow_plan(burst + random.duration(0s, 2s));
      plan.from.send_bytes = random.between(1, 2000);
      plan.peer.send_bytes = random.between(0, 20'000);
      if (random.chance(0.3)) {
        plan.from.close = GuestClose::after_peer_fin;
      } else if (random.chance(0.3)) {
        plan.peer.close = PeerClose::after_guest_fin;
      }
      DayKind kind = DayKind::whole;
      if (random.chance(0.1)) {
        kind = DayKind::failed;
        plan.peer.outcome = random.pick({ConnectOutcome::refused, ConnectOutcome::net_unreachable,
                                         ConnectOutcome::host_unreachable, ConnectOutcome::failed_at_once});
      } else if (random.chance(0.05)) {
        kind = DayKind::aborted;
        plan.from.close = GuestClose::abort;
        plan.from.close_at = random.below(plan.from.send_bytes + plan.peer.send_bytes);
      } else if (random.chance(0.05)) {
        kind = DayKind::dropped;
        plan.peer.close = PeerClose::reset;
        plan.peer.close_at = random.below(plan.from.send_bytes + plan.peer.send_bytes);
      }
      add(plan, kind, 0s, kGone);
    }
  }
}

void Day::transfers() {
  Random& random = world_.random();
  for (unsigned i = 0; i < count(6); ++i) {
    FlowPlan plan = flow_plan(random.duration(2min, 15min));
    plan.from.send_bytes = plan.peer.send_bytes = 1'500'000;
    plan.from.write_chunk = plan.peer.send_chunk = 50'000;
    plan.from.write_interval = plan.peer.send_interval = 30s;
    if (i % 3 == 1) {
      plan.peer.read_chunk = 60'000;
      plan.peer.read_interval = 25s;
    }
    if (i % 3 == 2) {
      plan.from.pause_at = 200'000;
      plan.from.pause = 6min;
    }
    add(plan, DayKind::whole, 0s, kGone);
  }
}

void Day::half_open() {
  Random& random = world_.random();
  for (unsigned i = 0; i < count(12); ++i) {
    FlowPlan guest = flow_plan(random.duration(1min, 30min));
    guest.from.close = GuestClose::never_answer;
    add(guest, DayKind::dropped, 0s, kGone);
    FlowPlan host = flow_plan(random.duration(1min, 30min));
    host.peer.outcome = ConnectOutcome::silent;
    add(host, DayKind::failed, 0s, kGone);
  }
}

// Connections of which one end falls silent while it has something to say or to acknowledge.
void Day::silent_ends(unsigned hour) {
  Random& random = world_.random();
  const auto plan_at = [&](Duration latest) { return flow_plan(random.duration(1min, latest)); };
  for (unsigned i = 0; i < count(6); ++i) {
    FlowPlan with_data = plan_at(30min);
    with_data.peer.send_bytes = 200'000;
    with_data.from.close = GuestClose::vanish;
    with_data.from.close_at = 1000;
    add(with_data, DayKind::dropped, 0s, kGone);

    // FIN-WAIT-2 at our end: the guest has acknowledged the host's FIN, and its own never comes.
    FlowPlan no_fin = plan_at(25min);
    no_fin.peer.send_bytes = 500;
    no_fin.from.send_bytes = 300;
    no_fin.from.close = GuestClose::vanish_after_peer_fin;
    add(no_fin, DayKind::dropped, 0s, kGone);

    // At the guest's end: it gives up waiting for the host's FIN, and knows nothing of it any more.
    FlowPlan no_host_fin = plan_at(30min);
    no_host_fin.from.send_bytes = 300;
    no_host_fin.from.fin_wait = 60s;
    no_host_fin.peer.close = PeerClose::never;
    add(no_host_fin, DayKind::dropped, 0s, kGone);

    // The guest has said all, and been told that it has arrived; the host takes no more of it.
    FlowPlan through = plan_at(20min);
    through.from.send_bytes = 300'000;
    through.peer.vanish_at = 100'000;
    add(through, DayKind::dropped, 0s, kGone);
    // The same, and the host is there, and shuts its window.
    FlowPlan shut = plan_at(20min);
    shut.from.send_bytes = 300'000;
    shut.peer.read_chunk = 1;
    shut.peer.read_interval = 20h;
    add(shut, DayKind::dropped, 0s, kGone);

    if (loses_power(hour)) continue;
    FlowPlan silent_host = plan_at(20min);
    silent_host.from.send_bytes = 1'500'000;
    silent_host.peer.vanish_at = 100'000;
    silent_host.peer.close = PeerClose::never;
    add(silent_host, DayKind::reset, 0s, kGone);
  }
}

void Day::long_lived(unsigned hour) {
  const auto begin = [&](Duration start) {
    FlowPlan plan = flow_plan(start);
    --next_;
    plan.guest.port = plan.server.port = static_cast<std::uint16_t>(kLongPorts + long_++);
    plan.peer.send_bytes = 10;
    plan.peer.close = PeerClose::after_guest_fin;
    plan.from.send_bytes = 2;
    plan.from.write_chunk = 1;
    return plan;
  };
  const auto in = [&](std::initializer_list<unsigned> hours) { return std::ranges::count(hours, hour) > 0; };
  if (in({0, 4, 7, 11, 18})) {
    // Not a word for longer than RFC 5382 asks for, and then the rest.
    for (const Duration idle : {Duration{150min}, Duration{128min}}) {
      FlowPlan plan = begin(10min);
      plan.from.write_interval = idle;
      add(plan, DayKind::whole, idle + 9min, idle + 25min);
    }
  }
  if (in({4, 10})) {
    FlowPlan plan = begin(10min);
    plan.from.write_interval = 300min;
    plan.from.keep_alive = 10min;
    add(plan, DayKind::whole, 309min, 325min);
  }
  if (in({2, 12})) {
    FlowPlan plan = begin(5min);
    plan.from.write_interval = 300min;
    plan.from.keep_alive = 10min;
    plan.peer.vanish_at = 11;
    add(plan, DayKind::reset, 15min, kGone);
  }
  if (in({0, 4, 11, 16, 18})) {
    // It says what it has to say, and its guest is never heard of again: kept for 2 h 4 min at least, and not
    // for ever.
    constexpr Duration kStart = 56min + 30s;
    const FlowPlan plan = [&] {
      FlowPlan made = begin(kStart);
      made.from.write_interval = 10h;
      return made;
    }();
    add(plan, DayKind::dropped, kStart + 124min, kStart + 133min);
    world_.after(kStart + 20s, [this, plan] { guest_.fall_silent(plan.guest, plan.server); });
  }
  if (in({10})) {
    // The host has ended its half, and the guest goes on for two hours.
    FlowPlan plan = begin(10min);
    plan.peer.close = PeerClose::after_send;
    plan.from.send_bytes = 4;
    plan.from.write_interval = 40min;
    add(plan, DayKind::whole, 129min, 145min);
  }
}

void Day::datagrams() {
  Random& random = world_.random();
  Plan& plan = *hours_.back();
  for (unsigned i = 0; i < count(60); ++i) {
    const bool v4 = draw_v4();
    DatagramPlan socket;
    socket.guest = guest_end(v4, static_cast<std::uint16_t>(kUdpPorts + i));
    const std::size_t first = v4 ? 0 : 3;
    for (std::size_t server = first; server < first + 3; ++server) {
      if (random.chance(0.5)) socket.servers.push_back(server);
    }
    if (socket.servers.empty()) socket.servers.push_back(first);
    socket.start = random.duration(0s, 25min);
    socket.count = static_cast<std::uint32_t>(random.between(1, 10));
    socket.size = random.pick<std::uint32_t>({20, 500, 1400, 4000});
    socket.interval = random.pick<Duration>({1ms, 100ms, 60s, 70s});
    plan.datagrams.push_back(socket);
  }
  for (unsigned i = 0; i < count(10); ++i) {
    const bool v4 = draw_v4();
    plan.pings.push_back({.guest = guest_end(v4, 0).address,
                          .server = plan_.datagram_servers[v4 ? 0 : 3].at.address,
                          .id = static_cast<std::uint16_t>(500 + i),
                          .start = random.duration(0s, 30min)});
  }
  plan.noise = {.malformed = count(20),
                .chaos = count(20),
                .services = count(12),
                .queries = count(30),
                .period = 30min};
  guest_.begin_datagrams(plan);
  noise_.push_back(std::make_unique<Noise>(world_, plan, link_));
}

// Each lacks one.
void Day::fragments() {
  Random& random = world_.random();
  for (unsigned i = 0; i < count(30); ++i) {
    world_.after(random.duration(0s, 35min), [this, v4 = draw_v4()] {
      const Endpoint from = guest_end(v4, kNoisePorts + 1);
      const Endpoint to = plan_.datagram_servers[v4 ? 1 : 4].at;
      const FrameBytes packet = build_udp(from, to, FrameBytes(4000));
      const Addressing addressing{kGuestMac, plan_.network.gateway_mac, from.address, to.address};
      const auto id = static_cast<std::uint16_t>(world_.random().next());
      std::vector<Frame> frames = build_ip(addressing, 17, packet, plan_.network.mtu, id);
      const std::size_t missing = world_.random().below(frames.size());
      for (std::size_t at = 0; at < frames.size(); ++at) {
        if (at != missing) link_.from_guest(std::move(frames[at]));
      }
    });
  }
}

// Renewals, and requests by ever new names.
void Day::dhcp() {
  for (unsigned i = 0; i < 40; ++i) {
    world_.after(i * 1min, [this] {
      const std::uint32_t number = dhcp_++;
      wire::DhcpMessage message;
      message.transaction = number;
      message.hardware = kGuestMac;
      message.type = number % 3 == 0 ? wire::DhcpType::discover : wire::DhcpType::request;
      if (number % 3 != 0) {
        message.requested_address = plan_.network.dhcp_first.plus(number % 20);
        message.server_id = plan_.network.gateway4;
      }
      message.client_id = {0, static_cast<std::uint8_t>(number % 50)};
      FrameBytes bytes(wire::kDhcpMaxSize);
      Writer out{bytes};
      message.emit(out);
      const Endpoint from{Address::v4(0), wire::kDhcpClientPort};
      const Endpoint to{Address::v4(0xffffffff), wire::kDhcpServerPort};
      const Addressing addressing{kGuestMac, kBroadcastMac, from.address, to.address};
      for (Frame& frame : build_ip(addressing, 17, build_udp(from, to, out.written()), plan_.network.mtu, 1))
        link_.from_guest(std::move(frame));
    });
  }
}

void Day::publish(const engine::PublishRule& rule, Duration at, Duration until) {
  world_.after(at, [this, rule, until] {
    const Counting on(true);
    const auto port = shard_->published().add(rule);
    if (!port) return world_.violation("day-publish", "port {} could not be published", rule.host_port);
    const Counting off(false);
    world_.after(until, [this, id = port->id] {
      const Counting counting(true);
      if (!shard_->published().remove(id)) world_.violation("day-publish", "a published port has gone");
    });
  });
}

void Day::clients(std::uint16_t guest_port, std::uint16_t host_port, unsigned clients, DayKind kind,
                  Duration gone) {
  Random& random = world_.random();
  for (unsigned i = 0; i < clients; ++i) {
    const bool v4 = draw_v4();
    FlowPlan plan;
    plan.guest = guest_end(v4, guest_port);
    const Address clients_at = v4 ? Address::v4(192, 0, 2, 0) : *Address::parse("2001:db8:9::");
    plan.server = {clients_at.plus(1 + client_ % 200), static_cast<std::uint16_t>(2000 + client_ % 60000)};
    ++client_;
    plan.key = random.next();
    plan.from.send_bytes = GuestServer::kReply;
    plan.peer.send_bytes = random.between(1, 5000);
    DayFlow flow{std::make_unique<Ledger>(plan), kind, world_.now(), world_.now() + gone};
    flow.ledger->reached_stack = UINT64_MAX;
    server_.expect(*flow.ledger);
    world_.after(random.duration(3min, 15min), [this, ledger = flow.ledger.get(), v4, host_port] {
      host_.connect_client({any(v4), host_port}, *ledger);
    });
    flows_.push_back(std::move(flow));
  }
}

void Day::published(unsigned hour) {
  const auto rule = [](engine::Transport transport, std::uint16_t host_port, std::uint16_t guest_port) {
    engine::PublishRule made;
    made.transport = transport;
    made.host_port = host_port;
    made.guest_port = guest_port;
    return made;
  };
  constexpr auto kTcp = engine::Transport::tcp;
  for (const std::uint16_t port :
       {GuestServer::kAnswers, GuestServer::kMute, GuestServer::kClosed, GuestServer::kStops}) {
    const auto host_port = static_cast<std::uint16_t>(kPublished + port - GuestServer::kAnswers);
    publish(rule(kTcp, host_port, port), 1min, 32min);
    const bool answers = port == GuestServer::kAnswers;
    clients(port, host_port, count(answers ? 20 : 4), answers ? DayKind::whole : DayKind::dropped, kGone);
  }
  // One that stays over several hours, with nobody at it for most of them.
  constexpr std::uint16_t kStays = kPublished + 10;
  if (hour == 4) {
    publish(rule(kTcp, kStays, GuestServer::kAnswers), 2min, 4h);
    publish(rule(engine::Transport::udp, kStays, GuestServer::kEchoes), 2min, 4h);
    for (std::uint16_t i = 0; i < 5; ++i) {
      world_.after(3min, [this, i] {
        host_.send_to_port({any(true), kStays}, {Address::v4(192, 0, 2, 251), i}, FrameBytes(200));
      });
    }
  }
  constexpr std::uint16_t udp = kPublished + 20;
  publish(rule(engine::Transport::udp, udp, GuestServer::kEchoes), 1min,
          hour % 2 == 0 ? Duration{32min} : Duration{14min});
  for (unsigned i = 0; i < 3 * count(5); ++i) {
    world_.after(world_.random().duration(2min, 20min), [this, v4 = draw_v4(), i] {
      const Endpoint from{v4 ? Address::v4(192, 0, 2, 250) : *Address::parse("2001:db8:9::fa"),
                          static_cast<std::uint16_t>(4000 + i / 3)};
      host_.send_to_port({any(v4), udp}, from, FrameBytes(200));
    });
  }
}

// The guest is switched off and on, and uses the same addresses and ports again at once.
void Day::power_cut() {
  const std::vector<Ledger*> lost = guest_.lose_power();
  server_.lose_power();
  bool again = false;
  std::vector<FlowPlan> plans;
  for (DayFlow& flow : flows_) {
    if (std::ranges::find(lost, flow.ledger.get()) == lost.end()) continue;
    flow.kind = DayKind::dropped;
    flow.stands_until = world_.now();
    again = !again;
    flow.gone_by = world_.now() + (again ? Duration{20min} : Duration{135min});
    if (!again) continue;
    FlowPlan plan = flow.ledger->plan;
    plan.start = world_.random().duration(0s, 3s);
    plan.key = world_.random().next();
    plan.from = {.send_bytes = 1000, .isn = static_cast<std::uint32_t>(world_.random().next())};
    plan.peer = {.send_bytes = 2000};
    plans.push_back(plan);
  }
  for (const FlowPlan& plan : plans) add(plan, DayKind::whole, 0s, 20min);
  if (plans.empty()) world_.violation("day-power", "no connection was there to be lost");
}

}  // namespace sf::sim
