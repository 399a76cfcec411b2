// The host side: ordinary sockets, behind an interface without a system header, so that everything above it
// runs against a simulated host as well. linux_host.hh is the real one, tests/sim has a fake one.
//
// Sockets are named by SocketId, owned by the Host, and closed by close() or abort(). Each is opened with a
// Token that comes back with its events. Readiness is edge-triggered: after an event the owner works until an
// operation says would_block (or a stream's receive() returned less than asked for, and no end of stream was
// announced).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <tl/expected.hpp>

#include "base/address.hh"
#include "base/bytes.hh"
#include "base/time.hh"
#include "base/unique_fd.hh"
#include "host/resolvers.hh"
#include "wire/icmp.hh"

namespace sf::host {

enum class SocketId : std::uint32_t {};
inline constexpr SocketId kNoSocket{0xffffffffU};

// Chosen by the opener, opaque to the host.
using Token = std::uint64_t;

enum class HostError : std::uint8_t {
  none,
  would_block,
  in_progress,
  refused,
  reset,  // also a broken pipe
  timed_out,
  net_unreachable,   // also: no route, network down
  host_unreachable,  // also: host down
  prohibited,        // by a firewall, or a broadcast address
  message_too_large,
  no_descriptors,   // EMFILE, ENFILE
  no_memory,        // ENOMEM, ENOBUFS
  no_ports,         // EADDRNOTAVAIL, EADDRINUSE
  in_use,           // somebody else listens there
  no_such_address,  // to listen on
  denied,           // not permitted to open this kind of socket
  other,
};
[[nodiscard]] const char* to_string(HostError error);
// What the guest is told about a packet that the host could not send; nothing where that has no ICMP error.
[[nodiscard]] std::optional<wire::IcmpError> icmp_error_for(HostError error);

// What an event says; several may hold at once.
struct Readiness {
  bool readable = false;
  bool writable = false;
  // The peer has sent its FIN (EPOLLRDHUP), or urgent data (EPOLLPRI), at which reading stops: a short read
  // does not mean that nothing is left.
  bool read_closed = false;
  bool error = false;    // EPOLLERR: a stream failed, or a datagram socket's error queue has something
  bool hang_up = false;  // EPOLLHUP: both directions are closed
};

struct IoResult {
  std::size_t bytes = 0;
  HostError error = HostError::none;  // with receive(): none and 0 bytes is the end of the stream
};

enum class DatagramKind : std::uint8_t {
  udp,
  ping,  // unprivileged ICMP or ICMPv6 echo; payloads are ICMP messages from the type on, identifier
         // rewritten
};

// A client of a listening socket. Events begin with watch().
struct Accepted {
  SocketId socket = kNoSocket;
  Endpoint peer;
};

// Whether a listening socket has its port to itself. `first` opens it where nobody else listens, and lets
// others of this program's join it; clients are spread over all of them.
enum class PortSharing : std::uint8_t { none, first, joins };

// Of one datagram from the guest.
struct DatagramOptions {
  std::uint8_t ttl = 64;  // or hop limit
  std::uint8_t traffic_class = 0;
  bool dont_fragment = false;       // the path's MTU is reported rather than the datagram fragmented
  std::uint16_t segment_size = 0;   // not 0: the payload is many datagrams of that size (UDP_SEGMENT)
  std::optional<Address> source{};  // one of the host's own; absent: the socket's, or as the routes say

  bool operator==(const DatagramOptions&) const = default;
};

// One of several to send.
struct OutgoingDatagram {
  Endpoint to;
  Bytes payload;
  DatagramOptions options;
};

// How many the host took, and why it did not take the next one; none where it took all.
struct DatagramsSent {
  std::size_t count = 0;
  HostError error = HostError::none;
};

struct ReceivedDatagram {
  Endpoint from;
  Bytes payload;                   // valid until the next receive_datagrams()
  std::uint16_t segment_size = 0;  // not 0: many datagrams of that size, the last may be shorter (UDP_GRO)
  std::uint8_t ttl = 64;           // as it arrived, where the host tells; 64 otherwise
  std::uint8_t traffic_class = 0;
  bool truncated = false;
  std::optional<Address> to{};  // of bind_datagram()'s sockets: the address of this host's that it came to
};

// An ICMP error about something that a datagram socket had sent, from its error queue.
struct DatagramError {
  Endpoint destination;  // of the offending datagram
  Address offender;      // who reported it; unspecified where the host itself did
  wire::IcmpError error = wire::IcmpError::host_unreachable;
  std::uint32_t mtu = 0;  // with packet_too_big
  Bytes payload;          // as much of the offending payload as is known; valid until the next call
};

class Host {
 public:
  Host() = default;
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  virtual ~Host() = default;

