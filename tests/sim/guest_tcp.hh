// A TCP of the guest's, client side, from the RFCs alone and sharing nothing with src/tcp: handshake, both
// halves, its own retransmission, and the checks that a careful peer makes. What needs to know the stack's
// side too is in tcp_watch.
#pragma once

#include <functional>

#include "sim/guest_receiver.hh"
#include "sim/guest_sender.hh"
#include "sim/ledger.hh"
#include "sim/timer.hh"

namespace sf::sim {

class GuestTcp {
 public:
  // Puts a segment on the link; gso_size as for build_tcp().
  using Emit = std::function<void(const wire::TcpSegment& segment, Bytes payload, std::uint16_t gso_size)>;

  GuestTcp(World& world, Ledger& ledger, const LinkPlan& link, Emit emit);
  GuestTcp(const GuestTcp&) = delete;
  GuestTcp& operator=(const GuestTcp&) = delete;

  void start();
  // With a checksum known to be right.
  void on_segment(const wire::TcpSegment& segment);
  // Its machine has lost power.
  void vanish();
  // An ICMP error about a segment between these ends; it may be one of a connection before.
  void on_unreachable(std::uint32_t sequence);

  [[nodiscard]] Ledger& ledger() const { return ledger_; }
  [[nodiscard]] bool started() const { return started_; }
  [[nodiscard]] bool pending() const { return ledger_.outcome == GuestOutcome::pending; }
  // Its kernel answers nothing.
  [[nodiscard]] bool silent() const { return ledger_.outcome == GuestOutcome::vanished; }
  // Its kernel knows nothing of it any more, and answers with RST.
  [[nodiscard]] bool forgotten() const;

 private:
  void on_syn_sent(const wire::TcpSegment& segment);
  void establish(const wire::TcpSegment& segment);
  [[nodiscard]] bool check_sequence(const wire::TcpSegment& segment);
  void take_ack(const wire::TcpSegment& segment);
  void take_data(const wire::TcpSegment& segment);
  void measure(std::uint64_t acknowledged);
  void output();
  void send(const GuestSender::Chunk& chunk);
  void send_ack();
  void forge();
  void send_syn();
  void put_options(wire::TcpSegment& segment);
  void on_timer();
  void application_write();
  void application_read();
  void probe();
  void settle();
  void end(GuestOutcome outcome);
  [[nodiscard]] std::uint32_t clock() const;
  [[nodiscard]] Duration timeout() const;

  World& world_;
  Ledger& ledger_;
  const GuestPlan& plan_;
  LinkPlan link_;
  Emit emit_;
  GuestSender sender_;
  GuestReceiver receiver_;
  bool started_ = false;
  bool established_ = false;
  bool timestamps_ = false;
  bool sack_ = false;
  unsigned peer_scale_ = 0;
  std::uint32_t segment_ = 0;  // payload of a full segment
  std::uint32_t ts_recent_ = 0;
  std::uint64_t last_ack_sent_ = 0;
  std::uint64_t window_sequence_ = 0;  // SND.WL1 and SND.WL2
  std::uint64_t window_ack_ = 0;
  unsigned retries_ = 0;
  unsigned unanswered_ = 0;  // timeouts since the peer was last heard
  bool ack_now_ = false;
  unsigned unacknowledged_ = 0;  // segments that wait for a delayed ACK
  std::optional<Duration> smoothed_;
  Duration variation_{0};
  std::optional<std::pair<std::uint64_t, Time>> timed_;  // the segment whose round trip is measured
  bool paused_ = false;
  bool was_paused_ = false;
  Timer retransmit_;
  Timer delayed_ack_;
  Timer write_;
  Timer read_;
  Timer keep_alive_;
  Timer fin_wait_;
};

}  // namespace sf::sim
