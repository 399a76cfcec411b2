// One TCP connection with the guest, as a pure state machine (RFC 9293): no descriptor, no clock, no
// allocation.
//
// Theory of operation. The guest opens; the host side is an ordinary socket whose kernel speaks its own TCP
// with the world. What this machine does is to stand in for the far end towards the guest. Its state is a
// phase, times what the guest's half has done (ReceiveHalf), times what the host's half has done
// (TransmitHalf):
//
//     SYN from the guest                       a client of a published port
//          │                                        │ SYN to the guest
//          ▼             host refused, unreachable  ▼          RST, no SYN-ACK within the time-outs
//     connecting ───────────────────► closed     syn_sent ─────────────────────► closed
//          │ host connected: SYN-ACK                │ SYN-ACK: ACK
//          ▼             RST, no ACK in time        │
//     syn_received ─────────────────► closed        │
//          │ ACK                                    │
//          ├────────────────────────────────────────┘
//          ▼             RST either way, time-outs
//     open ────────────────────────────────────────► closed
//          │ both FINs sent and acknowledged
//          ├── ours was acknowledged last ─────────► closed   (we were LAST_ACK)
//          ▼
//     time_wait ───────────────────────────────────► closed   (after kTimeWait)
//
// A SYN-ACK goes out only once the host is connected, so that what the guest sees of the far end is true.
// Inputs are a segment, what the host has done, and a deadline that has come, each with `now`; outputs are
// what to send next, and the next deadline. The bytes themselves stay with the translator.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.hh"
#include "tcp/ack_timing.hh"
#include "tcp/receive.hh"
#include "tcp/seq.hh"
#include "tcp/transmit.hh"
#include "wire/tcp.hh"

namespace sf::tcp {

// What a connection needs to know when it begins.
struct Opening {
  Seq iss;                         // RFC 6528
  std::uint32_t timestamp_offset;  // random per connection (RFC 7323 section 5.4)
  std::uint32_t our_mss;           // what the link's MTU leaves for payload without options
  std::uint32_t offered_mss;       // what the guest is told, `our_mss` or less
};

// What a segment asks of the translator.
struct SegmentOutcome {
  ReceivePlan plan;         // which payload bytes to keep; then commit() tells
  std::uint32_t acked = 0;  // payload bytes from una() on that may be let go
  bool reset = false;       // the guest has reset the connection: it is closed
  bool refuse = false;      // the segment is of no connection: answer with a RST (RFC 9293 section 3.10.7.4)
};

// A segment to be sent: `offset` and `length` name its payload, counted from una().
struct Emission {
  wire::TcpSegment header;
  std::uint32_t offset = 0;
  std::uint32_t length = 0;
};

// RFC 9293 section 3.3.2; `connecting` is ours: a SYN has come, and the host's side is not connected yet.
enum class State : std::uint8_t {
  connecting,
  syn_received,
  syn_sent,
  established,
  close_wait,
  last_ack,
  closing,
  fin_wait_1,
  fin_wait_2,
  time_wait,
  closed,
  count_,
};
inline constexpr std::size_t kStates = static_cast<std::size_t>(State::count_);
// The name in the RFC, for people.
[[nodiscard]] const char* to_string(State state);

class Connection {
 public:
  enum class Phase : std::uint8_t { connecting, syn_received, syn_sent, open, time_wait, closed };

  // How much of the guest's stream is held while the host does not take it.
  static constexpr std::uint32_t kCapacity = 512 * 1024;
  // With little memory left, and what keeps a connection alive then.
  static constexpr std::uint32_t kPressedCapacity = 32 * 1024;
  static constexpr std::uint8_t kWindowScale =
      4;  // 65,535 << 4 covers kCapacity; offered windows are multiples of 16
  static constexpr Duration kTimeWait = 1s;       // on a link within one machine; covers a lost last ACK
  static constexpr Duration kKeepAliveOpen = 2h;  // RFC 5382 REQ-5: at least 2 h 4 min until an idle one ends
  static constexpr Duration kKeepAliveClosing = 60s;
  static constexpr Duration kKeepAliveInterval = 75s;
  static constexpr std::uint8_t kKeepAliveProbes = 9;
  static constexpr Duration kChallengeInterval = 500ms;  // RFC 5961 section 7: challenge ACKs are limited

  // A SYN has come; the phase is `connecting`.
  Connection(const wire::TcpSegment& syn, const Opening& opening, Time now);
  // Somebody outside has connected; the phase is `syn_sent`.
  Connection(const Opening& opening, Time now);

