// Sending UDP and pings, one by one and many at once.
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "host/linux_address.hh"
#include "host/linux_controls.hh"
#include "host/linux_datagram_options.hh"
#include "host/linux_errors.hh"
#include "host/linux_host.hh"
#include "wire/udp.hh"

namespace sf::host {
namespace {

// The kernel's UDP_MAX_SEGMENTS of old; newer ones take more.
constexpr std::size_t kMaxSegments = 64;
// Datagrams, and so messages, of one sendmmsg(2): as many as the shard receives in a turn.
constexpr std::size_t kMaxBatch = 32;
constexpr int kSendFlags = MSG_NOSIGNAL | MSG_DONTWAIT;

// Whether `next` can be a segment behind `count` ones of `first`'s size.
bool is_next_segment(const OutgoingDatagram& first, const OutgoingDatagram& next, std::size_t count) {
  const std::size_t size = first.payload.size();
  return count < kMaxSegments && !next.payload.empty() && next.payload.size() <= size &&
         count * size + next.payload.size() <= wire::kUdpMaxPayload && next.to == first.to &&
         next.options == first.options;
}

}  // namespace

void Controls::add_interface(bool v4, unsigned index, const std::optional<Address>& source) {
  if (v4) {
    in_pktinfo info{};
    info.ipi_ifindex = static_cast<int>(index);
    if (source) info.ipi_spec_dst = to_in_addr(*source);
    add(IPPROTO_IP, IP_PKTINFO, info);
  } else {
    in6_pktinfo info{};
    info.ipi6_ifindex = index;
    if (source) info.ipi6_addr = to_in6_addr(*source);
    add(IPPROTO_IPV6, IPV6_PKTINFO, info);
  }
}

void Controls::add_options(bool v4, const DatagramOptions& options, std::uint16_t segment_size) {
  const int ttl = std::max<int>(options.ttl, 1);  // 0 is refused
  if (v4) {
    add(IPPROTO_IP, IP_TTL, ttl);
    add(IPPROTO_IP, IP_TOS, int{options.traffic_class});
  } else {
    add(IPPROTO_IPV6, IPV6_HOPLIMIT, ttl);
    add(IPPROTO_IPV6, IPV6_TCLASS, int{options.traffic_class});
  }
  if (segment_size != 0) add(SOL_UDP, UDP_SEGMENT, segment_size);
}

namespace {

// Of one datagram; what it refers to outlives it.
msghdr message_of(Bytes payload, const SocketAddress& to, iovec& vector) {
  vector = {const_cast<std::uint8_t*>(payload.data()), payload.size()};
  msghdr message{};
  message.msg_name = const_cast<sockaddr*>(to.get());
  message.msg_namelen = to.size();
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  return message;
}

}  // namespace

bool send_from(int fd, Bytes payload, const Endpoint& to, const std::optional<Address>& source) {
  const SocketAddress remote(to);
  iovec vector{};
  msghdr message = message_of(payload, remote, vector);
  Controls controls;
  if (source) controls.add_interface(to.address.is_v4(), 0, source);
  controls.attach_to(message);
  return ::sendmsg(fd, &message, kSendFlags) >= 0;
}

int LinuxHost::set_dont_fragment(Slot& slot, bool on) {
  if (slot.dont_fragment == on) return 0;
  // IPv4: DF and an error above the path's MTU, or neither (RFC 1191 section 6.1 leaves datagrams to their
  // senders). IPv6: routers never fragment; what can be chosen is whether the host does.
  const int value = slot.v4 ? (on ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT) : (on ? 1 : 0);
  const int level = slot.v4 ? int{IPPROTO_IP} : int{IPPROTO_IPV6};
  const int name = slot.v4 ? IP_MTU_DISCOVER : IPV6_DONTFRAG;
  if (::setsockopt(slot.fd.get(), level, name, &value, sizeof(value)) != 0) return errno;
  slot.dont_fragment = on;
  return 0;
}

void LinuxHost::add_controls(Controls& controls, const Slot& slot, const Endpoint& to,
                             const DatagramOptions& options, std::uint16_t segment_size) const {
  controls.add_options(slot.v4, options, segment_size);
  if (options.source) {
    controls.add_interface(slot.v4, 0, options.source);
  } else if (slot.interface_index != 0 && !to.address.is_loopback()) {
    controls.add_interface(slot.v4, slot.interface_index, outbound(slot.v4));
  }
}

int LinuxHost::send_message(const Slot& slot, const msghdr& message) const {
  // The first error may be an older datagram's, told once; this one has then not been sent. The price: one
  // that is itself above the path's MTU is tried twice, and has two entries in the error queue.
  for (int attempt = 0;; ++attempt) {
    if (calls_.sendmsg(slot.fd.get(), message, kSendFlags) >= 0) return 0;
    if (errno != EINTR && (attempt > 0 || !may_be_pending(errno))) return errno;
  }
}

int LinuxHost::send_one(const Slot& slot, const Endpoint& to, Bytes payload, const DatagramOptions& options,
                        std::uint16_t segment_size) const {
  const SocketAddress remote(to);
  iovec vector{};
  msghdr message = message_of(payload, remote, vector);
  Controls controls;
  add_controls(controls, slot, to, options, segment_size);
  controls.attach_to(message);
  return send_message(slot, message);
}

bool LinuxHost::may_segment(const Slot& slot, const Endpoint& to, std::size_t segment_size) const {
  if (!segmentation_ || slot.no_segmentation || slot.kind != Kind::udp) return false;
  return slot.unsegmented_size == 0 || segment_size < slot.unsegmented_size || to != slot.unsegmented_to;
}

bool LinuxHost::note_no_segmentation(Slot& slot, const Endpoint& to, std::size_t segment_size, int error) {
  // A segment above the MTU has to be fragmented, or to be refused with the MTU, and the kernel does that for
  // single datagrams alone. (EINVAL until Linux 6.12, EMSGSIZE since.)
  if (error == EMSGSIZE || error == EINVAL) {
    slot.unsegmented_to = to;
    slot.unsegmented_size = static_cast<std::uint16_t>(segment_size);
    return true;
  }
  // EIO: a route through IPsec, or, in older kernels, a device without checksum offload. The others: a socket
  // that does not know the option.
  if (error != EIO && error != EOPNOTSUPP && error != ENOPROTOOPT) return false;
  slot.no_segmentation = true;
  say_once(lacks_segmentation_, "UDP_SEGMENT on a socket", error, "datagrams to there are sent singly");
  return true;
}

int LinuxHost::send_segments(Slot& slot, const Endpoint& to, Bytes payload, const DatagramOptions& options) {
  const std::size_t size = options.segment_size;
  const std::size_t at_once = std::clamp<std::size_t>(wire::kUdpMaxPayload / size, 1, kMaxSegments) * size;
  while (!payload.empty()) {
    const Bytes chunk = take(payload, may_segment(slot, to, size) ? at_once : size);
    const bool many = chunk.size() > size;
    const int error = send_one(slot, to, chunk, options, many ? options.segment_size : std::uint16_t{0});
    if (many && error != 0 && note_no_segmentation(slot, to, size, error)) continue;
    if (error != 0) return error;
    payload = drop(payload, chunk.size());
  }
  return 0;
}

HostError LinuxHost::send_datagram(SocketId socket, const Endpoint& to, Bytes payload,
                                   const DatagramOptions& options) {
  Slot* slot = find(socket);
  if (slot == nullptr || slot->kind == Kind::stream) return HostError::other;
  if (to.address.is_v4() != slot->v4) return HostError::net_unreachable;
  if (const int error = set_dont_fragment(*slot, options.dont_fragment); error != 0)
    return host_error_from(error);
  const bool many = options.segment_size != 0 && payload.size() > options.segment_size;
  const int error =
      many ? send_segments(*slot, to, payload, options) : send_one(*slot, to, payload, options, 0);
  if (error == EMSGSIZE) slot->too_large_for = to;
  return host_error_from(error);
}

// Messages for sendmmsg(2) out of the front of `datagrams`.
class LinuxHost::Batch {
 public:
  Batch(const LinuxHost& host, const Slot& slot, std::span<const OutgoingDatagram> datagrams) {
    std::size_t at = 0;
    while (at < datagrams.size() && at < kMaxBatch && belongs(slot, datagrams.front(), datagrams[at])) {
      const OutgoingDatagram& first = datagrams[at];
      std::size_t count = 1;
      if (host.may_segment(slot, first.to, first.payload.size())) count = run(datagrams.subspan(at));
      add(host, slot, datagrams.subspan(at, count), at);
      at += count;
    }
  }

