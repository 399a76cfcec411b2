// The guest side: a device that Ethernet frames come from and go to. tap.hh is the Linux one, pcap.hh wraps
// any other to record it, tests/sim has a simulated one.
#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.hh"
#include "wire/offload.hh"

namespace sf::link {

// Room that a buffer for receive() must have: the largest super-frame (a 64 KiB IP packet behind an Ethernet
// header), rounded up.
inline constexpr std::size_t kMaxFrame = 65535 + 14 + 115;
// The largest IP packet that is sent to a link with Features::big_tcp: four times 64 KiB, and a recorded
// frame of that size still is one that Wireshark opens.
inline constexpr std::uint32_t kMaxBigTcpPacket = 260'000;

enum class Status : std::uint8_t {
  ok,
  empty,    // nothing to receive now; the event loop will say when there is
  dropped,  // the device did not take this frame (interface down, out of memory, frame too large); the next
            // may pass
  gone,     // the device does not exist any more; no frame will ever pass again
};

struct Frame {
  MutBytes bytes;  // from the Ethernet header on, within the caller's buffer
  wire::Offload offload;
  bool reassembled = false;  // by another shard, from fragments
};

// What the device takes from us; without these the sender segments and completes checksums itself.
struct Features {
  bool checksum = false;  // frames with Offload::checksum_needed
  bool tcp4_gso = false;  // GsoType::tcp4, and tcp6
  bool tcp6_gso = false;
  bool big_tcp = false;  // the same above 64 KiB, up to kMaxBigTcpPacket
  bool udp_gso = false;  // GsoType::udp

  [[nodiscard]] bool tcp_gso(bool v4) const { return v4 ? tcp4_gso : tcp6_gso; }
};

enum class Direction : std::uint8_t { from_guest, to_guest };

// Somebody who looks on while the network is in use: control/capture.hh.
class Onlooker {
 public:
  Onlooker() = default;
  Onlooker(const Onlooker&) = delete;
  Onlooker& operator=(const Onlooker&) = delete;
  virtual ~Onlooker() = default;

  // A frame that has passed, by the thread that has moved it.
  virtual void on_frame(std::span<const Bytes> parts, const wire::Offload& offload, Direction direction) = 0;
};

class Link {
 public:
  Link() = default;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  virtual ~Link() = default;

  // Receives one frame from the guest into `buffer` (kMaxFrame bytes or more).
  [[nodiscard]] virtual Status receive(MutBytes buffer, Frame& frame) = 0;
  // Sends one frame to the guest, gathered from `parts` (at most kMaxParts); the first one holds all headers.
  [[nodiscard]] virtual Status send(std::span<const Bytes> parts, const wire::Offload& offload) = 0;
  [[nodiscard]] virtual Features features() const = 0;

  static constexpr std::size_t kMaxParts = 8;

  // Whoever calls receive() and send() shows it what has passed. Null: nobody looks on.
  void set_onlooker(Onlooker* onlooker) { onlooker_ = onlooker; }
  void show(std::span<const Bytes> parts, const wire::Offload& offload, Direction direction) const {
    if (onlooker_ != nullptr) [[unlikely]]
      onlooker_->on_frame(parts, offload, direction);
  }

 private:
  Onlooker* onlooker_ = nullptr;
};

}  // namespace sf::link
