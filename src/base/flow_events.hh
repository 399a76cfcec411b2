// What becomes of flows, as whoever keeps a record of them is told (flowlog/ is one who does).
//
// A flow is told of when both its ends are there, and when it ends; one that never gets so far is told of
// once, as refused. Between the two it only counts. What is to be remembered from one to the other is in its
// FlowNotes; where nobody watches, a flow has none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.hh"
#include "base/bytes.hh"
#include "base/time.hh"

namespace sf::base {

enum class FlowProtocol : std::uint8_t { tcp, udp, icmp, dns };

// Why a flow has ended, or why there was none.
enum class FlowCause : std::uint8_t {
  none,
  // Ends.
  finished,      // both sides, in good order
  guest_reset,   //
  remote_reset,  //
  guest_silent,  // it did not answer any more
  remote_silent,
  idle,          // a datagram flow that nobody has used for long
  evicted,       // for others, where a limit was reached
  port_removed,  // the published port that it came through
  replaced,      // the guest has begun another one with the same ends
  program_end,
  // Both.
  policy,
  // Refusals.
  limit,           // there are as many flows as there may be
  unreachable,     // there is no way to that address, or none for this guest
  remote_refused,  // nobody listens there
  no_answer,
  guest_refused,  // inbound: nobody listens inside
  withdrawn,      // whoever began it has given up
  host_failed,    // the host has no descriptor, no port or no memory for it
};

struct FlowCounts {
  std::uint64_t bytes_from_guest = 0;  // payload
  std::uint64_t bytes_to_guest = 0;
  std::uint64_t packets_from_guest = 0;  // TCP: frames, of which one may be many segments
  std::uint64_t packets_to_guest = 0;
};

// What a watched flow remembers.
struct FlowNotes {
  std::uint64_t id = 0;
  Time opened{};
  std::string name;         // that the remote address was resolved from, last before the flow began
  std::string server_name;  // that the guest has named in TLS, HTTP or QUIC
  std::optional<Duration> remote_rtt{};
  bool told_opened = false;
  bool told_ended = false;
  bool awaits_name = false;  // the first bytes may name a server
  bool audited = false;      // a policy would have refused it
  bool audits_name = false;  // because of the server's name, and that has not been told yet
};

struct FlowEvent {
  enum class Kind : std::uint8_t {
    opened,
    refused,
    audited,  // it would have been refused, and was not
    ended,
  };
  Kind kind = Kind::opened;
  FlowProtocol protocol = FlowProtocol::tcp;
  FlowCause cause = FlowCause::none;
  bool inbound = false;    // through a published port
  bool loopback = false;   // and past the TAP, to the guest's loopback
  bool forwarder = false;  // to the DNS forwarder
  bool audited = false;    // opened, ended: it would have been refused
  bool others = false;     // ended: all that the socket has exchanged with ends that had no record
  Endpoint guest;
  Endpoint remote;  // as the guest sees it
  Time at{};
  // What is not known, or does not make sense, is left as it is.
  std::uint64_t id = 0;
  std::string_view name;  // dns: the question's
  std::string_view server_name;
  FlowCounts counts;
  bool counts_packets = true;
  Duration duration{};
  std::optional<Duration> rtt{};         // to the guest
  std::optional<Duration> remote_rtt{};  // to the remote end
};

// Whoever remembers which names the guest has resolved.
class DnsWatch {
 public:
  DnsWatch() = default;
  DnsWatch(const DnsWatch&) = delete;
  DnsWatch& operator=(const DnsWatch&) = delete;
  virtual ~DnsWatch() = default;

  // An answer on its way to the guest.
  virtual void on_dns_answer(Bytes answer) = 0;
  // That it has last resolved to `remote`; empty where there is none.
  [[nodiscard]] virtual std::string name_of(const Address& remote) const = 0;
};

// Each is called by one thread. Nothing here waits for anybody.
class FlowWatch : public DnsWatch {
 public:
  // A flow to or from `remote` begins.
  [[nodiscard]] virtual FlowNotes begin(const Address& remote, Time now) = 0;
  // What the event points to is valid during the call.
  virtual void on_flow(const FlowEvent& event) = 0;
};

}  // namespace sf::base