  // --- streams
  // ------------------------------------------------------------------------------------------------- Begins
  // to connect. The outcome comes as an event (writable, or error); then finish_connect() tells it. Errors
  // that are known at once (no route, no descriptors) are returned here.
  [[nodiscard]] virtual tl::expected<SocketId, HostError> connect_stream(const Endpoint& to, Token token) = 0;
  // none when connected, in_progress while it is not known, else why it failed. The socket stays open until
  // closed.
  [[nodiscard]] virtual HostError finish_connect(SocketId socket) = 0;
  [[nodiscard]] virtual IoResult send(SocketId socket, std::span<const Bytes> pieces) = 0;
  // Fills `into` one after the other.
  [[nodiscard]] virtual IoResult receive(SocketId socket, std::span<const MutBytes> into) = 0;
  // Sends a FIN after what was sent.
  virtual void shutdown_send(SocketId socket) = 0;
  // To the peer, as the host's TCP has measured it; absent where it has not.
  [[nodiscard]] virtual std::optional<Duration> round_trip(SocketId) const { return std::nullopt; }
  // Closes and resets the peer.
  virtual void abort(SocketId socket) = 0;

  // --- published ports
  // A listening socket, with a backlog as long as the host allows; port 0: the host chooses. An IPv6 one is
  // for IPv6 alone. Readable: accept_stream().
  [[nodiscard]] virtual tl::expected<SocketId, HostError> listen_stream(const Endpoint& at, Token token,
                                                                        PortSharing sharing) = 0;
  // would_block: no client waits.
  [[nodiscard]] virtual tl::expected<Accepted, HostError> accept_stream(SocketId listener) = 0;
  // Events of an accepted socket come from here on, for what has happened before as well. False: they cannot.
  [[nodiscard]] virtual bool watch(SocketId socket, Token token) = 0;
  // From the host of one shard to that of another: an accepted socket before watch(). The descriptor; the
  // socket that it then is there.
  [[nodiscard]] virtual UniqueFd release_stream(SocketId) { return {}; }
  [[nodiscard]] virtual SocketId adopt_stream(UniqueFd, const Endpoint& /*peer*/) { return kNoSocket; }
  // A UDP socket bound to an address and port.
  [[nodiscard]] virtual tl::expected<SocketId, HostError> bind_datagram(const Endpoint& at, Token token) = 0;
  // Where a socket is bound to; unspecified where it is not open.
  [[nodiscard]] virtual Endpoint local_endpoint(SocketId socket) const = 0;

  // --- datagrams
  // ----------------------------------------------------------------------------------------------- An
  // unconnected socket of one IP version, bound to a port of its own.
  [[nodiscard]] virtual tl::expected<SocketId, HostError> open_datagram(DatagramKind kind, bool v4,
                                                                        Token token) = 0;
  [[nodiscard]] virtual HostError send_datagram(SocketId socket, const Endpoint& to, Bytes payload,
                                                const DatagramOptions& options) = 0;
  // The same for many, in order, with fewer calls of the system where the host knows how. Stops at the first
  // one that was not sent.
  [[nodiscard]] virtual DatagramsSent send_datagrams(SocketId socket,
                                                     std::span<const OutgoingDatagram> datagrams) {
    DatagramsSent sent;
    for (const OutgoingDatagram& one : datagrams) {
      sent.error = send_datagram(socket, one.to, one.payload, one.options);
      if (sent.error != HostError::none) break;
      ++sent.count;
    }
    return sent;
  }
  // Receives what is there into buffers of the host's, at most kDatagramBatch at once. Empty: nothing more
  // now.
  [[nodiscard]] virtual std::span<const ReceivedDatagram> receive_datagrams(SocketId socket) = 0;
  // True: the last one has found the end, and what comes now is an event of its own. False: that is not
  // known.
  [[nodiscard]] virtual bool took_all_datagrams() const { return false; }
  // Takes one entry off the error queue; false: it is empty.
  [[nodiscard]] virtual bool receive_error(SocketId socket, DatagramError& error) = 0;

  // --- all
  // -----------------------------------------------------------------------------------------------------
  virtual void close(SocketId socket) = 0;

  // The host's name servers and search list, as they are now. Cheap to call once per query: looks whether
  // resolv.conf has changed at most once per second of `now`.
  [[nodiscard]] virtual const Resolvers& resolvers(Time now) = 0;

  static constexpr std::size_t kDatagramBatch = 16;
};

// What an event loop drives: a shard.
class Reactor {
 public:
  Reactor() = default;
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;
  virtual ~Reactor() = default;

  // Frames may be there to receive.
  virtual void on_link_readable(Time now) = 0;
  // A socket of this reactor's has an event. Tokens of sockets that were closed earlier in the same turn may
  // still arrive, and are ignored.
  virtual void on_socket_event(Token token, Readiness readiness, Time now) = 0;
  // Called once after all events of a loop turn: sends what the turn has gathered, does what is due. Returns
  // when to be called next without any event: kNever, or `now` or earlier where work is left over that only
  // its budget ended.
  [[nodiscard]] virtual Time end_turn(Time now) = 0;
  // False once the link is gone: the loop ends.
  [[nodiscard]] virtual bool alive() const = 0;
};

}  // namespace sf::host
