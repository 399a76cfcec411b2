// The TAP: made in the guest's network namespace, used from outside.
//
// A TAP's descriptor holds a reference to the network namespace in which it was opened, and a namespace that
// is held never ends. So it is opened in a namespace of its own, made for that alone, and the device is then
// moved to the guest's. When the last process and the last path of the guest's namespace are gone, the kernel
// removes the device, and the descriptor says so: EPOLLERR, and EBADFD on read and write
// (link::Status::gone). Measured on Linux 6.18; opened in the guest's own namespace, the same descriptor kept
// it alive.
//
// The move costs 15 ms there. `run` does without: the program ends with its guest anyway.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hh"
#include "base/result.hh"
#include "base/unique_fd.hh"

namespace sf::setup {

struct TapSettings {
  std::string name = "tap0";
  std::uint32_t mtu = 1500;
  std::optional<MacAddress> mac;
  unsigned queues = 1;           // more than one: IFF_MULTI_QUEUE
  bool holds_namespace = false;  // the descriptors may keep the namespace alive
};

// Every frame is preceded by a virtio_net_hdr_v1 of kVnetHeaderSize bytes, in the machine's byte order.
struct TapDevice {
  static constexpr unsigned kVnetHeaderSize = 12;

  std::vector<UniqueFd> queues;  // non-blocking, close-on-exec
  std::string name;
  MacAddress mac;        // the guest's
  bool udp_gso = false;  // the kernel has USO (Linux 6.2); CSUM, TSO4 and TSO6 are always on
};

// Makes the device in the network namespace of this process, with MAC and MTU, down. Needs CAP_NET_ADMIN;
// without holds_namespace CAP_SYS_ADMIN as well, and the process is in a temporary namespace meanwhile.
[[nodiscard]] Result<TapDevice> create_tap(const TapSettings& settings);

// A TapDevice without its descriptors as text and back, to cross a Channel.
[[nodiscard]] std::string describe(const TapDevice& device);
[[nodiscard]] Result<TapDevice> from_description(const std::string& text, std::vector<UniqueFd> queues);

}  // namespace sf::setup
