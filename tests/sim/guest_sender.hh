// The sending half of the guest's TCP: what the application wrote, what was sent, acknowledged, and is to be
// sent again. Offsets as in sequence.hh: 0 is its SYN, 1 its first byte, the FIN comes right after the last.
#pragma once

#include <optional>

#include "sim/interval_set.hh"
#include "sim/plan.hh"
#include "sim/random.hh"
#include "wire/tcp.hh"

namespace sf::sim {

class GuestSender {
 public:
  GuestSender(const GuestPlan& plan, Random& random) : plan_(plan), random_(random) {}

  // After the handshake. `segment` is the most payload that one segment may carry, `super` the most of a
  // super-frame.
  void begin(std::uint32_t segment, std::uint32_t super, std::uint64_t window);

  struct Chunk {
    std::uint64_t from = 0;
    std::uint64_t size = 0;
    bool fin = false;
    bool again = false;
  };
  // What may be sent now, until there is nothing more; each one counts as sent.
  [[nodiscard]] std::optional<Chunk> next();
  // For when the window is closed and the timer has run off: one byte of it, or the FIN.
  [[nodiscard]] Chunk probe();
  void on_timeout();

  struct Ack {
    std::uint64_t ack = 0;
    std::optional<std::uint64_t> window{};  // nothing where a newer one is known
    bool bare = false;                      // a segment without data, SYN or FIN
  };
  // True where it acknowledged something new.
  bool on_ack(const Ack& ack);
  void on_sack(std::uint64_t left, std::uint64_t right);

  void write(std::uint64_t count) { written_ += count; }
  void close() { closing_ = true; }

  [[nodiscard]] std::uint64_t acknowledged() const { return una_; }
  [[nodiscard]] std::uint64_t highest() const { return max_; }
  // For a segment without data: a number that the peer's window admits, even where a probe went beyond it.
  [[nodiscard]] std::uint64_t ack_sequence() const { return std::min(max_, una_ + window_); }
  [[nodiscard]] std::uint64_t written() const { return written_; }
  [[nodiscard]] std::uint64_t bytes_acknowledged() const;
  [[nodiscard]] bool fin_acknowledged() const { return closing_ && una_ > data_end(); }
  [[nodiscard]] bool outstanding() const { return max_ > una_; }
  // Something is to be sent, or was and is not acknowledged: a timer has to run.
  [[nodiscard]] bool unfinished() const { return una_ < data_end() + (closing_ ? 1 : 0); }

 private:
  [[nodiscard]] std::uint64_t data_end() const { return 1 + written_; }
  [[nodiscard]] std::uint64_t cut(std::uint64_t most) const;
  [[nodiscard]] std::optional<Chunk> hole();
  void enter_recovery();

  GuestPlan plan_;
  Random& random_;
  std::uint64_t una_ = 1;
  std::uint64_t nxt_ = 1;
  std::uint64_t max_ = 1;
  std::uint64_t window_ = 0;
  std::uint64_t congestion_ = 0;
  std::uint64_t threshold_ = UINT64_MAX;
  std::uint32_t segment_ = 0;
  std::uint32_t super_ = 0;
  std::uint64_t written_ = 0;
  bool closing_ = false;
  IntervalSet sacked_;
  unsigned duplicates_ = 0;
  bool recovering_ = false;
  std::uint64_t recover_ = 0;
  bool resend_ = false;
};

}  // namespace sf::sim
