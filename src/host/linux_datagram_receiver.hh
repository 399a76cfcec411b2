// Receives datagrams in batches, and ICMP errors from error queues. One serves all sockets of a host.
//
// The buffers are address space of kDatagramBatch * 64 KiB, of which only pages that something was received
// into take memory. A batch starts with few slots and grows while it comes back full, so that small traffic
// stays in a few pages.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <span>

#include "base/log.hh"
#include "host/datagram_calls.hh"
#include "host/host.hh"

namespace sf::host {

class DatagramReceiver {
 public:
  // `log`, if any, is told once where the kernel has no recvmmsg(2).
  explicit DatagramReceiver(DatagramCalls& calls, const Log* log = nullptr) : calls_(calls), log_(log) {}
  DatagramReceiver(const DatagramReceiver&) = delete;
  DatagramReceiver& operator=(const DatagramReceiver&) = delete;
  ~DatagramReceiver();

  // As Host::receive_datagrams() and Host::receive_error().
  [[nodiscard]] std::span<const ReceivedDatagram> receive(int fd);
  [[nodiscard]] bool receive_error(int fd, bool v4, DatagramError& error);

 private:
  static constexpr std::size_t kSlots = Host::kDatagramBatch;
  static constexpr std::size_t kSlotSize = 65536;
  static constexpr std::size_t kControlSize = 128;
  static constexpr std::size_t kErrorPayload = 2048;

  struct Slot {
    sockaddr_in6 from;
    iovec vector;
    alignas(cmsghdr) std::array<std::uint8_t, kControlSize> control;
  };

  [[nodiscard]] bool allocate();
  void prepare(std::size_t slot);
  [[nodiscard]] int receive_into_slots(int fd);

  DatagramCalls& calls_;
  const Log* log_;
  bool has_recvmmsg_ = true;
  std::uint8_t* memory_ = nullptr;
  std::size_t batch_ = 2;
  std::array<mmsghdr, kSlots> headers_{};
  std::array<Slot, kSlots> slots_{};
  std::array<ReceivedDatagram, kSlots> received_{};
  std::array<std::uint8_t, kErrorPayload> error_payload_{};
};

}  // namespace sf::host
