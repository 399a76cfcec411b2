#include "engine_driver.hh"

#include <array>

#include "networks.hh"

namespace sf::fuzz {
namespace {

// No kernel hands on what claims to come from elsewhere.
bool can_be_source(const Address& address) {
  return address != Address{} && address != Address::v4(0) && !address.is_multicast() &&
         !address.is_broadcast();
}

// A turn that asks for the next one at once has work left over; not for ever.
constexpr int kMostTurnsAtOnce = 5000;

link::Features features_of(std::uint8_t bits) {
  if ((bits & 1) == 0) return {};
  return {.checksum = true,
          .tcp4_gso = (bits & 2) != 0,
          .tcp6_gso = (bits & 2) != 0,
          .big_tcp = (bits & 6) == 6,
          .udp_gso = (bits & 8) != 0};
}

}  // namespace

EngineDriver::EngineDriver(Input& in) : in_(in) {
  const std::uint8_t bits = in_.u8();
  config_.network = make_network();
  config_.key = {1, 2};
  config_.guest.mac = kGuestMac;
  if ((bits & 0x10) != 0) config_.network.mtu = 1280;
  if ((bits & 0x20) != 0) config_.network.mtu = 65520;
  // So few that their ends are reached.
  if ((bits & 0x40) != 0) {
    config_.limits.tcp_flows = 4;
    config_.limits.half_open = 2;
    config_.limits.udp_flows = config_.limits.ping_flows = 2;
    config_.limits.pieces = 6;
    config_.limits.published = {.dialling = 2, .udp_clients = 2};
  }
  if ((bits & 0x80) != 0) config_.network.host_loopback = true;
  host_.configured.servers = {{Address::v4(127, 0, 0, 53), 53}, {Address::v4(192, 0, 2, 53), 53}};
  host_.configured.search = {"example.test"};
  link_ = std::make_unique<FuzzLink>(config_.network, features_of(bits));
  shard_ = std::make_unique<engine::Shard>(config_, *link_, host_, log_);
  turn();
}

void EngineDriver::turn() {
  for (int i = 0; i < kMostTurnsAtOnce; ++i) {
    deadline_ = shard_->end_turn(now_);
    if (deadline_ > now_) return;
  }
  require(false, "the loop never rests");
}

void EngineDriver::pass_time(Duration time, unsigned most_wakes) {
  const Time end = now_ + time;
  for (unsigned wakes = 0; deadline_ <= end && wakes < most_wakes; ++wakes) {
    now_ = std::max(now_, deadline_);
    turn();
  }
  now_ = std::max(now_, end);
  turn();
}

void EngineDriver::fire(FuzzHost::Socket& socket) {
  if (socket.watched) shard_->on_socket_event(socket.token, FuzzHost::readiness(socket), now_);
}

FuzzHost::Socket* EngineDriver::pick(FuzzHost::Kind kind, std::uint8_t selector) {
  std::vector<FuzzHost::Socket*> found;
  for (FuzzHost::Socket& s : host_.sockets) {
    if (s.open && s.kind == kind) found.push_back(&s);
  }
  return found.empty() ? nullptr : found[selector % found.size()];
}

void EngineDriver::stream_event() {
  FuzzHost::Socket* const s = pick(FuzzHost::Kind::stream, in_.u8());
  if (s == nullptr) return;
  const std::uint8_t what = in_.u8();
  const std::uint16_t amount = in_.u16();
  if (s->connected == host::HostError::in_progress) {
    const auto outcome =
        static_cast<host::HostError>(what % (static_cast<unsigned>(host::HostError::other) + 1));
    // A connect ends well most of the time, or nothing is reached; and never by would_block.
    s->connected = what < 200 || outcome == host::HostError::would_block ? host::HostError::none : outcome;
  }
  if ((what & 1) != 0) s->incoming += amount;
  if ((what & 2) != 0) s->incoming += std::size_t{amount} * 64;
  if ((what & 12) == 12) s->ended = true;
  if ((what & 0x30) == 0x30) s->receive_error = host::HostError::reset;
  if ((what & 0x50) == 0x50) s->send_error = host::HostError::reset;
  if ((what & 0x40) != 0) s->takes = amount;
  fire(*s);
}

void EngineDriver::datagram_event() {
  FuzzHost::Socket* const s = pick(FuzzHost::Kind::datagram, in_.u8());
  if (s == nullptr) return;
  const std::uint8_t what = in_.u8();
  FuzzHost::Datagram one;
  one.info.from = s->last_to;
  if ((what & 1) != 0) one.info.from = {addressing(what).destination, in_.u16()};
  if (one.info.from.address.is_v4() != s->v4 || !can_be_source(one.info.from.address)) return;
  if ((what & 2) != 0) {
    one.bytes = s->last_sent;
    // To a query its answer, to an echo its reply.
    if (one.bytes.size() > 2 && one.info.from.port == 53) one.bytes[2] |= 0x80;
    if (!one.bytes.empty() && one.info.from.port == 0) one.bytes[0] = s->v4 ? 0 : 129;
  }
  const std::vector<std::uint8_t> more = payload();
  one.bytes.insert(one.bytes.end(), more.begin(), more.end());
  if (one.bytes.size() > 65507) one.bytes.resize(65507);
  const std::uint16_t segment = (what & 4) != 0 ? in_.u16() : std::uint16_t{0};
  if (segment < one.bytes.size()) one.info.segment_size = segment;
  one.info.ttl = (what & 8) != 0 ? in_.u8() : std::uint8_t{64};
  one.info.truncated = (what & 0x10) != 0;
  if (s->to.port != 0 || s->to.address != Address{}) one.info.to = s->to.address;
  for (int copies = (what & 0x60) == 0x60 ? 20 : 1; copies > 0; --copies) s->arrived.push_back(one);
  fire(*s);
}

void EngineDriver::error_event() {
  FuzzHost::Socket* const s = pick(FuzzHost::Kind::datagram, in_.u8());
  if (s == nullptr) return;
  const std::uint8_t what = in_.u8();
  FuzzHost::QueuedError queued;
  queued.info.destination = s->last_to;
  if (const Address offender = addressing(what).destination; (what & 0x80) == 0 && can_be_source(offender))
    queued.info.offender = offender;
  queued.info.error = static_cast<wire::IcmpError>(what % 8);
  queued.info.mtu = in_.u16();
  queued.bytes = (what & 0x40) != 0 ? s->last_sent : payload();
  if (queued.info.destination.address.is_v4() != s->v4) return;
  s->errors.push_back(std::move(queued));
  fire(*s);
}

// For a socket that may be closed by now, or with readiness that says nothing new.
void EngineDriver::stale_event() {
  const std::uint8_t which = in_.u8();
  const std::uint8_t bits = in_.u8();
  if (host_.sockets.empty()) return;
  const FuzzHost::Socket& s = host_.sockets[which % host_.sockets.size()];
  if (!s.watched) return;
  host::Readiness readiness = FuzzHost::readiness(s);
  if (s.kind == FuzzHost::Kind::stream && s.connected == host::HostError::in_progress) return;
  if ((bits & 1) != 0) readiness.readable = true;
  if ((bits & 2) != 0) readiness.writable = true;
  shard_->on_socket_event(s.token, readiness, now_);
}

void EngineDriver::client() {
  FuzzHost::Socket* const s = pick(FuzzHost::Kind::listener, in_.u8());
  if (s == nullptr) return;
  const std::uint8_t selector = in_.u8();
  const Endpoint from{addressing(selector).destination, in_.u16()};
  if (from.address.is_v4() != s->v4 || !can_be_source(from.address)) return;
  for (int count = (selector & 0x80) != 0 ? 5 : 1; count > 0; --count) s->clients.push_back(from);
  fire(*s);
}

void EngineDriver::publish() {
  const std::uint8_t bits = in_.u8();
  engine::PublishRule rule;
  rule.transport = (bits & 1) != 0 ? engine::Transport::udp : engine::Transport::tcp;
  if ((bits & 2) != 0) rule.host_address = addressing(bits >> 3).destination;
  if ((bits & 4) != 0) rule.guest_address = (bits & 8) != 0 ? kGuest4 : kGuest6;
  if (rule.host_address && rule.guest_address && rule.host_address->is_v4() != rule.guest_address->is_v4())
    return;
  rule.host_port = in_.u8();
  rule.guest_port = static_cast<std::uint16_t>(in_.u8() + 1);
  if (const auto port = shard_->published().add(rule)) ports_.push_back(port->id);
}

void EngineDriver::unpublish() {
  const std::uint8_t which = in_.u8();
  if (ports_.empty()) return;
  const std::size_t at = which % ports_.size();
  require(shard_->published().remove(ports_[at]), "a published port is not there");
  ports_.erase(ports_.begin() + static_cast<std::ptrdiff_t>(at));
}

void EngineDriver::fault() {
  const std::uint8_t what = in_.u8();
  const auto error =
      static_cast<host::HostError>(3 + what % (static_cast<unsigned>(host::HostError::other) - 2));
  const std::size_t count = 1 + in_.u8() % 16;
  if ((what & 0xc0) == 0x00) host_.fail_next(count, error);
  if ((what & 0xc0) == 0x40) host_.fail_sends(count, error);
  if ((what & 0xc0) == 0x80) host_.fail_sends(count, host::HostError::would_block);
  if ((what & 0xc0) == 0xc0) link_->refuse_next = count;
}

void EngineDriver::step() {
  static constexpr std::array<Duration, 8> kTimes{1ms, 11ms, 310ms, 1500ms, 6s, 61s, 301s, 7300s};
  const std::uint8_t op = in_.u8();
  switch (op & 0x1f) {
    case 0:
      raw_frame();
      break;
    case 1:
    case 2:
    case 3:
    case 4:
      tcp_segment();
      break;
    case 5:
    case 6:
      datagram();
      break;
    case 7:
      echo();
      break;
    case 8:
    case 9:
      fragment();
      break;
    case 10:
      neighbour();
      break;
    case 11:
      dns_query();
      break;
    case 12:
      dhcp();
      break;
    case 13:
    case 14:
    case 15:
      stream_event();
      break;
    case 16:
    case 17:
      datagram_event();
      break;
    case 18:
      error_event();
      break;
    case 19:
      stale_event();
      break;
    case 20:
    case 21:
      client();
      break;
    case 22:
      publish();
      break;
    case 23:
      unpublish();
      break;
    case 24:
      fault();
      break;
    case 25:
      static_cast<void>(shard_->flows(16));
      static_cast<void>(shard_->published().list());
      break;
    default:
      pass_time(kTimes[op >> 5], 300);
      break;
  }
  // Some operations share a turn.
  if ((op & 0x80) == 0 || (op & 0x1f) >= 26) turn();
  check_counters();
}

void EngineDriver::check_counters() {
  const engine::Totals totals = shard_->totals();
  require(totals.flows == shard_->flow_count() && shard_->flows(1).total == totals.flows,
          "the number of flows");
  require(totals.frames_from_guest == link_->received, "the number of frames");
  // A fragment may cost itself and the whole.
  require(totals.frames_dropped <= 2 * totals.frames_from_guest, "more drops than frames");
  require(shard_->stats().pieces_in_use <= config_.limits.pieces, "more memory than allowed");
  const engine::Limits& limits = config_.limits;
  require(
      totals.flows <= limits.tcp_flows + limits.udp_flows + limits.ping_flows + limits.published.udp_clients,
      "more flows than allowed");
}

void EngineDriver::finish() {
  turn();
  host_.fail_next(0, host::HostError::none);
  host_.fail_sends(0, host::HostError::none);
  link_->refuse_next = 0;
  for (const engine::PublishId id : ports_)
    require(shard_->published().remove(id), "a published port is lost");
  // Either all servers go away, or nobody says another word and timers have to end it.
  const bool reset = in_.flag();
  // By index: what one is told may open another, to the next name server.
  for (std::size_t i = 0; i < host_.sockets.size(); ++i) {
    FuzzHost::Socket& s = host_.sockets[i];
    if (!s.open || s.kind != FuzzHost::Kind::stream) continue;
    const bool dialling = s.connected == host::HostError::in_progress;
    if (dialling) s.connected = host::HostError::timed_out;
    if (reset) s.receive_error = s.send_error = host::HostError::reset;
    if (dialling || reset) fire(s);
  }
  pass_time(std::chrono::hours{10}, 100'000);
  check_counters();
  require(shard_->flow_count() == 0, "flows are left");
  require(shard_->stats().pieces_in_use == 0, "payload memory is left");
  require(host_.open_sockets() == 0, "sockets are left");
  // What comes by itself is a router advertisement every 600 s, which may be due just now.
  if (deadline_ < now_ + 60s) pass_time(60s, 3);
  require(deadline_ >= now_ + 60s, "the loop does not come to rest");
}

}  // namespace sf::fuzz
