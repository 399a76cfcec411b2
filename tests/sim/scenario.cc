#include "sim/scenario.hh"

#include <fmt/core.h>

#include <algorithm>

#include "sim/random.hh"

namespace sf::sim {
namespace {

constexpr Address kServers4 = Address::v4(203, 0, 113, 0);
constexpr Address kServers6 = Address::v6({0x20, 0x01, 0x0d, 0xb8, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
constexpr std::uint16_t kFirstGuestPort = 40001;

enum class Faults : std::uint8_t { none, low, high };

link::Network make_network(std::uint32_t mtu) {
  link::Network network;
  network.gateway_mac = MacAddress{{0x52, 0x55, 0x0a, 0x00, 0x02, 0x02}};
  network.mtu = mtu;
  network.prefix4 = {Address::v4(10, 0, 2, 0), 24};
  network.gateway4 = Address::v4(10, 0, 2, 2);
  network.dns4 = Address::v4(10, 0, 2, 3);
  network.guest4 = Address::v4(10, 0, 2, 100);
  network.dhcp_first = Address::v4(10, 0, 2, 15);
  network.dhcp_last = Address::v4(10, 0, 2, 30);
  network.prefix6 = {Address::v6({0xfd}), 64};
  network.gateway6 = network.prefix6.base.plus(2);
  network.dns6 = network.prefix6.base.plus(3);
  return network;
}

Endpoint guest_end(const link::Network& network, bool v4, std::uint16_t port) {
  return {v4 ? network.guest4 : network.prefix6.base.plus(0x100), port};
}

LinkPlan draw_link(Random& random, std::uint32_t mtu, Faults faults) {
  LinkPlan link;
  link.mtu = mtu;
  if (random.chance(0.6))
    link.features = {.checksum = true,
                     .tcp4_gso = true,
                     .tcp6_gso = true,
                     .big_tcp = random.chance(0.6),
                     .udp_gso = random.chance(0.7)};
  if (random.chance(0.15)) link.features = {.checksum = true};
  link.checksum_partial = random.chance(0.5);
  link.guest_gso = link.checksum_partial && random.chance(0.7);
  link.deliver_gso_whole = random.chance(0.5);
  link.delay = random.duration(1us, 200us);
  if (random.chance(0.3)) link.jitter = random.duration(1us, 500us);
  const double level = faults == Faults::none ? 0 : faults == Faults::low ? 0.01 : 0.15;
  const auto draw = [&](double chance) {
    return random.chance(chance) ? level * static_cast<double>(random.between(1, 100)) / 100 : 0.0;
  };
  link.loss = draw(0.8);
  link.duplicate = draw(0.5);
  link.reorder = draw(0.6) * 2;
  link.corrupt = draw(0.5);
  link.drop_send = draw(0.5);
  link.reorder_delay = random.pick<Duration>({500us, 5ms, 250ms});
  link.faults_end = random.pick<Duration>({2s, 20s, 60s});
  return link;
}

std::uint64_t draw_size(Random& random) {
  switch (random.below(10)) {
    case 0:
      return 0;
    case 1:
    case 2:
      return random.between(1, 100);
    case 3:
    case 4:
      return random.between(1, 5000);
    case 5:
    case 6:
    case 7:
      return random.between(1, 100'000);
    case 8:
      return random.between(1, 1'000'000);
    default:
      return random.chance(0.1) ? random.between(1'000'000, 6'000'000) : random.between(1, 1'000'000);
  }
}

void draw_guest(Random& random, GuestPlan& guest, bool v4, std::uint32_t mtu) {
  const std::uint32_t room = mtu - (v4 ? 40 : 60);
  guest.mss = static_cast<std::uint16_t>(random.chance(0.8) ? room : random.between(v4 ? 536 : 1220, room));
  if (random.chance(0.03))
    guest.mss = static_cast<std::uint16_t>(random.chance(0.5) ? 0 : random.between(100, 500));
  guest.offer_scale = random.chance(0.8);
  guest.offer_timestamps = random.chance(0.7);
  guest.offer_sack = random.chance(0.7);
  guest.delayed_ack = random.chance(0.7);
  guest.nagle = random.chance(0.6);
  guest.no_updates = random.chance(0.1);
  guest.reneges = random.chance(0.1);
  guest.odd_sizes = random.chance(0.3);
  if (random.chance(0.2)) guest.forged = 0.05;
  guest.isn =
      static_cast<std::uint32_t>(random.chance(0.2) ? 0xffffff00U + random.below(0x200) : random.next());
  guest.timestamp_offset =
      static_cast<std::uint32_t>(random.chance(0.2) ? 0U - random.below(200'000'000) : random.next());
  if (random.chance(0.2)) {
    guest.write_chunk = random.between(1, 20'000);
    guest.write_interval = random.duration(10us, 3ms);
  }
  const std::uint64_t kind = random.below(10);
  guest.receive_buffer = static_cast<std::uint32_t>(kind < 2   ? random.between(200, 4000)
                                                    : kind < 6 ? random.between(4000, 200'000)
                                                               : random.between(200'000, 4'000'000));
  guest.scale = static_cast<std::uint8_t>(random.between(0, 14));
  if (!guest.offer_scale) guest.scale = 0;
  // A kernel chooses its scale so that neither the window nor its grain is out of proportion.
  while (guest.scale > 0 && (std::uint32_t{4} << guest.scale) > guest.receive_buffer) --guest.scale;
  if (random.chance(0.25)) {
    guest.read_chunk =
        random.between(std::max<std::uint64_t>(guest.receive_buffer / 20, 1), guest.receive_buffer);
    guest.read_interval = random.duration(50us, 5ms);
  }
  if (random.chance(0.15)) {
    guest.pause_at = random.between(1, 50'000);
    guest.pause = random.duration(10ms, 90s);
  }
}

void draw_peer(Random& random, PeerPlan& peer) {
  peer.connect_delay = random.chance(0.9) ? random.duration(0us, 50ms) : random.duration(50ms, 4s);
  peer.send_capacity = static_cast<std::uint32_t>(random.chance(0.2) ? random.between(1000, 8000)
                                                                     : random.between(16'000, 600'000));
  peer.receive_capacity = static_cast<std::uint32_t>(random.chance(0.2) ? random.between(1000, 8000)
                                                                        : random.between(16'000, 600'000));
  if (random.chance(0.3)) {
    peer.send_chunk = random.between(1, 30'000);
    peer.send_interval = random.duration(10us, 5ms);
  }
  if (random.chance(0.3)) {
    peer.read_chunk = random.between(peer.send_capacity / 50 + 1, peer.send_capacity);
    peer.read_interval = random.duration(20us, 20ms);
  }
}

// How the connection comes to its end: mostly in good order, by either side first.
void draw_end(Random& random, FlowPlan& flow, bool may_fail) {
  if (random.chance(0.4)) flow.from.close = GuestClose::after_peer_fin;
  if (flow.from.close == GuestClose::after_send && random.chance(0.4))
    flow.peer.close = PeerClose::after_guest_fin;
  if (!may_fail) return;
  const std::uint64_t total = flow.from.send_bytes + flow.peer.send_bytes;
  switch (random.below(24)) {
    case 0:
    case 1:
      flow.from.close = GuestClose::abort;
      flow.from.close_at = random.below(total + 1);
      flow.peer.close = PeerClose::after_send;
      break;
    case 2:
      flow.from.close = GuestClose::vanish;
      flow.from.close_at = random.below(total + 1);
      flow.peer.close = PeerClose::after_send;
      break;
    case 3:
    case 4:
      flow.peer.close = PeerClose::reset;
      flow.peer.close_at = random.below(total + 1);
      break;
    case 5:
      flow.peer.outcome =
          random.pick({ConnectOutcome::refused, ConnectOutcome::timed_out, ConnectOutcome::net_unreachable,
                       ConnectOutcome::host_unreachable, ConnectOutcome::failed_at_once,
                       ConnectOutcome::no_descriptors, ConnectOutcome::silent});
      break;
    case 6:
      flow.peer.outcome = ConnectOutcome::refused;
      break;
    case 7:
      flow.from.close = GuestClose::never_answer;
      break;
    default:
      break;
  }
}

// Bounds the work of a run: bytes through small windows or in small pieces are many frames.
void limit_sizes(FlowPlan& flow, Faults faults) {
  const std::uint64_t segment = flow.from.mss == 0 ? 536 : flow.from.mss;
  const std::uint64_t frames = faults == Faults::high ? 700 : 3000;
  const std::uint64_t down = std::min<std::uint64_t>(segment, std::max(flow.from.receive_buffer / 2, 100U));
  flow.peer.send_bytes = std::min(flow.peer.send_bytes, frames * down);
  flow.from.send_bytes =
      std::min(flow.from.send_bytes, frames * std::min<std::uint64_t>(segment, flow.peer.send_capacity / 2));
  if (flow.from.write_chunk != 0)
    flow.from.write_chunk = std::max(flow.from.write_chunk, flow.from.send_bytes / 1000);
  if (flow.from.read_chunk != 0)
    flow.from.read_chunk = std::max(flow.from.read_chunk, flow.peer.send_bytes / 1000);
  if (flow.peer.send_chunk != 0)
    flow.peer.send_chunk = std::max(flow.peer.send_chunk, flow.peer.send_bytes / 1000);
  if (flow.peer.read_chunk != 0)
    flow.peer.read_chunk = std::max(flow.peer.read_chunk, flow.from.send_bytes / 1000);
}

void draw_flows(Random& random, Plan& plan, Faults faults) {
  const bool crowd = random.chance(0.05);
  const std::uint64_t count = crowd ? random.between(30, 200) : random.between(1, 5);
  const bool may_fail = random.chance(0.6);
  for (std::uint64_t i = 0; i < count; ++i) {
    FlowPlan flow;
    const bool v4 = random.chance(0.5);
    flow.guest = guest_end(plan.network, v4, static_cast<std::uint16_t>(kFirstGuestPort + i));
    flow.server = {(v4 ? kServers4 : kServers6).plus(static_cast<std::uint32_t>(1 + i % 150)),
                   static_cast<std::uint16_t>(80 + i)};
    flow.start = random.duration(0us, random.chance(0.5) ? Duration{0} : Duration{500ms});
    flow.key = random.next();
    draw_guest(random, flow.from, v4, plan.network.mtu);
    draw_peer(random, flow.peer);
    flow.from.send_bytes = crowd ? random.below(3000) : draw_size(random);
    flow.peer.send_bytes = crowd ? random.below(3000) : draw_size(random);
    limit_sizes(flow, faults);
    draw_end(random, flow, may_fail);
    plan.flows.push_back(flow);
  }
}

// Connections that are never answered by the guest, many at once.
void draw_flood(Random& random, Plan& plan) {
  const std::uint64_t count = random.between(100, 2000);
  for (std::uint64_t i = 0; i < count; ++i) {
    FlowPlan flow;
    flow.guest = guest_end(plan.network, true, static_cast<std::uint16_t>(20'000 + i));
    flow.server = {kServers4.plus(static_cast<std::uint32_t>(160 + i % 30)),
                   static_cast<std::uint16_t>(1000 + i)};
    flow.start = random.duration(0us, 200ms);
    flow.from.close = GuestClose::never_answer;
    flow.from.isn = static_cast<std::uint32_t>(random.next());
    flow.peer.outcome = random.chance(0.7) ? ConnectOutcome::silent : ConnectOutcome::accept;
    plan.flows.push_back(flow);
  }
}

void draw_datagrams(Random& random, Plan& plan) {
  for (std::uint32_t i = 0; i < 6; ++i) {
    const auto service = i < 3    ? DatagramService::echo
                         : i == 3 ? DatagramService::black_hole
                                  : DatagramService::refuse;
    plan.datagram_servers.push_back({{kServers4.plus(100 + i), 7}, service});
    plan.datagram_servers.push_back({{kServers6.plus(100 + i), 7}, service});
  }
  plan.datagram_servers.push_back({{Address::v4(127, 0, 0, 53), 53}, DatagramService::name_server});
  const std::uint64_t count = random.below(4);
  for (std::uint64_t i = 0; i < count; ++i) {
    DatagramPlan datagrams;
    const bool v4 = random.chance(0.5);
    datagrams.guest = guest_end(plan.network, v4, static_cast<std::uint16_t>(30'000 + i));
    for (std::uint64_t n = random.between(1, 3); n > 0; --n) {
      datagrams.servers.push_back(2 * random.below(6) + (v4 ? 0 : 1));
    }
    datagrams.start = random.duration(0us, 1s);
    datagrams.count = static_cast<std::uint32_t>(random.between(1, 200));
    datagrams.size =
        static_cast<std::uint32_t>(random.pick<std::uint64_t>({16, 500, 1200, 1452, 4000, 65'000}));
    if (datagrams.size > 2000) datagrams.count = std::min(datagrams.count, 10U);
    datagrams.equal_sizes = random.chance(0.5);
    datagrams.interval = random.pick<Duration>({0us, 100us, 20ms, 2s});
    plan.datagrams.push_back(datagrams);
  }
  for (std::uint64_t i = random.below(3); i > 0; --i) {
    const bool v4 = random.chance(0.5);
    plan.pings.push_back({.guest = guest_end(plan.network, v4, 0).address,
                          .server = (v4 ? kServers4 : kServers6).plus(static_cast<std::uint32_t>(100 + i)),
                          .id = static_cast<std::uint16_t>(random.next()),
                          .start = random.duration(0us, 1s),
                          .count = static_cast<std::uint32_t>(random.between(1, 5)),
                          .size = static_cast<std::uint32_t>(random.pick<std::uint64_t>({16, 56, 1400}))});
  }
}

}  // namespace

Plan make_plan(std::uint64_t seed) {
  Random random(seed);
  Plan plan;
  plan.seed = seed;
  const std::uint32_t mtu = random.pick<std::uint32_t>({1500, 1500, 1500, 65520, 1280});
  const auto faults = random.pick({Faults::none, Faults::low, Faults::low, Faults::high});
  plan.network = make_network(mtu);
  plan.link = draw_link(random, mtu, faults);
  plan.host.spurious = random.chance(0.3) ? 0.1 : 0;
  plan.host.datagram_loss = faults == Faults::none ? 0 : random.chance(0.5) ? 0.1 : 0;
  plan.host.datagram_full = random.chance(0.2) ? 0.1 : 0;
  draw_flows(random, plan, faults);
  const bool flood = random.chance(0.03);
  if (flood) draw_flood(random, plan);
  if (flood && random.chance(0.7)) plan.stack.half_open = random.between(20, 1000);
  if (random.chance(0.1)) plan.stack.pieces = random.between(4, 40);
  draw_datagrams(random, plan);
  if (random.chance(0.4)) {
    plan.noise = {.malformed = static_cast<std::uint32_t>(random.below(300)),
                  .chaos = static_cast<std::uint32_t>(random.below(60)),
                  .services = static_cast<std::uint32_t>(random.below(12)),
                  .queries = static_cast<std::uint32_t>(random.below(20)),
                  .period = random.duration(100ms, 10s)};
  }
  if (random.chance(0.02)) plan.link.gone_at = random.duration(1ms, 1s);
  constexpr const char* kFaultNames[] = {"none", "low", "high"};
  plan.summary =
      fmt::format("mtu {}, faults {}, {} connections{}, {} datagram sockets{}{}{}", mtu,
                  kFaultNames[static_cast<std::size_t>(faults)], plan.flows.size(), flood ? " (flood)" : "",
                  plan.datagrams.size(), plan.noise.malformed > 0 ? ", noise" : "",
                  plan.stack.scarce_memory() ? ", little memory" : "",
                  plan.link.gone_at > Duration{0} ? ", link vanishes" : "");
  return plan;
}

Plan make_quiet_plan(std::uint64_t seed, std::uint64_t bytes) {
  Plan plan;
  plan.seed = seed;
  plan.network = make_network(1500);
  FlowPlan flow;
  flow.guest = guest_end(plan.network, true, kFirstGuestPort);
  flow.server = {kServers4.plus(1), 80};
  flow.from.send_bytes = flow.peer.send_bytes = bytes;
  flow.from.isn = static_cast<std::uint32_t>(seed * 2654435761U);
  flow.key = mix(seed);
  plan.flows.push_back(flow);
  plan.summary = fmt::format("quiet, {} bytes each way", bytes);
  return plan;
}

}  // namespace sf::sim
