#include "sim/sim_datagram.hh"

#include <algorithm>
#include <utility>

#include "sim/payload.hh"
#include "wire/icmp.hh"
#include "wire/udp.hh"

namespace sf::sim {
namespace {

using host::HostError;

constexpr std::size_t kReceiveLimit = 200;
constexpr Duration kMinRoundTrip = 100us;
constexpr Duration kMaxRoundTrip = 5ms;

}  // namespace

HostError SimDatagram::send(const Endpoint& to, Bytes payload, const host::DatagramOptions& options) {
  if (to.address.is_v4() != v4_) {
    world_.violation("datagram", "a datagram to {} on a socket of the other version", to.to_string());
    return HostError::net_unreachable;
  }
  if (payload.size() > wire::kUdpMaxPayload) return HostError::message_too_large;
  if (world_.random().chance(plan_.host.datagram_full)) {
    want_space_ = true;
    world_.after(1ms, [this] {
      if (!closed_ && std::exchange(want_space_, false)) on_edge_();
    });
    return HostError::would_block;
  }
  if (kind_ == host::DatagramKind::ping) {
    answer_ping(to, payload);
    return HostError::none;
  }
  if (options.segment_size == 0) {
    reach(to, payload);
  } else {
    for (Bytes rest = payload; !rest.empty(); rest = drop(rest, options.segment_size)) {
      reach(to, take(rest, options.segment_size));
    }
  }
  return HostError::none;
}

void SimDatagram::reach(const Endpoint& to, Bytes payload) {
  const auto server = std::ranges::find(plan_.datagram_servers, to, &DatagramServer::at);
  if (server == plan_.datagram_servers.end()) return;
  if (server->service != DatagramService::name_server) {
    const auto id = read_marked(payload);
    if (!id) {
      world_.violation("datagram-changed", "{} bytes to {} are not what the guest sent", payload.size(),
                       to.to_string());
      return;
    }
    const auto owner = static_cast<std::uint32_t>(*id >> 32);
    if (owner_.value_or(owner) != owner) world_.violation("mapping", "two sockets of the guest's share one");
    owner_ = owner;
  }
  if (server->service == DatagramService::black_hole || world_.random().chance(plan_.host.datagram_loss))
    return;
  const Duration delay = world_.random().duration(kMinRoundTrip, kMaxRoundTrip);
  FrameBytes copy(payload.begin(), payload.end());
  if (server->service == DatagramService::refuse) {
    world_.after(delay, [this, to, copy = std::move(copy)]() mutable {
      if (closed_) return;
      errors_.push_back({to, to.address, std::move(copy)});
      on_edge_();
    });
    return;
  }
  // A name server's answer: the question again, with the bit that makes it a response (RFC 1035
  // section 4.1.1).
  if (server->service == DatagramService::name_server && copy.size() > 3) {
    copy[2] = static_cast<std::uint8_t>(copy[2] | 0x80);
  }
  world_.after(delay, [this, to, copy = std::move(copy)]() mutable { answer(to, std::move(copy)); });
}

// Linux may hand over equal-sized neighbours of one sender as one (UDP_GRO).
void SimDatagram::answer(const Endpoint& from, FrameBytes payload) {
  if (closed_ || queue_.size() >= kReceiveLimit) return;
  if (!queue_.empty() && world_.random().chance(0.5)) {
    Held& last = queue_.back();
    const std::size_t size = last.segment_size != 0 ? last.segment_size : last.payload.size();
    const bool whole = size != 0 && last.payload.size() % size == 0;
    if (last.from == from && whole && payload.size() <= size && !payload.empty() &&
        last.payload.size() + payload.size() < 60000 && size <= 1472) {
      last.segment_size = static_cast<std::uint16_t>(size);
      last.payload.insert(last.payload.end(), payload.begin(), payload.end());
      return on_edge_();
    }
  }
  queue_.push_back({from, std::move(payload), 0});
  on_edge_();
}

void SimDatagram::answer_ping(const Endpoint& to, Bytes message) {
  const auto request = wire::IcmpMessage::parse(message);
  const std::uint8_t asked = v4_ ? wire::icmpv4::kEchoRequest : wire::icmpv6::kEchoRequest;
  if (!request || request->type != asked) {
    world_.violation("datagram-changed", "what is no echo request on a ping socket");
    return;
  }
  if (world_.random().chance(plan_.host.datagram_loss)) return;
  wire::IcmpMessage reply = *request;
  reply.type = v4_ ? wire::icmpv4::kEchoReply : wire::icmpv6::kEchoReply;
  // The kernel replaces the identifier by the socket's own.
  reply.rest = (std::uint32_t{port_} << 16) | request->echo_sequence();
  FrameBytes bytes(wire::kIcmpHeaderSize + reply.body.size());
  Writer out{bytes};
  reply.emit(out, to.address, v4_ ? Address::v4(192, 0, 2, 1) : Address());
  world_.after(world_.random().duration(kMinRoundTrip, kMaxRoundTrip),
               [this, from = Endpoint{to.address, 0}, bytes = std::move(bytes)]() mutable {
                 if (closed_ || queue_.size() >= kReceiveLimit) return;
                 queue_.push_back({from, std::move(bytes), 0});
                 on_edge_();
               });
}

std::span<const host::ReceivedDatagram> SimDatagram::receive() {
  lent_.clear();
  views_.clear();
  while (!queue_.empty() && lent_.size() < host::Host::kDatagramBatch) {
    lent_.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  for (const Held& held : lent_) {
    host::ReceivedDatagram view;
    view.from = held.from;
    view.payload = held.payload;
    view.segment_size = held.segment_size;
    views_.push_back(view);
  }
  return views_;
}

bool SimDatagram::receive_error(host::DatagramError& error) {
  if (errors_.empty()) return false;
  lent_error_ = std::move(errors_.front());
  errors_.pop_front();
  error.destination = lent_error_.destination;
  error.offender = lent_error_.offender;
  error.error = wire::IcmpError::port_unreachable;
  error.mtu = 0;
  error.payload = lent_error_.payload;
  return true;
}

host::Readiness SimDatagram::readiness() const {
  return {.readable = !queue_.empty(), .writable = !want_space_, .error = !errors_.empty()};
}

}  // namespace sf::sim
