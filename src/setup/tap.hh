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
//
// A TAP that somebody else has made is taken as it is. It can be opened in its own namespace alone, and so
// keeps that alive: TapDevice::holds_namespace.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hh"
#include "base/result.hh"
#include "base/unique_fd.hh"

namespace sf::setup {

struct TapSettings {
  std::string name = "tap0";
  std::optional<std::uint32_t> mtu;  // absent: the kernel's, 1500
  std::optional<MacAddress> mac;     // absent: the kernel's choice
  unsigned queues = 1;           // more than one: IFF_MULTI_QUEUE; one from a device that was made without
  bool holds_namespace = false;  // the descriptors may keep the namespace alive
  bool keep_existing = false;    // a device that is there already keeps its MTU and MAC
  bool offload = true;           // false: the guest's kernel cuts and checks everything itself
};

// What the kernel does for frames of the device's: completes checksums, and cuts super-frames, which it then
// also sends by itself.
struct TapOffloads {
  bool checksum = false;
  bool tso4 = false;  // TCP over IPv4, over IPv6; these need `checksum`
  bool tso6 = false;
  bool uso = false;  // UDP (Linux 6.2)

  bool operator==(const TapOffloads&) const = default;
};

// As many of them as the kernel takes. `set` is TUNSETOFFLOAD with that argument; false: refused. A kernel
// refuses the whole for one that it does not know.
[[nodiscard]] TapOffloads choose_offloads(const std::function<bool(unsigned long argument)>& set);

// With vnet_header, every frame is preceded by a virtio_net_hdr_v1 of kVnetHeaderSize bytes, in the machine's
// byte order.
struct TapDevice {
  static constexpr unsigned kVnetHeaderSize = 12;

  std::vector<UniqueFd> queues;  // non-blocking, close-on-exec
  std::string name;
  MacAddress mac;  // the guest's
  bool vnet_header = true;
  TapOffloads offloads;  // none without a vnet header
  bool holds_namespace = false;
};

// Makes the device in the network namespace of this process, with MAC and MTU, down; or takes the TAP of that
// name that is there, unless another program has it. Needs CAP_NET_ADMIN; without holds_namespace
// CAP_SYS_ADMIN as well, and the process is in a temporary namespace meanwhile.
[[nodiscard]] Result<TapDevice> open_tap(const TapSettings& settings);

// A TAP's descriptor that the program was started with, without packet information (IFF_NO_PI). One with a
// vnet header gets the offloads, if `offload` says so; one without stays so.
[[nodiscard]] Result<TapDevice> adopt_tap(int fd, bool offload);

// A TapDevice without its descriptors as text and back, to cross a Channel.
[[nodiscard]] std::string describe(const TapDevice& device);
[[nodiscard]] Result<TapDevice> from_description(const std::string& text, std::vector<UniqueFd> queues);

}  // namespace sf::setup
