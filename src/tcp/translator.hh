// TCP: the guest's connections to and from ordinary sockets. A thin shell around tcp::Connection: it moves
// the bytes that the connection decides about.
//
// Theory of operation.
//   from guest: a segment's payload goes straight to the socket, while it is in cache. What the socket does
//   not take
//     stays in the flow's tail buffer, and the window that is offered shrinks by it; when the socket takes
//     more, the tail goes first. Nothing that came in window is ever dropped.
//   to guest: as much as the guest's window allows is read from the socket into the flow's piece queue, and
//   sent from
//     there in super-frames as large as the link takes; the ACK lets it go. What the window does not allow
//     stays in the socket.
//   ACKs: one per flow and loop turn (flush), earlier when half of the window has come in.
//
// The socket connects first; a SYN-ACK follows when it has. A refused connect is a RST to the guest, an
// unreachable one an ICMP error about its SYN. With a client of a published port it is the other way round:
// its socket is there, and is read from once the guest has answered our SYN; a guest that refuses resets it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/duration_histogram.hh"
#include "base/piece_pool.hh"
#include "base/siphash.hh"
#include "host/host.hh"
#include "link/network.hh"
#include "link/to_guest.hh"
#include "tcp/flow.hh"

namespace sf::tcp {

struct Counters {
  std::uint64_t opened = 0;
  std::uint64_t adopted = 0;  // of those, through published ports
  std::uint64_t refused = 0;  // the host could not connect
  std::uint64_t resets_from_guest = 0;
  std::uint64_t resets_to_guest = 0;
  std::uint64_t given_up = 0;  // the guest did not answer any more
  std::uint64_t bytes_from_guest = 0;
  std::uint64_t bytes_to_guest = 0;
};

class Translator {
 public:
  static constexpr Duration kDnsConnectTimeout = 3s;  // then the next name server
  static constexpr Duration kDnsAnswerTimeout = 3s;   // without a byte of an answer: the next one too
  static constexpr Duration kStarvedRetry = 10ms;
  static constexpr Duration kLinger = 15min;  // for a host that takes nothing of what a closed guest has said
  // Per flow and turn, so that no flow starves the others: frames, each 64 KiB of a larger one counted.
  static constexpr std::uint32_t kFramesPerFlush = 8;
  // The guest is offered no larger MSS at any MTU, where its super-frames come whole anyway: four make one.
  // Measured: segments of 64 KiB cost more CPU and throughput. (Supposed: the guest's kernel sizes its send
  // buffer by the segment, and what waits in a large one has left the cache when it is sent.)
  static constexpr std::uint32_t kOfferedMss = 16'000;

  Translator(host::Host& host, link::ToGuest& to_guest, const link::Network& network, PiecePool& pool,
             SipKey key)
      : host_(host), to_guest_(to_guest), network_(network), pool_(pool), key_(key) {}

  // Asked where no descriptor is left for a connect; true: there is one now.
  using MakeRoom = std::function<bool(Time now)>;
  void set_make_room(MakeRoom make_room) { make_room_ = std::move(make_room); }

  // The connection that a SYN begins (RFC 6528 for its sequence numbers).
  [[nodiscard]] Connection accept(const Endpoint& guest, const Endpoint& remote, const wire::TcpSegment& syn,
                                  Time now) const;
  // The connection that somebody outside has begun.
  [[nodiscard]] Connection dial(const Endpoint& guest, const Endpoint& remote, Time now) const;
  // Gives an inbound flow its socket, which is connected.
  void adopt(Flow& flow, host::SocketId socket);
  // Begins to connect the host's side: to `destination`, or to the name servers where flow.dns is set.
  void connect(Flow& flow, const Endpoint& destination, Time now);

  void on_segment(Flow& flow, const wire::TcpSegment& segment, Time now);
  void on_host_event(Flow& flow, host::Readiness readiness, Time now);
  void on_deadline(Flow& flow, Time now);
  // Sends what the turn has gathered. True: its budget has ended, more is left.
  [[nodiscard]] bool flush(Flow& flow, Time now);
  // Ends the flow: resets both sides.
  void abort(Flow& flow, FlowCause cause = FlowCause::program_end);
  // Ends the flow without a word to the guest, which has forgotten it.
  void forget(Flow& flow) {
    flow.ends_by(FlowCause::replaced);
    end(flow, true);
  }
  // A RST for a segment of no flow (RFC 9293 section 3.10.7.1).
  void refuse_segment(const MacAddress& to, const Endpoint& guest, const Endpoint& remote,
                      const wire::TcpSegment& segment);

