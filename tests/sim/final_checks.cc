#include "sim/final_checks.hh"

namespace sf::sim {
namespace {

void check_delivered(World& world, const Ledger& ledger) {
  const FlowPlan& plan = ledger.plan;
  const std::string name = plan.guest.to_string();
  if (ledger.guest_acked > ledger.consumed) {
    world.violation("acked-lost", "{}: {} bytes were acknowledged, {} came to the server", name,
                    ledger.guest_acked, ledger.consumed);
  }
  if (ledger.consumed != plan.from.send_bytes || !ledger.peer_saw_fin) {
    world.violation("lost-to-host", "{}: {} of {} bytes came to the server, {}", name, ledger.consumed,
                    plan.from.send_bytes, ledger.peer_saw_fin ? "and the end" : "but not the end");
  }
  if (ledger.guest_received != plan.peer.send_bytes || !ledger.guest_saw_fin) {
    world.violation("lost-to-guest", "{}: {} of {} bytes came to the guest, {}", name, ledger.guest_received,
                    plan.peer.send_bytes, ledger.guest_saw_fin ? "and the end" : "but not the end");
  }
  if (ledger.peer_saw_reset) world.violation("false-reset", "{}: the server was reset", name);
}

void stalled(World& world, const Ledger& ledger) {
  world.violation(
      "stall",
      "{} to {}: {}; {} of {} bytes from the guest ({} reached the stack, {} given to the host), {} of {} "
      "to it ({} taken from the host)",
      ledger.plan.guest.to_string(), ledger.plan.server.to_string(), to_string(ledger.outcome),
      ledger.guest_acked, ledger.plan.from.send_bytes, ledger.reached_stack, ledger.accepted,
      ledger.guest_received, ledger.plan.peer.send_bytes, ledger.handed);
}

void check_flow(World& world, const Plan& whole, const Ledger& ledger) {
  const FlowPlan& plan = ledger.plan;
  const GuestOutcome outcome = ledger.outcome;
  // In a flood the stack may turn away whoever has waited longest.
  const bool turned_away =
      outcome == GuestOutcome::refused || (outcome == GuestOutcome::reset && ledger.accepted == 0);
  if (whole.flows.size() >= whole.stack.half_open && turned_away) return;
  // All of the guest's answers to a SYN-ACK may be lost until the stack gives it up.
  if (outcome == GuestOutcome::reset && !ledger.handshake_reached_stack) return;
  if (plan.clean()) {
    // The very last ACK may be lost for longer than the stack waits in TIME-WAIT; a reset harms nobody by
    // then.
    const bool through = outcome == GuestOutcome::reset && ledger.guest_saw_fin && ledger.fin_reached_stack;
    return outcome == GuestOutcome::done || through ? check_delivered(world, ledger) : stalled(world, ledger);
  }
  const bool guest_stays =
      plan.from.close == GuestClose::after_send || plan.from.close == GuestClose::after_peer_fin;
  if (!guest_stays) return;
  switch (plan.peer.outcome) {
    case ConnectOutcome::accept:
      // A reset is sent once: where that one is lost, a guest with nothing to say does not learn of it.
      if (outcome == GuestOutcome::gave_up ||
          (outcome == GuestOutcome::pending && !ledger.stack_sent_reset)) {
        stalled(world, ledger);
      }
      break;
    case ConnectOutcome::refused:
      if (outcome != GuestOutcome::refused) {
        world.violation("refused", "{}: a refused connection ended as {}", plan.guest.to_string(),
                        to_string(outcome));
      }
      break;
    case ConnectOutcome::net_unreachable:
    case ConnectOutcome::host_unreachable:
    case ConnectOutcome::failed_at_once:
      if (outcome != GuestOutcome::unreachable && outcome != GuestOutcome::refused) {
        world.violation("unreachable", "{}: an unreachable server's connection ended as {}",
                        plan.guest.to_string(), to_string(outcome));
      }
      break;
    case ConnectOutcome::timed_out:
    case ConnectOutcome::silent:
    case ConnectOutcome::no_descriptors:
      if (outcome == GuestOutcome::pending || outcome == GuestOutcome::done) stalled(world, ledger);
      break;
  }
}

}  // namespace

void check_end(World& world, const Plan& plan, const std::vector<std::unique_ptr<Ledger>>& ledgers,
               const std::function<bool(const FlowPlan&)>& excused) {
  for (const auto& ledger : ledgers) {
    if (!excused || !excused(ledger->plan)) check_flow(world, plan, *ledger);
  }
}

void check_leaks(World& world, const Stack& stack, const SimHost& host) {
  if (const std::size_t flows = stack.flows(); flows != 0)
    world.violation("flow-leak", "{} flows are left", flows);
  if (host.open_sockets() != 0) {
    world.violation("socket-leak", "{} sockets are left: {}", host.open_sockets(), host.describe_open());
  }
  if (const std::size_t left = stack.memory_in_use(); left != 0) {
    world.violation("memory-leak", "{} pieces or bytes of payload memory are left", left);
  }
}

}  // namespace sf::sim
