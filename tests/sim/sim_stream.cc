#include "sim/sim_stream.hh"

#include <algorithm>
#include <utility>

namespace sf::sim {
namespace {

using host::HostError;

// How long a server that wastes no time takes to read or to send more.
constexpr Duration kPrompt = 15us;
// When Linux gives up an unanswered SYN (tcp_syn_retries 6).
constexpr Duration kSynTimeout = 127s;
constexpr std::uint64_t kPromptBurst = 65536;
// When Linux gives up what is not acknowledged (tcp_retries2 15), and a peer that answers no probe
// (LinuxHost::keep_alive: 60 s, then 9 times 15 s).
constexpr Duration kRetransmission = 924s;
constexpr Duration kKeepAlive = 195s;

HostError error_of(ConnectOutcome outcome) {
  switch (outcome) {
    case ConnectOutcome::refused:
      return HostError::refused;
    case ConnectOutcome::net_unreachable:
      return HostError::net_unreachable;
    case ConnectOutcome::timed_out:
    case ConnectOutcome::silent:
      return HostError::timed_out;
    case ConnectOutcome::no_descriptors:
      return HostError::no_descriptors;
    default:
      return HostError::host_unreachable;
  }
}

}  // namespace

SimStream::SimStream(World& world, const PeerPlan& plan, Ledger* ledger, std::function<void()> on_edge)
    : world_(world), plan_(plan), ledger_(ledger), on_edge_(std::move(on_edge)) {}

void SimStream::start() {
  const Duration delay = plan_.outcome == ConnectOutcome::silent ? kSynTimeout : plan_.connect_delay;
  world_.after(delay, [this] {
    if (closed_) return;
    if (plan_.outcome == ConnectOutcome::accept) return connected();
    fail(State::failed, error_of(plan_.outcome));
  });
}

void SimStream::start_accepted() {
  state_ = State::open;
  wake_sender();
}

void SimStream::connected() {
  state_ = State::open;
  on_edge_();
  maybe_reset();
  wake_sender();
}

void SimStream::fail(State state, HostError error) {
  state_ = state;
  error_ = error;
  if (!closed_) on_edge_();
}

HostError SimStream::finish_connect() {
  if (state_ == State::connecting) return HostError::in_progress;
  if (state_ == State::open) {
    if (ledger_ != nullptr) ledger_->connected = true;
    return HostError::none;
  }
  if (ledger_ != nullptr) ledger_->connect_failed = true;
  const HostError why = std::exchange(error_, HostError::none);
  return why == HostError::none ? HostError::reset : why;
}

// --- from the guest
// ----------------------------------------------------------------------------------------------

host::IoResult SimStream::send(std::span<const Bytes> pieces) {
  if (shut_down_)
    world_.violation("send-after-shutdown", "send() on a socket whose sending side was shut down");
  if (state_ == State::connecting) {
    want_space_ = true;
    return {0, HostError::would_block};
  }
  if (state_ != State::open) {
    const HostError pending = std::exchange(error_, HostError::none);
    return {0, pending == HostError::none ? HostError::reset : pending};
  }
  std::size_t total = 0;
  for (const Bytes& piece : pieces) total += piece.size();
  const std::size_t room = plan_.send_capacity - std::min<std::uint64_t>(buffered(), plan_.send_capacity);
  const std::size_t count = std::min(total, room);
  if (count < total) want_space_ = true;
  if (count == 0 && total > 0) return {0, HostError::would_block};
  check_accepted(pieces, count);
  accepted_ += count;
  if (ledger_ != nullptr) ledger_->accepted = accepted_;
  maybe_reset();
  wake_reader();
  return {count, HostError::none};
}

void SimStream::check_accepted(std::span<const Bytes> pieces, std::size_t count) {
  if (ledger_ == nullptr) return;
  std::uint64_t at = accepted_;
  for (const Bytes& whole : pieces) {
    const Bytes piece = take(whole, count);
    count -= piece.size();
    if (const std::size_t wrong = ledger_->from_guest.mismatch(at, piece); wrong != piece.size()) {
      world_.violation("prefix-to-host", "{}: byte {} is not what the guest sent",
                       ledger_->plan.guest.to_string(), at + wrong);
    }
    at += piece.size();
  }
  if (at > ledger_->reached_stack) {
    world_.violation("data-unreceived", "{}: {} bytes to the host, of which {} had come from the guest",
                     ledger_->plan.guest.to_string(), at, ledger_->reached_stack);
  }
}

void SimStream::wake_reader() {
  maybe_vanish();
  if (vanished_) return;
  if (reading_ || state_ == State::reset || (buffered() == 0 && (!shut_down_ || saw_fin_))) return;
  reading_ = true;
  world_.after(plan_.read_chunk == 0 ? kPrompt : plan_.read_interval, [this] { read_some(); });
}

void SimStream::read_some() {
  reading_ = false;
  if (state_ == State::reset || vanished_) return;
  const std::uint64_t chunk = plan_.read_chunk == 0 ? buffered() : plan_.read_chunk;
  consumed_ += std::min(chunk, buffered());
  if (shut_down_ && buffered() == 0) saw_fin_ = true;
  if (ledger_ != nullptr) {
    ledger_->consumed = consumed_;
    ledger_->peer_saw_fin = ledger_->peer_saw_fin || saw_fin_;
  }
  maybe_reset();
  if (!closed_ && want_space_ && state_ == State::open &&
      (plan_.send_capacity - buffered()) * 3 >= plan_.send_capacity) {
    want_space_ = false;
    on_edge_();
  }
  wake_sender();
  wake_reader();
}

void SimStream::end_graceful(const char* how) {
  if (ledger_ == nullptr || state_ != State::open || shut_down_) return;
  // An end that the guest never announced would pass half a file for a whole one.
  if (!ledger_->handshake_reached_stack) return;
  if (!ledger_->fin_reached_stack || accepted_ != ledger_->reached_stack) {
    world_.violation("false-eof", "{}: {} with {} of {} bytes given to the host, {}",
                     ledger_->plan.guest.to_string(), how, accepted_, ledger_->plan.from.send_bytes,
                     ledger_->fin_reached_stack ? "FIN seen" : "no FIN seen");
  }
}

void SimStream::shutdown_send() {
  end_graceful("shutdown");
  shut_down_ = true;
  wake_reader();
}

// --- to the guest
// ------------------------------------------------------------------------------------------------

void SimStream::wake_sender() {
  if (sending_ || fin_arrived_ || state_ != State::open || closed_ || vanished_) return;
  const bool more = arrived_ < plan_.send_bytes && available() < plan_.receive_capacity;
  const bool ready_for_fin = may_send_fin();
  if (!more && !ready_for_fin) return;
  sending_ = true;
  world_.after(plan_.send_chunk == 0 ? kPrompt : plan_.send_interval, [this] { send_some(); });
}

void SimStream::send_some() {
  sending_ = false;
  if (state_ != State::open || closed_ || vanished_) return;
  const std::uint64_t chunk = plan_.send_chunk == 0 ? kPromptBurst : plan_.send_chunk;
  const std::uint64_t room =
      plan_.receive_capacity - std::min<std::uint64_t>(available(), plan_.receive_capacity);
  const std::uint64_t count = std::min({chunk, room, plan_.send_bytes - arrived_});
  arrived_ += count;
  if (may_send_fin()) fin_arrived_ = true;
  maybe_vanish();
  if (count > 0 || fin_arrived_) on_edge_();
  wake_sender();
}

host::IoResult SimStream::receive(std::span<const MutBytes> into) {
  std::size_t total = 0;
  for (const MutBytes part : into) {
    const std::size_t count = std::min<std::uint64_t>(available(), part.size());
    if (ledger_ != nullptr) {
      ledger_->to_guest.fill(handed_, part.first(count));
    } else {
      std::fill_n(part.begin(), count, std::uint8_t{0});
    }
    handed_ += count;
    total += count;
  }
  if (total > 0) {
    if (ledger_ != nullptr) ledger_->handed = handed_;
    maybe_reset();
    wake_sender();
    return {total, HostError::none};
  }
  if (state_ == State::reset || state_ == State::failed) {
    return {0, std::exchange(error_, HostError::none)};
  }
  if (fin_arrived_) {
    if (ledger_ != nullptr) ledger_->eof_handed = true;
    return {0, HostError::none};
  }
  return {0, HostError::would_block};
}

// --- the end
// -----------------------------------------------------------------------------------------------------

void SimStream::maybe_reset() {
  if (plan_.close != PeerClose::reset || state_ != State::open || closed_ ||
      accepted_ + handed_ < plan_.close_at)
    return;
  if (ledger_ != nullptr) ledger_->peer_reset = true;
  // Not from within the stack's own call: a reset comes from outside.
  world_.after(kPrompt, [this] {
    if (state_ == State::open) fail(State::reset, HostError::reset);
  });
}

// Of what the socket has from there on, nothing is ever acknowledged.
void SimStream::maybe_vanish() {
  const bool due = plan_.vanish_at != 0 && consumed_ + arrived_ >= plan_.vanish_at;
  if (!due || state_ != State::open) return;
  if (!std::exchange(vanished_, true) && kept_alive_) fail_after(kKeepAlive);
  if (buffered() > 0 || shut_down_) fail_after(kRetransmission);
}

void SimStream::fail_after(Duration delay) {
  world_.after(delay, [this] {
    if (!closed_ && state_ == State::open) fail(State::failed, HostError::timed_out);
  });
}

void SimStream::keep_alive() {
  kept_alive_ = true;
  if (vanished_) fail_after(kKeepAlive);
}

void SimStream::close() {
  if (plan_.outcome == ConnectOutcome::accept && state_ == State::open && available() > 0) {
    // Linux resets the peer where data were left unread.
    if (ledger_ != nullptr) ledger_->peer_saw_reset = true;
  }
  end_graceful("close");
  closed_ = true;
  shut_down_ = true;
  if (state_ == State::open) wake_reader();
}

void SimStream::abort() {
  closed_ = true;
  if (ledger_ != nullptr && state_ == State::open) ledger_->peer_saw_reset = true;
  state_ = State::reset;
}

host::Readiness SimStream::readiness() const {
  if (state_ == State::connecting) return {};
  const bool broken = state_ != State::open;
  return {.readable = broken || available() > 0 || fin_arrived_,
          .writable = broken || (plan_.send_capacity - buffered()) * 3 >= plan_.send_capacity,
          .read_closed = broken || fin_arrived_,
          .error = error_ != host::HostError::none,
          .hang_up = broken || (fin_arrived_ && shut_down_)};
}

}  // namespace sf::sim
