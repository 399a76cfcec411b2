// What is known for certain about one connection: counted at the doors of the stack under test, by the link,
// the host and the guest, each of which writes its own part. Offsets and counts are bytes of payload.
#pragma once

#include <cstdint>

#include "sim/pattern.hh"
#include "sim/plan.hh"

namespace sf::sim {

enum class GuestOutcome : std::uint8_t {
  pending,
  done,         // both FINs sent and acknowledged
  refused,      // RST in answer to the SYN
  unreachable,  // an ICMP error in answer to the SYN
  timed_out,    // no answer to the SYN
  reset,        // RST on an open connection
  gave_up,      // retransmitted in vain
  aborted,      // by its own plan
  vanished,     // by its own plan
};
[[nodiscard]] constexpr const char* to_string(GuestOutcome outcome) {
  constexpr const char* kNames[] = {"pending", "done",    "refused", "unreachable", "timed-out",
                                    "reset",   "gave-up", "aborted", "vanished"};
  return kNames[static_cast<std::size_t>(outcome)];
}

struct Ledger {
  explicit Ledger(const FlowPlan& flow) : plan(flow), from_guest(flow.key), to_guest(~flow.key) {}

  const FlowPlan plan;
  const Pattern from_guest;
  const Pattern to_guest;

  // Written by the guest.
  GuestOutcome outcome = GuestOutcome::pending;
  Time ended{};                      // when that was known
  std::uint64_t guest_received = 0;  // in order
  bool guest_saw_fin = false;
  std::uint64_t guest_acked = 0;  // of what it sent

  // Written by the watch at the link: what has reached the stack.
  std::uint64_t reached_stack = 0;  // without a gap
  bool fin_reached_stack = false;   // and nothing before it is missing
  bool handshake_reached_stack = false;
  bool reset_reached_stack = false;
  std::uint64_t acked_to_stack = 0;  // the guest's ACKs that reached it
  bool fin_acked_to_stack = false;
  bool stack_sent_reset = false;

  // Written by the host.
  std::uint32_t connects = 0;  // connect_stream() calls that made a socket
  std::uint32_t ghosts = 0;    // of those: for old SYNs that came again after the guest was through
  bool socket_open = false;
  bool connected = false;  // the stack may know that the connection stands
  bool connect_failed = false;
  std::uint64_t handed = 0;  // taken from the socket by the stack
  bool eof_handed = false;
  std::uint64_t accepted = 0;  // given to the socket by the stack
  std::uint64_t consumed = 0;  // of those, read by the server
  bool peer_saw_fin = false;
  bool peer_saw_reset = false;
  bool peer_reset = false;  // by its own plan
};

}  // namespace sf::sim
