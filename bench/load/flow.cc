#include "flow.hh"

#include <netinet/in.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace sf::load {
namespace {

constexpr std::int64_t kTick = 100'000;
constexpr std::size_t kSendBatch = 64;
constexpr std::size_t kControl = CMSG_SPACE(sizeof(int));

}  // namespace

int flow_socket(int family, bool gro) {
  const int made = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  check(made, "open a UDP socket");
  set_option(made, SOL_SOCKET, SO_RCVBUF, 4 << 20, "enlarge a receive buffer");
  set_option(made, SOL_SOCKET, SO_SNDBUF, 1 << 20, "enlarge a send buffer");
  if (gro) set_option(made, IPPROTO_UDP, UDP_GRO, 1, "switch UDP_GRO on");
  return made;
}

void stop_segmenting(int socket) {
  set_option(socket, IPPROTO_UDP, UDP_SEGMENT, 0, "reset UDP_SEGMENT");
}

Sent send_at_rate(int socket, const Address& to, const FlowHeader& plan) {
  const std::size_t segments = std::max<std::uint32_t>(1, plan.segments);
  std::vector<std::uint8_t> buffer(plan.size * segments);
  FlowHeader data;
  data.test = plan.test;
  for (std::size_t i = 0; i < segments; ++i) std::memcpy(&buffer[i * plan.size], &data, sizeof(data));
  set_option(socket, IPPROTO_UDP, UDP_SEGMENT, segments > 1 ? static_cast<int>(plan.size) : 0,
             "set UDP_SEGMENT");
  iovec vector{buffer.data(), buffer.size()};
  std::vector<mmsghdr> messages(kSendBatch);
  Address target = to;
  for (auto& message : messages) {
    message.msg_hdr.msg_iov = &vector;
    message.msg_hdr.msg_iovlen = 1;
    message.msg_hdr.msg_name = to.size == 0 ? nullptr : &target.bytes;
    message.msg_hdr.msg_namelen = to.size;
  }
  const std::int64_t begin = now();
  const std::int64_t end = begin + static_cast<std::int64_t>(plan.duration);
  std::uint64_t sent = 0;  // buffers
  std::int64_t time = begin;
  const double buffers_per_ns = static_cast<double>(plan.rate) / static_cast<double>(segments) / 1e9;
  while (time < end) {
    const auto due = static_cast<std::uint64_t>(static_cast<double>(time - begin) * buffers_per_ns);
    while (sent < due && now() < end) {
      const auto batch = static_cast<unsigned>(std::min<std::uint64_t>(kSendBatch, due - sent));
      const int done = sendmmsg(socket, messages.data(), batch, 0);
      // An ICMP error of an earlier datagram, or a full device queue: that one is lost, as it would be for
      // anyone.
      if (done < 0 && errno != ECONNREFUSED && errno != ENOBUFS && errno != EPERM) fail("send datagrams");
      sent += done < 0 ? 1 : static_cast<std::uint64_t>(done);
    }
    sleep_until(std::min(end, now() + kTick));
    time = now();
  }
  return {sent * segments, now() - begin};
}

FlowReceiver::FlowReceiver(bool gro)
    : gro_(gro),
      room_(gro ? 65536 : 2048),
      buffers_(room_ * kBatch),
      messages_(kBatch),
      vectors_(kBatch),
      names_(kBatch),
      controls_(kControl * kBatch) {}

int FlowReceiver::receive_batch(int socket) {
  for (std::size_t i = 0; i < kBatch; ++i) {
    vectors_[i] = {&buffers_[i * room_], room_};
    msghdr& message = messages_[i].msg_hdr;
    message = {};
    message.msg_iov = &vectors_[i];
    message.msg_iovlen = 1;
    message.msg_name = &names_[i];
    message.msg_namelen = sizeof(names_[i]);
    if (gro_) {
      message.msg_control = &controls_[i * kControl];
      message.msg_controllen = kControl;
    }
  }
  return std::max(0, recvmmsg(socket, messages_.data(), kBatch, MSG_DONTWAIT, nullptr));
}

std::uint64_t FlowReceiver::look(int at, FlowHeader& header, Address& from) const {
  const auto index = static_cast<std::size_t>(at);
  const mmsghdr& message = messages_[index];
  if (message.msg_len < sizeof(header)) return 0;
  std::memcpy(&header, &buffers_[index * room_], sizeof(header));
  from.bytes = names_[index];
  from.size = message.msg_hdr.msg_namelen;
  msghdr copy = message.msg_hdr;
  for (cmsghdr* part = CMSG_FIRSTHDR(&copy); part != nullptr; part = CMSG_NXTHDR(&copy, part)) {
    if (part->cmsg_level != IPPROTO_UDP || part->cmsg_type != UDP_GRO) continue;
    int size = 0;
    std::memcpy(&size, CMSG_DATA(part), sizeof(size));
    if (size > 0) return (message.msg_len + static_cast<unsigned>(size) - 1) / static_cast<unsigned>(size);
  }
  return 1;
}

}  // namespace sf::load
