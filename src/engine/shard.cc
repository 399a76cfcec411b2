#include "engine/shard.hh"

namespace sf::engine {
namespace {

// How long free payload memory is kept at least that nothing needs.
constexpr Duration kTrimInterval = 250ms;

std::size_t share(std::size_t limit, unsigned count) {
  return (limit + count - 1) / count;
}

}  // namespace

Limits divided(const Limits& limits, unsigned count) {
  Limits part = limits;
  for (std::size_t* limit : {&part.tcp_flows, &part.half_open, &part.udp_flows, &part.ping_flows,
                             &part.pieces, &part.published.dialling, &part.published.udp_clients}) {
    *limit = share(*limit, count);
  }
  for (std::uint32_t* rate :
       {&part.errors_per_second, &part.error_burst, &part.resets_per_second, &part.reset_burst}) {
    *rate = static_cast<std::uint32_t>(share(*rate, count));
  }
  return part;
}

Shard::Shard(const ShardConfig& config, link::Link& link, host::Host& host, const Log& log)
    : config_(config),
      link_(link),
      host_(host),
      log_(log),
      frames_(new FrameMemory),  // left uninitialised: costs the pages that frames need
      to_guest_(link, config.network.gateway_mac, config.network.mtu, config.network.gateway_mac6),
      pool_(config.limits.pieces),
      errors_(config.limits.errors_per_second, config.limits.error_burst),
      resets_(config.limits.resets_per_second, config.limits.reset_burst),
      tcp_translator_(host, to_guest_, config_.network, pool_, config.key),
      udp_translator_(
          host, to_guest_, config_.network, [this](Time now) { return errors_.admit(now); },
          [this](const Endpoint& guest, const Endpoint& remote, Time now) {
            udp_room_.answered({guest, remote}, now);
          }),
      icmp_translator_(host, to_guest_, config_.network, log,
                       [this](Time now) { return errors_.admit(now); }),
      tcp_(tcp_translator_, timers_, config.key, config.limits.tcp_flows, config.limits.half_open,
           config.watch),
      udp_(udp_translator_, timers_, config.key, TokenKind::udp, config.limits.udp_flows, config.watch),
      icmp_(icmp_translator_, timers_, config.key, TokenKind::icmp, config.limits.ping_flows, config.watch),
      room_(tcp_, udp_, icmp_, log),
      udp_room_(udp_, config.key),
      quic_(config.key),
      refusals_(config.watch, config.key),
      published_(host, to_guest_, config_.network, config.guest, neighbours_, tcp_, udp_translator_, timers_,
                 config.key, config.limits.published, config.place, log_, refusals_, config.watch),
      questions_(config.watch, config.key),
      dhcp_(config_.network),
      dns_(
          host, *this,
          [this] {
            std::array<std::uint8_t, 8> counter{};
            store_be64(counter.data(), ++dns_random_);
            return static_cast<std::uint32_t>(siphash(config_.key, counter));
          },
          make_token(TokenKind::dns)) {
  dns_.set_gate(config.gate);
  const auto make_room = [this](Time now) { return room_.make(now); };
  tcp_translator_.set_make_room(make_room);
  published_.set_make_room(make_room);
  if (config.round_trips) tcp_translator_.measure_round_trips();
  dns_.set_watch(names(), &questions_);
  udp_translator_.may_wait_in(*frames_);
  const bool serves = config.place.index == config.place.owner_of_services();
  if (config.network.ipv6 && serves) next_advertisement_ = Time::min();
  to_guest_.number_from(config.place.index, config.place.count());
}

Shard::~Shard() {
  published_.close_all();
  tcp_.abort_all(now_);
  udp_.close_all(now_);
  icmp_.close_all(now_);
}

void Shard::on_link_readable(Time) {
  link_ready_ = true;  // received in end_turn(), after the sockets' events: replies to those come first
}

void Shard::on_socket_event(host::Token token, host::Readiness readiness, Time now) {
  switch (kind_of(token)) {
    case TokenKind::tcp:
      tcp_.on_host_event(handle_of(token), readiness, now);
      break;
    case TokenKind::udp:
      udp_.on_host_event(handle_of(token), readiness, now);
      break;
    case TokenKind::icmp:
      icmp_.on_host_event(handle_of(token), readiness, now);
      break;
    case TokenKind::dns:
      dns_.on_socket_event(handle_of(token).index, readiness, now);
      break;
    case TokenKind::published:
      published_.on_socket_event(handle_of(token), readiness, now);
      break;
    case TokenKind::client:
      break;
  }
}

Time Shard::end_turn(Time now) {
  now_ = now;
  run_deadlines(now);
  if (mail_waits_) take_mail(now);
  if (link_ready_) receive_frames(now);
  bool more = link_ready_;
  if (published_.end_turn(now)) more = true;
  if (udp_.end_turn(now)) more = true;
  if (icmp_.end_turn(now)) more = true;
  if (tcp_.end_turn(now)) more = true;
  if (trim_at_ == kNever && pool_.has_surplus()) trim_at_ = now + kTrimInterval;
  if (more) return now;
  return std::min({timers_.next(), dns_.deadline(), reassembly_.deadline(), next_advertisement_, trim_at_,
                   published_.deadline()});
}

// Frames are received behind those whose datagrams wait to leave together; any other frame is done with, and
// the next one takes its place while that is in cache.
void Shard::receive_frames(Time now) {
  constexpr std::size_t kAlignment = 64;
  std::size_t kept = 0;
  for (unsigned i = 0; i < config_.limits.frames_per_turn && alive_ && link_ready_; ++i) {
    link::Frame frame;
    const std::size_t waited = udp_translator_.waiting();
    switch (link_.receive(MutBytes{*frames_}.subspan(kept, link::kMaxFrame), frame)) {
      case link::Status::ok:
        ++stats_.frames_from_guest;
        stats_.packets_from_guest += wire::packets_of(frame.bytes.size(), frame.offload);
        stats_.bytes_from_guest += frame.bytes.size();
        link_.show(std::array{Bytes{frame.bytes}}, frame.offload, link::Direction::from_guest);
        on_frame(frame, now);
        break;
      case link::Status::dropped:
        break;
      case link::Status::empty:
        link_ready_ = false;
        break;
      case link::Status::gone:
        link_ready_ = false;
        alive_ = false;
        break;
    }
    if (udp_translator_.waiting() > waited) {
      kept += (frame.bytes.size() + kAlignment - 1) / kAlignment * kAlignment;
      if (frames_->size() - kept < link::kMaxFrame) udp_translator_.flush(now);
    }
    if (udp_translator_.waiting() == 0) kept = 0;
  }
  udp_translator_.flush(now);
}

// Before what the link has: what was handed over is older.
void Shard::take_mail(Time now) {
  mail_waits_ = false;
  config_.place.mailbox(config_.place.index).take(mail_);
  for (link::Frame frame; mail_.next(frame);) on_frame(frame, now);
  for (const Errand& errand : mail_.errands()) errand(*this, now);
  mail_.clear();
}

void Shard::run_deadlines(Time now) {
  while (timers_.next() <= now) on_timer(timers_.pop(), now);
  if (dns_.deadline() <= now) dns_.on_deadline(now);
  if (next_advertisement_ <= now) advertise(now);
  if (trim_at_ <= now) {
    pool_.trim();
    trim_at_ = kNever;
  }
  while (reassembly_.deadline() <= now) {
    const auto expired = reassembly_.expire(now);
    if (!expired) break;
    if (!errors_.admit(now)) continue;
    to_guest_.send_icmp_error(expired->from, config_.network.gateway(expired->quoted.source.is_v4()),
                              expired->quoted, wire::IcmpError::reassembly_timeout);
  }
}

void Shard::on_timer(host::Token token, Time now) {
  switch (kind_of(token)) {
    case TokenKind::tcp:
      tcp_.on_timer(handle_of(token), now);
      break;
    case TokenKind::udp:
      udp_.on_timer(handle_of(token), now);
      break;
    case TokenKind::icmp:
      icmp_.on_timer(handle_of(token), now);
      break;
    case TokenKind::client:
      published_.on_client_timer(handle_of(token), now);
      break;
    case TokenKind::dns:
    case TokenKind::published:
      break;
  }
}

std::size_t Shard::flow_count() const {
  return tcp_.size() + udp_.size() + icmp_.size() + published_.client_count();
}

FlowList Shard::flows(std::size_t limit) {
  FlowList list;
  list.total = flow_count();
  list.flows.reserve(list.total);
  gather_flows(list.flows);
  list.cut(limit);
  for (FlowInfo& flow : list.flows) {
    if (flow.socket != host::kNoSocket) flow.remote_rtt = host_.round_trip(flow.socket);
    // Of those that are left alone: a copy of each name would be the most of the work.
    if (flow.protocol == FlowInfo::Protocol::tcp) flow.name = tcp_.name_of({flow.guest, flow.remote});
    const bool somewhere = flow.remote != Endpoint{};
    if (flow.name.empty() && somewhere && names() != nullptr)
      flow.name = names()->name_of(flow.remote.address);
  }
  return list;
}

void Shard::gather_flows(std::vector<FlowInfo>& all) {
  tcp_.for_each([&](const tcp::Flow& flow, bool inbound) {
    FlowInfo info{
        .protocol = FlowInfo::Protocol::tcp, .inbound = inbound, .guest = flow.guest, .remote = flow.remote};
    info.state = flow.connection.state_name();
    info.bytes_from_guest = flow.bytes_from_guest;
    info.bytes_to_guest = flow.bytes_to_guest;
    const Duration rtt = flow.connection.transmit().rtt().smoothed();
    if (rtt != Duration::zero()) info.rtt = rtt;
    info.socket = flow.socket;
    all.push_back(std::move(info));
  });
  const auto add = [&](FlowInfo::Protocol protocol, const auto& flow, const Endpoint& remote, bool inbound) {
    all.push_back({.protocol = protocol, .inbound = inbound, .guest = flow.guest, .remote = remote});
    if constexpr (requires { flow.bytes_from_guest; }) {
      all.back().bytes_from_guest = flow.bytes_from_guest;
      all.back().bytes_to_guest = flow.bytes_to_guest;
    }
  };
  udp_.for_each([&](const udp::Flow& flow) { add(FlowInfo::Protocol::udp, flow, {}, false); });
  icmp_.for_each([&](const icmp::Flow& flow) { add(FlowInfo::Protocol::icmp, flow, {}, false); });
  published_.for_each_client([&](const udp::Flow& flow, const Endpoint& remote) {
    add(FlowInfo::Protocol::udp, flow, remote, true);
  });
}

Totals Shard::totals() const {
  Totals totals;
  totals.tcp_opened = tcp_translator_.counters().opened;
  totals.bytes_from_guest =
      tcp_translator_.counters().bytes_from_guest + udp_translator_.counters().bytes_from_guest;
  totals.bytes_to_guest =
      tcp_translator_.counters().bytes_to_guest + udp_translator_.counters().bytes_to_guest;
  totals.frames_from_guest = stats_.frames_from_guest;
  totals.drops = stats_.drops;
  for (const std::uint64_t drops : stats_.drops) totals.frames_dropped += drops;
  totals.flows = flow_count();
  return totals;
}

ShardStats Shard::stats() const {
  ShardStats stats = stats_;
  stats.pieces_in_use = pool_.in_use();
  stats.timers = timers_.size();
  stats.reassembly_memory = reassembly_.memory();
  return stats;
}

Metrics Shard::metrics() const {
  Metrics metrics;
  const link::ToGuestCounters& sent = to_guest_.counters();
  metrics.packets = {stats_.packets_from_guest, sent.packets};
  metrics.packet_bytes = {stats_.bytes_from_guest, sent.bytes};
  metrics.drops = stats_.drops;
  metrics.not_taken = sent.dropped;

  const tcp::Counters& tcp = tcp_translator_.counters();
  metrics.tcp_bytes = {tcp.bytes_from_guest, tcp.bytes_to_guest};
  metrics.tcp_opened = {tcp.opened - tcp.adopted, tcp.adopted};
  metrics.tcp_flows = tcp_.by_state();
  metrics.tcp_refused = tcp.refused;
  metrics.tcp_given_up = tcp.given_up;
  metrics.tcp_resets = {tcp.resets_from_guest, tcp.resets_to_guest};
  metrics.remote_rtt = tcp_translator_.remote_round_trips();
  metrics.guest_rtt = tcp_translator_.guest_round_trips();

  const udp::Counters& udp = udp_translator_.counters();
  metrics.udp_bytes = {udp.bytes_from_guest, udp.bytes_to_guest};
  metrics.udp_datagrams = {udp.from_guest, udp.to_guest};
  metrics.udp_opened = {udp.opened, published_.clients_seen()};
  metrics.udp_flows = udp_.size() + published_.client_count();
  const icmp::Counters& icmp = icmp_translator_.counters();
  metrics.pings = {icmp.requests, icmp.replies};
  metrics.icmp_opened = {icmp.opened, 0};
  metrics.icmp_flows = icmp_.size();

  metrics.dns = dns_.counters();
  metrics.dns_pending = dns_.pending();
  metrics.pieces_in_use = pool_.in_use();
  metrics.pieces_kept = pool_.kept();
  metrics.pieces_limit = pool_.limit();
  metrics.tcp_table_bytes = tcp_.table_bytes();
  metrics.udp_table_bytes = udp_.table_bytes() + published_.table_bytes();
  metrics.icmp_table_bytes = icmp_.table_bytes();
  return metrics;
}

}  // namespace sf::engine
