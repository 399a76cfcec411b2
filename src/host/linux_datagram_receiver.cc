#include "host/linux_datagram_receiver.hh"

#include <linux/errqueue.h>
#include <netinet/udp.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "host/linux_address.hh"
#include "host/linux_datagram_options.hh"
#include "host/linux_errors.hh"

namespace sf::host {
namespace {

// An error that a datagram of ours met is given to the next call of whatever kind; there may be several in a
// row.
constexpr int kMaxPendingErrors = 8;

template <typename T>
T read_control(const cmsghdr* header) {
  T value;
  std::memcpy(&value, CMSG_DATA(header), sizeof(value));
  return value;
}

bool holds(const cmsghdr* header, std::size_t size) {
  return header->cmsg_len >= CMSG_LEN(size);
}

// IPv4 gives its type of service as one byte, everything else comes as an int.
void read_controls(msghdr& message, ReceivedDatagram& out) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    const int level = c->cmsg_level;
    const int type = c->cmsg_type;
    if (level == IPPROTO_IP && type == IP_TOS && holds(c, 1)) {
      out.traffic_class = read_control<std::uint8_t>(c);
    } else if (!holds(c, sizeof(int))) {
      continue;
    } else if ((level == IPPROTO_IP && type == IP_TTL) || (level == IPPROTO_IPV6 && type == IPV6_HOPLIMIT)) {
      out.ttl = static_cast<std::uint8_t>(read_control<int>(c));
    } else if (level == IPPROTO_IPV6 && type == IPV6_TCLASS) {
      out.traffic_class = static_cast<std::uint8_t>(read_control<int>(c));
    } else if (level == SOL_UDP && type == UDP_GRO) {
      out.segment_size = static_cast<std::uint16_t>(read_control<int>(c));
    }
  }
  out.to = destination_of(message);
}

// What the host itself says about a datagram that it could not send.
std::optional<wire::IcmpError> local_error(std::uint32_t error) {
  switch (host_error_from(static_cast<int>(error))) {
    case HostError::message_too_large:
      return wire::IcmpError::packet_too_big;
    case HostError::net_unreachable:
      return wire::IcmpError::net_unreachable;
    case HostError::host_unreachable:
      return wire::IcmpError::host_unreachable;
    case HostError::prohibited:
      return wire::IcmpError::admin_prohibited;
    case HostError::refused:
      return wire::IcmpError::port_unreachable;
    default:
      return std::nullopt;
  }
}

// Fills `out` from the control message of an error queue entry; false where it is none that we translate.
bool read_extended_error(msghdr& message, bool v4, DatagramError& out) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    const bool ours = (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
                      (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR);
    if (!ours || !holds(c, sizeof(sock_extended_err))) continue;
    const auto extended = read_control<sock_extended_err>(c);
    std::optional<wire::IcmpError> error;
    if (extended.ee_origin == SO_EE_ORIGIN_LOCAL) {
      error = local_error(extended.ee_errno);
    } else if (extended.ee_origin == (v4 ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_ICMP6)) {
      error = wire::icmp_error_from(extended.ee_type, extended.ee_code, v4);
      const std::uint8_t* offender = CMSG_DATA(c) + sizeof(sock_extended_err);
      out.offender = endpoint_from(offender, c->cmsg_len - CMSG_LEN(sizeof(sock_extended_err))).address;
    }
    if (!error) return false;
    out.error = *error;
    out.mtu = *error == wire::IcmpError::packet_too_big ? extended.ee_info : 0;
    return true;
  }
  return false;
}

}  // namespace

std::optional<Address> destination_of(msghdr& message) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    std::optional<Address> to;
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO && holds(c, sizeof(in_pktinfo))) {
      to = address_from(read_control<in_pktinfo>(c).ipi_spec_dst);
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO &&
               holds(c, sizeof(in6_pktinfo))) {
      to = address_from(read_control<in6_pktinfo>(c).ipi6_addr);
    }
    if (to && !to->is_multicast()) return to;
  }
  return std::nullopt;
}

