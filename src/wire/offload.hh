// What the link is asked to do for a frame, or did for one: the meaning of the kernel's struct virtio_net_hdr
// (virtio 1.2 section 5.1.6), without its layout.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sf::wire {

enum class GsoType : std::uint8_t { none, tcp4, tcp6, udp };

struct Offload {
  // The checksum field at checksum_start + checksum_offset holds the folded pseudo-header sum; whoever puts
  // the frame on a real wire sums from checksum_start to the end and stores the complement.
  bool checksum_needed = false;
  // The checksum was verified already; it need not be looked at.
  bool checksum_valid = false;
  std::uint16_t checksum_start = 0;   // bytes from the start of the frame
  std::uint16_t checksum_offset = 0;  // bytes from checksum_start
  // Other than none: a super-frame, to be cut into pieces of gso_size bytes of transport payload.
  GsoType gso = GsoType::none;
  std::uint16_t gso_size = 0;
  std::uint16_t header_length = 0;  // Ethernet to transport header, a hint; 0 where unknown

  constexpr bool operator==(const Offload&) const = default;
};

// How many packets a frame of `size` bytes is on a wire.
[[nodiscard]] constexpr std::size_t packets_of(std::size_t size, const Offload& offload) {
  const bool super_frame =
      offload.gso != GsoType::none && offload.gso_size != 0 && size > offload.header_length;
  return super_frame ? (size - offload.header_length + offload.gso_size - 1) / offload.gso_size : 1;
}

}  // namespace sf::wire
