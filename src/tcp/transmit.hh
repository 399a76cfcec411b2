// The half of a connection that sends to the guest: what may go out, what has to go out again, and when. It
// knows sequence numbers, not bytes: the translator keeps those from una() on until they are acknowledged.
//
//           una              nxt         una + min(window, cwnd)
//   ─────────┬────────────────┬──────────────────┬──────────
//   acked    │ in flight      │ may be sent now  │ may not
//
// The link to the guest is memory in one machine and loses next to nothing, so the congestion window starts
// wide open and only closes when something was lost. Loss recovery is NewReno's (RFC 6582), with the guest's
// SACK blocks telling which holes to fill (RFC 2018); after a time-out all that is not acknowledged goes
// again, from a window of one segment (RFC 5681 section 3.1).
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.hh"
#include "tcp/ranges.hh"
#include "tcp/rtt.hh"
#include "tcp/seq.hh"
#include "wire/tcp.hh"

namespace sf::tcp {

class TransmitHalf {
 public:
  // Most that is in flight to the guest on one connection; bounds its piece queue.
  static constexpr std::uint32_t kMaxInFlight = 1024 * 1024;
  static constexpr std::uint8_t kDuplicateAcks = 3;  // RFC 5681 section 3.2
  static constexpr std::uint8_t kMaxTimeouts = 10;   // in a row, without any ACK between: about four minutes
  static constexpr Duration kPersistFirst = 300ms;
  static constexpr Duration kPersistMost = 30s;

  struct Chunk {
    Seq seq;
    std::uint32_t length = 0;  // payload bytes
    bool fin = false;
    bool retransmission = false;
  };
  enum class AckVerdict : std::uint8_t { ok, old, invalid };
  struct AckResult {
    AckVerdict verdict = AckVerdict::ok;
    std::uint32_t acked = 0;  // payload bytes that need not be kept any longer
  };

  // `first`: of the first payload byte. `window`: the SYN's; `irs`: its sequence number.
  void start(Seq first, std::uint32_t mss, std::uint32_t window, Seq irs);

  // A segment's ACK. `window` is scaled; `bare` where it carries no payload, SYN or FIN.
  AckResult on_ack(Seq ack, Seq segment_seq, std::uint32_t window, const wire::TcpOptions& options, bool bare,
                   Time now);

  // How many payload bytes may be sent now beyond what is queued already.
  [[nodiscard]] std::uint32_t room(std::uint32_t queued) const;
  // The next thing to send with `queued` payload bytes kept from una() on; at most `max_payload` bytes of it.
  [[nodiscard]] std::optional<Chunk> next(std::uint32_t queued, std::uint32_t max_payload) const;
  // That chunk has gone out.
  void sent(const Chunk& chunk, Time now);

  // No byte will be queued after those that are: a FIN follows them.
  void finish() { fin_wanted_ = true; }

  // `blocked`: there is something to send that the window keeps back.
  [[nodiscard]] Time deadline() const { return std::min(retransmit_at_, persist_at_); }
  void set_blocked(bool blocked, Time now);
  enum class TimeoutResult : std::uint8_t { nothing, retransmit, probe, give_up };
  TimeoutResult on_deadline(Time now);

  [[nodiscard]] Seq una() const { return una_; }
  [[nodiscard]] Seq nxt() const { return nxt_; }
  [[nodiscard]] std::uint32_t in_flight() const { return nxt_ - una_; }
  [[nodiscard]] std::uint32_t window() const { return window_; }
  [[nodiscard]] bool fin_sent() const { return fin_sent_; }
  [[nodiscard]] bool fin_acked() const { return fin_acked_; }
  [[nodiscard]] std::uint32_t mss() const { return mss_; }
  [[nodiscard]] const RttEstimator& rtt() const { return rtt_; }
  [[nodiscard]] std::uint64_t retransmissions() const { return retransmissions_; }
  // A super-frame above 64 KiB was acknowledged in part only: on its way to the application somebody had to
  // cut it to single segments (a bridge or a veth behind the guest's TAP), which costs more than it has
  // saved.
  [[nodiscard]] bool big_is_cut() const { return big_is_cut_; }

 private:
  // What recovery is under way.
  enum class Recovery : std::uint8_t { none, fast, timeout };

  void advance(Seq ack, Time now);
  void on_duplicate(Time now);
  void watch_big(Seq ack);
  void enter(Recovery recovery);
  // True: the guest has more than was known.
  bool note_sack(const wire::TcpOptions& options);
  [[nodiscard]] std::optional<Chunk> next_retransmission(std::uint32_t max_payload) const;
  [[nodiscard]] Seq retransmit_limit() const;
  [[nodiscard]] std::uint32_t allowed() const { return std::min({window_, cwnd_, kMaxInFlight}); }

  Seq una_;
  Seq nxt_;              // after the highest sequence number sent, FIN included
  Seq window_seq_;       // SND.WL1
  Seq window_ack_;       // SND.WL2
  Seq recover_;          // recovery ends when this is acknowledged
  Seq retransmit_next_;  // within recovery: all before it has gone out again
  Seq timed_;            // the RTT sample under way ends with the ACK of this
  Seq big_begin_;        // a super-frame above 64 KiB whose ACK is awaited; none where both are the same
  Seq big_end_;
  std::uint32_t window_ = 0;
  std::uint32_t max_window_ = 0;
  std::uint32_t mss_ = 536;
  std::uint32_t cwnd_ = kMaxInFlight;
  std::uint32_t threshold_ = kMaxInFlight;
  std::uint32_t retransmissions_ = 0;
  Ranges sacked_;
  RttEstimator rtt_;
  Time timed_at_ = kNever;  // kNever: no sample is under way
  Time retransmit_at_ = kNever;
  Time persist_at_ = kNever;
  Duration persist_interval_{};
  std::uint8_t timeouts_ = 0;
  std::uint8_t duplicates_ = 0;
  Recovery recovery_ = Recovery::none;
  bool fin_wanted_ = false;
  bool fin_sent_ = false;
  bool fin_acked_ = false;
  bool big_is_cut_ = false;
};

}  // namespace sf::tcp
