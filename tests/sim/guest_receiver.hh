// The receiving half of the guest's TCP: what has come, what the application has read, the window that
// follows. Offsets as in sequence.hh: 0 is the peer's SYN, 1 its first byte.
#pragma once

#include <optional>

#include "sim/interval_set.hh"
#include "sim/pattern.hh"
#include "sim/plan.hh"
#include "wire/tcp.hh"

namespace sf::sim {

class GuestReceiver {
 public:
  explicit GuestReceiver(const GuestPlan& plan) : plan_(plan) {}

  void begin(std::uint32_t initial, unsigned scale);

  struct Outcome {
    bool in_order = false;               // something was taken, and nothing is missing now
    std::optional<std::uint64_t> wrong;  // offset in the stream of a byte that differs from the pattern
    bool after_fin = false;
  };
  [[nodiscard]] Outcome take_segment(std::uint64_t from, Bytes payload, bool fin, const Pattern& expected);
  // RFC 9293 section 3.10.7.4: the test of sequence numbers.
  [[nodiscard]] bool acceptable(std::uint64_t from, std::uint64_t length) const;

  // The window to put into the next segment; never takes back what was advertised (RFC 9293
  // section 3.8.6.2.1), opens it only in steps worth announcing (section 3.8.6.2.2).
  [[nodiscard]] std::uint16_t advertise();
  [[nodiscard]] std::uint16_t syn_window();
  // What was read has made a step worth an ACK of its own.
  [[nodiscard]] bool update_due() const;

  void read(std::uint64_t count) { consumed_ += std::min(count, unread()); }
  [[nodiscard]] std::uint64_t unread() const { return received() - consumed_; }
  [[nodiscard]] std::uint64_t received() const;
  [[nodiscard]] bool fin_received() const { return fin_ && next_ > *fin_; }
  // Forgets what came out of order.
  void renege() { early_.clear(); }
  [[nodiscard]] std::uint64_t next() const { return next_; }
  [[nodiscard]] std::uint64_t edge() const { return edge_; }
  [[nodiscard]] std::uint32_t acknowledgment() const { return initial_ + static_cast<std::uint32_t>(next_); }
  [[nodiscard]] std::uint64_t offset(std::uint32_t sequence) const;
  // The block of the newest segment first (RFC 2018 section 4).
  void put_sack(wire::TcpOptions& options) const;

 private:
  [[nodiscard]] std::uint64_t wanted_edge() const { return 1 + consumed_ + plan_.receive_buffer; }

  GuestPlan plan_;
  std::uint32_t initial_ = 0;
  unsigned scale_ = 0;
  std::uint64_t next_ = 0;
  std::uint64_t edge_ = 0;
  std::uint64_t consumed_ = 0;
  IntervalSet early_;
  std::uint64_t newest_ = 0;
  std::optional<std::uint64_t> fin_;
};

}  // namespace sf::sim