DatagramReceiver::~DatagramReceiver() {
  if (memory_ != nullptr) ::munmap(memory_, kSlots * kSlotSize);
}

bool DatagramReceiver::allocate() {
  void* memory = ::mmap(nullptr, kSlots * kSlotSize, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return false;
  memory_ = static_cast<std::uint8_t*>(memory);
  return true;
}

void DatagramReceiver::prepare(std::size_t slot) {
  Slot& s = slots_[slot];
  s.vector = {memory_ + slot * kSlotSize, kSlotSize};
  msghdr& message = headers_[slot].msg_hdr;
  message = {};
  message.msg_name = &s.from;
  message.msg_namelen = sizeof(s.from);
  message.msg_iov = &s.vector;
  message.msg_iovlen = 1;
  message.msg_control = s.control.data();
  message.msg_controllen = s.control.size();
}

// How many slots were filled; -1 and errno where none was.
int DatagramReceiver::receive_into_slots(int fd) {
  if (has_recvmmsg_) {
    const int count = calls_.recvmmsg(fd, headers_.data(), static_cast<unsigned>(batch_), MSG_DONTWAIT);
    if (count >= 0 || errno != ENOSYS) return count;
    has_recvmmsg_ = false;
    if (log_ != nullptr) {
      log_->info("recvmmsg(2) does not work here ({}): a system call per datagram is made",
                 std::strerror(ENOSYS));
    }
  }
  int count = 0;
  while (count < static_cast<int>(batch_)) {
    mmsghdr& header = headers_[static_cast<std::size_t>(count)];
    const ssize_t size = calls_.recvmsg(fd, header.msg_hdr, MSG_DONTWAIT);
    // An error that belongs to an older datagram is left for the next call, if it comes again.
    if (size < 0) return count > 0 ? count : -1;
    header.msg_len = static_cast<unsigned>(size);
    ++count;
  }
  return count;
}

std::span<const ReceivedDatagram> DatagramReceiver::receive(int fd) {
  if (memory_ == nullptr && !allocate()) return {};
  for (std::size_t i = 0; i < batch_; ++i) prepare(i);
  int count = -1;
  for (int attempt = 0; count < 0 && attempt <= kMaxPendingErrors; ++attempt) {
    count = receive_into_slots(fd);
    if (count < 0 && errno != EINTR && !may_be_pending(errno)) return {};
  }
  if (count <= 0) return {};
  const auto received = static_cast<std::size_t>(count);
  for (std::size_t i = 0; i < received; ++i) {
    msghdr& message = headers_[i].msg_hdr;
    ReceivedDatagram& out = received_[i];
    out = {};
    out.from = endpoint_from(message.msg_name, message.msg_namelen);
    out.payload = Bytes(memory_ + i * kSlotSize, std::min<std::size_t>(headers_[i].msg_len, kSlotSize));
    out.truncated = (message.msg_flags & MSG_TRUNC) != 0;
    read_controls(message, out);
    if (out.payload.size() <= out.segment_size) out.segment_size = 0;
  }
  if (received == batch_) {
    batch_ = std::min(batch_ * 2, kSlots);
  } else if (received <= batch_ / 4) {
    batch_ = std::max<std::size_t>(batch_ / 2, 2);
  }
  return std::span(received_).first(received);
}

bool DatagramReceiver::receive_error(int fd, bool v4, DatagramError& error) {
  while (true) {
    sockaddr_in6 destination{};
    iovec vector{error_payload_.data(), error_payload_.size()};
    alignas(cmsghdr) std::array<std::uint8_t, 256> control;
    msghdr message{};
    message.msg_name = &destination;
    message.msg_namelen = sizeof(destination);
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t count = ::recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    error = {};
    if (!read_extended_error(message, v4, error)) continue;
    error.destination = endpoint_from(message.msg_name, message.msg_namelen);
    error.payload = Bytes(error_payload_).first(static_cast<std::size_t>(count));
    return true;
  }
}

}  // namespace sf::host
