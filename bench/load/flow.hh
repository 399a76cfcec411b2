// Datagrams at a rate, and counting them: what both ends of `datagrams` share.
//
//   to the server:    data ... data, then report?  ──>  report(received)
//   from the server:  start(rate) ──>  data ... data, end; then report?  ──>  report(sent)
#pragma once

#include <atomic>
#include <cstdint>

#include "common.hh"

namespace sf::load {

enum class FlowKind : std::uint32_t { data = 0x5f10, start, end, ask, report };

// The first bytes of every datagram; both ends run on one machine.
struct FlowHeader {
  FlowKind kind = FlowKind::data;
  std::uint32_t test = 0;
  std::uint64_t sent = 0;      // report: datagrams
  std::uint64_t received = 0;  // report
  std::uint64_t elapsed = 0;   // report: nanoseconds of sending
  std::uint64_t rate = 0;      // start: datagrams per second
  std::uint64_t duration = 0;  // start: nanoseconds
  std::uint32_t size = 0;      // start: bytes of each datagram
  std::uint32_t segments = 0;  // start: above 1, that many leave as one buffer with UDP_SEGMENT
};

struct Sent {
  std::uint64_t datagrams = 0;
  std::int64_t elapsed = 0;
};

// Sends `rate` datagrams per second for `duration`, in batches every 100 µs, through a socket that may block.
Sent send_at_rate(int socket, const Address& to, const FlowHeader& plan);

// Receives what is there into its own buffers and counts the datagrams of one test; others than data are
// handed to `other`.
class FlowReceiver {
 public:
  explicit FlowReceiver(bool gro);
  template <typename Other>
  void receive(int socket, Other&& other) {
    const int count = receive_batch(socket);
    for (int i = 0; i < count; ++i) {
      Address from;
      FlowHeader header;
      const std::uint64_t datagrams = look(i, header, from);
      if (datagrams == 0) continue;
      if (header.kind == FlowKind::data) {
        if (header.test != test_) {
          test_ = header.test;
          received_ = 0;
        }
        received_ += datagrams;
        total_ += datagrams;
      } else {
        other(header, from);
      }
    }
  }
  [[nodiscard]] std::uint64_t received(std::uint32_t test) const { return test == test_ ? received_ : 0; }
  [[nodiscard]] std::uint64_t total() const { return total_; }

 private:
  static constexpr int kBatch = 64;

  [[nodiscard]] int receive_batch(int socket);
  // How many datagrams the buffer holds; 0: it is none of ours.
  [[nodiscard]] std::uint64_t look(int at, FlowHeader& header, Address& from) const;

  bool gro_;
  std::size_t room_;
  std::vector<std::uint8_t> buffers_;
  std::vector<mmsghdr> messages_;
  std::vector<iovec> vectors_;
  std::vector<sockaddr_storage> names_;
  std::vector<std::uint8_t> controls_;
  std::uint32_t test_ = 0;
  std::uint64_t received_ = 0, total_ = 0;
};

// Whole buffers from here on.
void stop_segmenting(int socket);

// A UDP socket with large buffers, and with UDP_GRO if asked for.
[[nodiscard]] int flow_socket(int family, bool gro);

}  // namespace sf::load
