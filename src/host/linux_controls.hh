// The control messages that go with a datagram which is sent: hop limit, traffic class, segment size, source.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>

#include "base/address.hh"
#include "host/host.hh"

namespace sf::host {

// Collects control messages in a buffer that has room for all that a datagram can need.
class Controls {
 public:
  template <typename T>
  void add(int level, int type, const T& value) {
    auto* header = reinterpret_cast<cmsghdr*>(buffer_.data() + size_);
    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = CMSG_LEN(sizeof(T));
    std::memcpy(CMSG_DATA(header), &value, sizeof(T));
    size_ += CMSG_SPACE(sizeof(T));
  }
  // `source` has to be named along with an interface: the kernel takes an unspecified one to mean that it may
  // choose.
  void add_interface(bool v4, unsigned index, const std::optional<Address>& source);
  // `segment_size` 0: it is one datagram.
  void add_options(bool v4, const DatagramOptions& options, std::uint16_t segment_size);

  void clear() { size_ = 0; }
  void attach_to(msghdr& message) {
    message.msg_control = buffer_.data();
    message.msg_controllen = size_;
  }

 private:
  static constexpr std::size_t kCapacity = 3 * CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(in6_pktinfo));
  alignas(cmsghdr) std::array<std::uint8_t, kCapacity> buffer_;
  std::size_t size_ = 0;
};

}  // namespace sf::host
