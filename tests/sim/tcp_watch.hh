// The rules of TCP at the stack's door towards the guest, for one connection. It sees what reached the stack
// and what the stack sent, in the very order of both, and so it may be stricter than any peer could be: an
// ACK must be of what has arrived, a window's right edge is the one that the stack was told, and so on.
//
// Sequence numbers are held as offsets from the initial one: 0 is the SYN, 1 the first byte.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "sim/interval_set.hh"
#include "sim/ledger.hh"
#include "sim/world.hh"
#include "wire/offload.hh"
#include "wire/tcp.hh"

namespace sf::sim {

class TcpWatch {
 public:
  // A stack with scarce memory may drop what came in window.
  TcpWatch(World& world, Ledger& ledger, std::uint32_t mtu, bool scarce_memory)
      : world_(world), ledger_(ledger), mtu_(mtu), may_drop_(scarce_memory) {}

  void on_received(const wire::TcpSegment& segment);
  void on_sent(const wire::TcpSegment& segment, const wire::Offload& offload, bool taken);
  // All that has arrived by now has been dealt with: what is sent from here on answers for it.
  void on_turn_end() { must_ack_ = in_order_; }

 private:
  void begin(const wire::TcpSegment& syn);
  [[nodiscard]] bool forged(const wire::TcpSegment& segment) const;
  void learn_data(const wire::TcpSegment& segment);
  void learn_ack(const wire::TcpSegment& segment);
  void check_syn_ack(const wire::TcpSegment& segment);
  void check_reset(const wire::TcpSegment& segment);
  void check_ack(const wire::TcpSegment& segment);
  void check_window(const wire::TcpSegment& segment);
  void check_timestamps(const wire::TcpSegment& segment);
  void check_sack(const wire::TcpSegment& segment);
  void check_data(const wire::TcpSegment& segment, const wire::Offload& offload);
  void check_fin(const wire::TcpSegment& segment, std::uint64_t end);
  template <typename... Args>
  void broken(const char* rule, fmt::format_string<Args...> format, Args&&... args) {
    world_.violation(rule, "{}: {}", ledger_.plan.guest.to_string(),
                     fmt::format(format, std::forward<Args>(args)...));
  }

  World& world_;
  Ledger& ledger_;
  std::uint32_t mtu_;
  bool may_drop_;

  // What reached the stack from the guest.
  bool begun_ = false;
  std::uint32_t guest_isn_ = 0;
  wire::TcpOptions offered_;
  IntervalSet arrived_;           // sequence offsets of the guest's
  std::uint64_t contiguous_ = 0;  // all below has arrived
  std::uint64_t in_order_ = 0;    // the same, counting nothing that arrived early: what no stack may lose
  std::optional<std::uint64_t> guest_fin_;
  std::set<std::uint32_t> echoable_;  // timestamps of segments that could be echoed (RFC 7323 section 4.3)
  std::uint64_t guest_edge_ = 0;  // one past the last offset of the stack's that the guest's window allows
  std::uint64_t guest_ack_ = 0;
  std::uint64_t largest_window_ = 0;
  std::optional<std::uint32_t> newest_timestamp_;

  // What the stack sent.
  bool answered_ = false;  // there was a SYN-ACK
  bool ghost_ = false;     // a connection that an old SYN opened again; the guest knows nothing of it
  std::uint32_t stack_isn_ = 0;
  wire::TcpOptions agreed_;
  std::uint32_t connects_seen_ = 0;
  std::uint64_t last_ack_ = 0;
  std::uint64_t highest_ = 0;   // one past the last offset that was sent
  std::uint64_t adv_edge_ = 0;  // one past the last offset of the guest's that the stack's window allows
  std::uint64_t must_ack_ = 0;
  std::optional<std::uint32_t> last_echo_;
  std::optional<std::uint64_t> stack_fin_;
  Time completed_ = kNever;  // both FINs had come and were acknowledged, as far as the stack could know
};

}  // namespace sf::sim