  // None: the first datagram is one that send_datagram() is for.
  [[nodiscard]] std::size_t messages() const { return messages_; }
  [[nodiscard]] mmsghdr* headers() { return headers_.data(); }
  [[nodiscard]] const msghdr& first() const { return headers_[0].msg_hdr; }
  // Datagrams in the first `messages` of them.
  [[nodiscard]] std::size_t datagrams(std::size_t messages) const {
    std::size_t count = 0;
    for (std::size_t i = 0; i < messages; ++i) count += headers_[i].msg_hdr.msg_iovlen;
    return count;
  }

 private:
  // Don't-fragment is an option of the socket's, so that one batch has it alike.
  static bool belongs(const Slot& slot, const OutgoingDatagram& first, const OutgoingDatagram& one) {
    return one.options.segment_size == 0 && one.to.address.is_v4() == slot.v4 &&
           one.options.dont_fragment == first.options.dont_fragment;
  }

  // How many from the front can be one message.
  static std::size_t run(std::span<const OutgoingDatagram> datagrams) {
    const OutgoingDatagram& first = datagrams.front();
    std::size_t count = 1;
    while (count < std::min(datagrams.size(), kMaxBatch) && is_next_segment(first, datagrams[count], count)) {
      // Only the last one may be shorter.
      if (datagrams[count++].payload.size() < first.payload.size()) break;
    }
    return count;
  }