  [[nodiscard]] static Time deadline(const Flow& flow);
  // Nothing is left to do: the flow may be destroyed. What the guest was told has arrived stays until the
  // host has taken it, also when the guest is through; unless the host takes nothing for kLinger, which is
  // longer than Linux lets a closed socket try (tcp_orphan_retries).
  [[nodiscard]] static bool finished(const Flow& flow) {
    return flow.connection.phase() == Connection::Phase::closed && flow.held == 0;
  }
  [[nodiscard]] const Counters& counters() const { return counters_; }
  // From now on, of each connection at its end: a system call for the remote one.
  void measure_round_trips() { measures_ = true; }
  [[nodiscard]] const DurationHistogram& remote_round_trips() const { return remote_round_trips_; }
  [[nodiscard]] const DurationHistogram& guest_round_trips() const { return guest_round_trips_; }

 private:
  [[nodiscard]] Opening opening(const Endpoint& guest, const Endpoint& remote, Time now) const;
  void connect_to(Flow& flow, const Endpoint& destination, Time now);
  void connect_next_server(Flow& flow, host::HostError why, Time now);
  void leave_server(Flow& flow, host::HostError why);
  void return_to_silent(Flow& flow);
  [[nodiscard]] host::IoResult hear_silent(Flow& flow, std::span<const MutBytes> into);
  [[nodiscard]] bool has_next_server(const Flow& flow, Time now);
  [[nodiscard]] bool has_other_server(const Flow& flow, Time now);
  void await_answer(Flow& flow, Time now);
  [[nodiscard]] bool say_again(Flow& flow);
  void remember(Flow& flow, std::span<const Bytes> parts, std::size_t bytes);
  void decide_server(Flow& flow);
  void connect_failed(Flow& flow, host::HostError error, Time now);
  void take_payload(Flow& flow, const wire::TcpSegment& segment, const ReceivePlan& plan, Time now);
  // Shows the flow's inspector what has come. False: the flow was reset.
  void gather_uninspected(Flow& flow);
  void keep_alive_as_guest(Flow& flow, const wire::TcpSegment& segment);
  [[nodiscard]] bool inspect(Flow& flow, Time now);
  // Of a flow that somebody watches: the server that its first bytes name.
  static void note_server_name(Flow& flow, Bytes payload);
  static void note_audit(Flow& flow);
  void close_socket(Flow& flow);
  void note_round_trip(Flow& flow);
  [[nodiscard]] static std::uint32_t sendable(const Flow& flow) {
    return flow.inspector == nullptr ? flow.held : flow.inspector->cleared;
  }
  [[nodiscard]] static bool show(Flow& flow, std::span<const MutBytes> parts, std::size_t bytes, Time now);
  void drain_to_host(Flow& flow);
  void pass_fin_on(Flow& flow);
  [[nodiscard]] bool read_from_host(Flow& flow, Time now);
  void host_stream_failed(Flow& flow, host::HostError error);
  // Sends the next segment; returns its payload's length, nothing where there was none to send.
  std::optional<std::uint32_t> emit(Flow& flow, Time now);
  void send_segment(Flow& flow, wire::TcpSegment& header, std::uint32_t offset, std::uint32_t length);
  void reset_guest(Flow& flow);
  void end(Flow& flow, bool abort_host);
  void update_window(Flow& flow);
  // After what may have ended the guest's side.
  static void linger(Flow& flow, Time now);
  [[nodiscard]] std::uint32_t max_payload(const Flow& flow) const;
  [[nodiscard]] std::uint32_t capacity() const;

  host::Host& host_;
  link::ToGuest& to_guest_;
  const link::Network& network_;
  PiecePool& pool_;
  SipKey key_;
  MakeRoom make_room_;
  std::vector<std::uint8_t> inspected_;  // what an inspector is shown, in one piece
  Counters counters_;
  bool measures_ = false;
  DurationHistogram remote_round_trips_;
  DurationHistogram guest_round_trips_;
};

}  // namespace sf::tcp
