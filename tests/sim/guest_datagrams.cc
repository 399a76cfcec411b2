#include "sim/guest_datagrams.hh"

#include <algorithm>

#include "sim/payload.hh"
#include "wire/dns.hh"

namespace sf::sim {
namespace {

constexpr std::uint8_t kUdp = 17;
constexpr std::uint16_t kQueryPort = 39999;

constexpr std::uint64_t datagram_id(std::size_t index, std::uint32_t count) {
  return (std::uint64_t{index + 1} << 32) | count;
}

}  // namespace

GuestDatagrams::GuestDatagrams(World& world, const Plan& plan, Send send)
    : world_(world), plan_(plan), send_(std::move(send)) {
  for (std::size_t i = 0; i < plan.datagrams.size(); ++i) {
    left_ += plan.datagrams[i].count;
    world_.after(plan.datagrams[i].start, [this, i] { send_next(i, 0); });
  }
  for (std::size_t i = 0; i < plan.pings.size(); ++i) {
    left_ += plan.pings[i].count;
    world_.after(plan.pings[i].start, [this, i] { ping(i, 0); });
  }
  left_ += plan.noise.queries;
  for (std::uint32_t i = 0; i < plan.noise.queries; ++i) {
    world_.after(world_.random().duration(Duration{0}, plan.noise.period), [this, i] { query(i); });
  }
}

void GuestDatagrams::send_next(std::size_t index, std::uint32_t count) {
  const DatagramPlan& plan = plan_.datagrams[index];
  if (count == plan.count) return;
  --left_;
  const DatagramServer& server = plan_.datagram_servers[plan.servers[count % plan.servers.size()]];
  const std::uint64_t id = datagram_id(index, count);
  const std::uint64_t size =
      plan.equal_sizes
          ? plan.size
          : world_.random().between(kMarkedHeader, std::max<std::uint64_t>(plan.size, kMarkedHeader));
  FrameBytes payload(size);
  mark_payload(payload, id);
  sent_.insert(id);
  if (server.service == DatagramService::echo) ++expected_;
  if (server.service == DatagramService::refuse) expects_errors_ = true;
  send_(plan.guest.address, server.at.address, kUdp, build_udp(plan.guest, server.at, payload));
  world_.after(plan.interval, [this, index, count] { send_next(index, count + 1); });
}

void GuestDatagrams::on_udp(const Endpoint& from, const Endpoint& to, Bytes payload) {
  if (from.port == 53 && to.port == kQueryPort) {
    if (payload.size() < wire::kDnsHeaderSize || !queries_.contains(load_be16(&payload[0])) ||
        (payload[2] & 0x80) == 0) {
      world_.violation("dns", "an answer of {} bytes to no question", payload.size());
    }
    ++answers_;
    return;
  }
  const auto id = read_marked(payload);
  const std::size_t index = id.value_or(0) >> 32;
  if (!id || !sent_.contains(*id) || index == 0 || index > plan_.datagrams.size()) {
    // What answers the noise (noise.cc) is not looked at here.
    if (from.port != 67 && from.port != 547 && to.port < kNoisePorts) {
      world_.violation("datagram-changed", "{} bytes from {} to {} that no server sent", payload.size(),
                       from.to_string(), to.to_string());
    }
    return;
  }
  const DatagramPlan& plan = plan_.datagrams[index - 1];
  const std::size_t turn = static_cast<std::uint32_t>(*id) % plan.servers.size();
  const DatagramServer& server = plan_.datagram_servers[plan.servers[turn]];
  if (to != plan.guest || from != server.at || server.service != DatagramService::echo) {
    world_.violation("datagram-astray", "a datagram of {} with {} came from {} to {}", plan.guest.to_string(),
                     server.at.to_string(), from.to_string(), to.to_string());
  }
  ++answers_;
}

void GuestDatagrams::ping(std::size_t index, std::uint32_t count) {
  const PingPlan& plan = plan_.pings[index];
  if (count == plan.count) return;
  --left_;
  ++expected_;
  const bool v4 = plan.guest.is_v4();
  FrameBytes body(std::max<std::size_t>(plan.size, kMarkedHeader));
  mark_payload(body, (std::uint64_t{plan.id} << 16) | count);
  wire::IcmpMessage request;
  request.type = v4 ? wire::icmpv4::kEchoRequest : wire::icmpv6::kEchoRequest;
  request.rest = (std::uint32_t{plan.id} << 16) | count;
  request.body = body;
  FrameBytes packet(wire::kIcmpHeaderSize + body.size());
  Writer out{packet};
  request.emit(out, plan.guest, plan.server);
  send_(plan.guest, plan.server, v4 ? 1 : 58, packet);
  world_.after(1s, [this, index, count] { ping(index, count + 1); });
}

void GuestDatagrams::on_echo_reply(const Address& from, const Address& to, const wire::IcmpMessage& reply) {
  const auto id = read_marked(reply.body);
  const std::uint64_t expected = (std::uint64_t{reply.echo_id()} << 16) | reply.echo_sequence();
  const auto plan = std::ranges::find_if(plan_.pings, [&](const PingPlan& p) {
    return p.id == reply.echo_id() && p.guest == to && p.server == from;
  });
  if (!id || *id != expected || plan == plan_.pings.end()) {
    world_.violation("echo", "a reply from {} with id {} and sequence {} to no such request",
                     from.to_string(), reply.echo_id(), reply.echo_sequence());
  }
  ++answers_;
}

void GuestDatagrams::query(std::uint32_t index) {
  --left_;
  const bool v4 = index % 2 == 0 || !plan_.network.ipv6;
  const Endpoint from{v4 ? plan_.network.guest4 : plan_.network.prefix6.base.plus(0x100), kQueryPort};
  const Endpoint to{v4 ? plan_.network.dns4 : plan_.network.dns6, 53};
  FrameBytes query(128);
  Writer out{query};
  wire::DnsHeader header;
  header.id = static_cast<std::uint16_t>(world_.random().next());
  header.recursion_desired = true;
  header.questions = 1;
  header.emit(out);
  wire::DnsQuestion{fmt::format("name{}.example", index), 1, 1}.emit(out);
  if (queries_.insert(header.id).second) ++expected_;
  send_(from.address, to.address, kUdp, build_udp(from, to, out.written()));
}

void GuestDatagrams::on_error(Bytes quoted) {
  const auto ip = wire::parse_quoted_ip(quoted);
  if (!ip || ip->protocol != kUdp || ip->payload.size() < wire::kUdpHeaderSize) return;
  ++errors_;
  const Endpoint from{ip->source, load_be16(&ip->payload[0])};
  const Endpoint to{ip->destination, load_be16(&ip->payload[2])};
  const auto plan = std::ranges::find(plan_.datagrams, from, &DatagramPlan::guest);
  if (plan == plan_.datagrams.end()) return;
  const bool known = std::ranges::any_of(
      plan->servers, [&](std::size_t server) { return plan_.datagram_servers[server].at == to; });
  if (!known) {
    world_.violation("datagram-astray", "an error about a datagram from {} to {}, which was never sent",
                     from.to_string(), to.to_string());
  }
}

}  // namespace sf::sim