  void add(const LinuxHost& host, const Slot& slot, std::span<const OutgoingDatagram> run, std::size_t at) {
    const OutgoingDatagram& first = run.front();
    for (std::size_t i = 0; i < run.size(); ++i) {
      const Bytes payload = run[i].payload;
      vectors_[at + i] = {const_cast<std::uint8_t*>(payload.data()), payload.size()};
    }
    addresses_[messages_].emplace(first.to);
    const SocketAddress& to = *addresses_[messages_];
    const std::size_t segment_size = run.size() > 1 ? first.payload.size() : 0;
    controls_[messages_].emplace();
    Controls& controls = *controls_[messages_];
    host.add_controls(controls, slot, first.to, first.options, static_cast<std::uint16_t>(segment_size));
    msghdr& message = headers_[messages_++].msg_hdr;
    message = {};
    message.msg_name = const_cast<sockaddr*>(to.get());
    message.msg_namelen = to.size();
    message.msg_iov = &vectors_[at];
    message.msg_iovlen = run.size();
    controls.attach_to(message);
  }

  // Room behind the last one for a run that begins there.
  std::array<iovec, 2 * kMaxBatch> vectors_;
  std::array<std::optional<SocketAddress>, kMaxBatch> addresses_;
  std::array<std::optional<Controls>, kMaxBatch> controls_;
  std::array<mmsghdr, kMaxBatch> headers_;
  std::size_t messages_ = 0;
};

// The number of datagrams sent from the front, or 0 and `error`.
std::size_t LinuxHost::send_batch(Slot& slot, std::span<const OutgoingDatagram> datagrams, int& error) {
  Batch batch(*this, slot, datagrams);
  if (batch.messages() > 1 && has_sendmmsg_) {
    const int sent =
        calls_.sendmmsg(slot.fd.get(), batch.headers(), static_cast<unsigned>(batch.messages()), kSendFlags);
    if (sent > 0) return batch.datagrams(static_cast<std::size_t>(sent));
    if (errno == ENOSYS) {
      has_sendmmsg_ = false;
      say_once(lacks_sendmmsg_, "sendmmsg(2)", errno, "a system call per datagram is made");
    }
    // What the first one meets is told apart below.
  }
  error = send_message(slot, batch.first());
  return error == 0 ? batch.datagrams(1) : 0;
}

DatagramsSent LinuxHost::send_datagrams(SocketId socket, std::span<const OutgoingDatagram> datagrams) {
  Slot* slot = find(socket);
  if (slot == nullptr || slot->kind == Kind::stream) return {0, HostError::other};
  std::size_t at = 0;
  while (at < datagrams.size()) {
    const auto rest = datagrams.subspan(at);
    const OutgoingDatagram& first = rest.front();
    const bool several = rest.size() > 1 && first.options.segment_size == 0;
    if (!several || first.to.address.is_v4() != slot->v4) {
      const HostError error = send_datagram(socket, first.to, first.payload, first.options);
      if (error != HostError::none) return {at, error};
      ++at;
      continue;
    }
    int error = set_dont_fragment(*slot, first.options.dont_fragment);
    std::size_t sent = 0;
    if (error == 0) sent = send_batch(*slot, rest, error);
    at += sent;
    if (sent > 0) continue;
    const std::size_t size = first.payload.size();
    const bool segmented = may_segment(*slot, first.to, size) && is_next_segment(first, rest[1], 1);
    if (segmented && note_no_segmentation(*slot, first.to, size, error)) continue;
    if (error == EMSGSIZE) slot->too_large_for = first.to;
    return {at, host_error_from(error)};
  }
  return {at, HostError::none};
}

}  // namespace sf::host