  // --- inputs
  SegmentOutcome on_segment(const wire::TcpSegment& segment, Time now);
  // The first `stored` bytes of the plan's are kept. Returns by how much the in-order stream has grown.
  std::uint32_t commit(const ReceivePlan& plan, std::uint32_t stored, Time now);
  void host_connected(Time now);
  // `held`: in-order bytes that are kept for the host and not yet taken. `capacity`: how many may be, at the
  // moment.
  void set_held(std::uint32_t held, std::uint32_t capacity);
  // The host's stream has ended: a FIN follows what is queued.
  void host_finished() { transmit_.finish(); }
  // There is something to send that the guest's window keeps back.
  void set_blocked(bool blocked, Time now);
  // False: the guest is gone, the connection is closed.
  [[nodiscard]] bool on_deadline(Time now);
  void close() { phase_ = Phase::closed; }

  // --- outputs
  // The next segment to send, with `queued` payload bytes kept from una() on. `max_payload` bounds a
  // super-frame. A bare ACK comes last. The header's ACK and window are those of this moment.
  [[nodiscard]] std::optional<Emission> next(std::uint32_t queued, std::uint32_t max_payload, Time now);
  // A RST that the guest will accept.
  [[nodiscard]] wire::TcpSegment reset_segment() const;
  [[nodiscard]] Time deadline() const;

  [[nodiscard]] Phase phase() const { return phase_; }
  [[nodiscard]] State state() const;
  [[nodiscard]] const char* state_name() const { return to_string(state()); }
  // Payload bytes that may be queued beyond `queued`.
  [[nodiscard]] std::uint32_t room(std::uint32_t queued) const {
    return phase_ == Phase::open ? transmit_.room(queued) : 0;
  }
  // Payload of one segment: what the guest's MSS leaves after the options that every segment carries.
  [[nodiscard]] std::uint32_t segment_size() const { return transmit_.mss(); }
  [[nodiscard]] bool guest_finished() const { return receive_.finished(); }
  [[nodiscard]] bool fin_acked() const { return transmit_.fin_acked(); }
  [[nodiscard]] bool ack_pending() const { return ack_.pending(); }
  // Bytes received since the last ACK went out.
  [[nodiscard]] std::uint32_t unacknowledged() const { return receive_.next() - last_ack_sent_; }
  [[nodiscard]] const TransmitHalf& transmit() const { return transmit_; }
  [[nodiscard]] const ReceiveHalf& receive() const { return receive_; }
  [[nodiscard]] Seq irs() const { return irs_; }
  // When the guest last sent what counts, an ACK of what it was sent included.
  [[nodiscard]] Time last_heard() const { return last_heard_; }

 private:
  void agree(const wire::TcpSegment& syn);
  void on_syn_sent(const wire::TcpSegment& segment, SegmentOutcome& outcome);
  void on_syn_received(const wire::TcpSegment& segment, SegmentOutcome& outcome);
  [[nodiscard]] bool passes_checks(const wire::TcpSegment& segment, const ReceivePlan& plan,
                                   SegmentOutcome& outcome, Time now);
  void owe_ack(const ReceivePlan& plan, const wire::TcpSegment& segment, Time now);
  void challenge(Time now);
  void settle(Time now);
  [[nodiscard]] std::uint32_t scaled_window(const wire::TcpSegment& segment) const;
  [[nodiscard]] wire::TcpSegment make_header(Seq seq, Time now);
  [[nodiscard]] wire::TcpSegment make_syn(Time now) const;
  [[nodiscard]] wire::TcpSegment make_syn_ack(Time now);
  [[nodiscard]] std::uint32_t timestamp(Time now) const;

  ReceiveHalf receive_;
  TransmitHalf transmit_;
  AckTiming ack_;
  Seq irs_;
  Seq iss_;
  Seq last_ack_sent_;
  std::uint32_t held_ = 0;
  std::uint32_t capacity_ = kCapacity;
  std::uint32_t timestamp_offset_;
  std::uint32_t timestamp_recent_ = 0;
  std::uint16_t our_mss_;
  std::uint16_t offered_mss_;
  std::uint8_t guest_scale_ = 0;
  std::uint8_t keep_alive_probes_ = 0;
  std::uint8_t syn_timeouts_ = 0;
  Phase phase_ = Phase::connecting;
  bool scaling_ = false;
  bool timestamps_ = false;
  bool sack_ = false;
  bool syn_pending_ = false;  // our SYN or SYN-ACK is to go out
  bool probe_pending_ = false;
  bool guest_finished_first_ = false;
  Time last_heard_;
  Time challenge_after_{};        // no challenge ACK before this
  Time phase_deadline_ = kNever;  // SYN or SYN-ACK retransmission, or the end of time_wait
};

}  // namespace sf::tcp
