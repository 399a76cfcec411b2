// All that one TCP flow is: its connection, the bytes on their way in both directions, its host socket.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/address.hh"
#include "base/flow_events.hh"
#include "base/time.hh"
#include "host/host.hh"
#include "tcp/connection.hh"
#include "tcp/inspector.hh"
#include "tcp/piece_queue.hh"
#include "tcp/tail_buffer.hh"

namespace sf::tcp {

// What the guest has sent to a name server that has said nothing yet: the next one gets it too.
struct Replay {
  static constexpr std::size_t kMost = 4096;  // bytes; a longer question stays with its server
  std::vector<std::uint8_t> sent;
  std::size_t again = 0;  // bytes at the end of `sent` that the present server still has to get
  // The first server that has taken the connection and stayed silent: it may answer yet, and is what is left
  // where the others fail.
  struct Silent {
    host::SocketId socket = host::kNoSocket;  // owned; closed by the translator
    std::size_t heard = 0;                    // bytes of `sent`
    bool send_shut = false;
    bool readable = false;  // something has happened there, or may have
  };
  Silent silent{};
  bool decided = false;  // the present server has begun to answer; it still has to hear the rest
};

struct Flow {
  Flow(const Connection& machine, const Endpoint& guest_end, const Endpoint& remote_end,
       const MacAddress& mac)
      : connection(machine), guest(guest_end), remote(remote_end), guest_mac(mac) {}

  Connection connection;
  Endpoint guest;
  Endpoint remote;  // as the guest addresses it
  MacAddress guest_mac;
  host::SocketId socket = host::kNoSocket;  // owned; closed by the translator
  host::Token token = 0;

  TailBuffer from_guest;
  std::uint32_t held = 0;  // in-order bytes at the front of from_guest
  PieceQueue to_guest;
  std::unique_ptr<Inspector> inspector;  // of most flows: none
  std::unique_ptr<Replay> replay;        // of those to name servers, until an answer begins

  // How far the host's side has got.
  bool host_writable = false;
  bool host_readable = false;
  bool host_closing = false;     // a FIN is announced: short reads do not end reading
  bool host_ended = false;       // its FIN was read
  bool host_failed = false;      // it takes nothing any more; what it had sent is still read
  bool send_shut = false;        // the guest's FIN was passed on
  bool dns = false;              // leads to the host's name servers, one after the other until one answers
  bool keeps_alive = false;      // the guest probes, so the host does
  bool host_connecting = false;  // to another name server, while the guest is connected
  std::uint8_t dns_server = 0;   // which one is tried
  Time connect_deadline = kNever;
  Time retry_at = kNever;  // waits for pool memory until then
  // The guest is through, and the host has not taken all: looked at again then, and how much that was.
  Time linger_at = kNever;
  std::uint32_t linger_held = 0;

  std::uint64_t bytes_from_guest = 0;
  std::uint64_t bytes_to_guest = 0;
  std::uint64_t packets_from_guest = 0;  // frames: a super-frame is one
  std::uint64_t packets_to_guest = 0;
  FlowCause cause = FlowCause::none;  // of its end: the first one counts
  std::unique_ptr<FlowNotes> notes;   // where somebody watches; filled in by the engine

  void ends_by(FlowCause why) {
    if (cause == FlowCause::none) cause = why;
  }
};

}  // namespace sf::tcp
