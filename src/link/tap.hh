// A Link over a TAP device, with the offloads that make a frame up to 64 KiB, and towards the guest 256 KiB,
// at any MTU.
//
// setup/ opens and configures the device: IFF_TAP | IFF_NO_PI, and, where there is one, IFF_VNET_HDR with a
// header of kVnetHeaderSize bytes (TUNSETVNETHDRSZ) in the machine's byte order before every frame.
#pragma once

#include "base/unique_fd.hh"
#include "link/link.hh"

namespace sf::link {

// Whether this kernel's IP takes Features::big_tcp frames from a device: IPv4 since Linux 6.3 (IPv6
// since 5.19). An older one drops them, and nothing tells.
[[nodiscard]] bool kernel_has_big_tcp();

class Tap final : public Link {
 public:
  // The form with a buffer count, as virtio 1.0 has it.
  static constexpr std::size_t kVnetHeaderSize = 12;

  // `device` is non-blocking. `features` says what TUNSETOFFLOAD accepted; without a vnet header there are
  // none.
  Tap(UniqueFd device, bool vnet_header, Features features);

  [[nodiscard]] Status receive(MutBytes buffer, Frame& frame) override;
  [[nodiscard]] Status send(std::span<const Bytes> parts, const wire::Offload& offload) override;
  [[nodiscard]] Features features() const override { return features_; }

  // For the event loop.
  [[nodiscard]] int fd() const { return device_.get(); }

 private:
  UniqueFd device_;
  bool vnet_header_;
  Features features_;
};

}  // namespace sf::link
