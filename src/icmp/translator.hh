// ICMP and ICMPv6 echo through the host's unprivileged ping sockets.
//
// Theory of operation. A flow is one address and echo identifier of the guest's, and owns one ping socket.
// The kernel gives each of those an identifier of its own, writes it into what is sent, and brings back the
// replies and errors that carry it; here the guest's is put back. The TTL is passed on one less, and errors
// from the network come back with the guest's request quoted, so that traceroute sees the real hops.
//
// Whether ping sockets may be opened is for net.ipv4.ping_group_range to say: where it forbids them, the
// guest's requests are answered with "administratively prohibited", and a single warning says what to do.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/flow_peers.hh"
#include "base/log.hh"
#include "host/host.hh"
#include "link/forwarding.hh"
#include "link/network.hh"
#include "link/to_guest.hh"
#include "wire/icmp.hh"
#include "wire/ip.hh"

namespace sf::icmp {

struct Flow {
  Endpoint guest;  // the port is the echo identifier
  MacAddress guest_mac;
  host::SocketId socket = host::kNoSocket;  // owned: open() and close()
  Time last_active{};
  // The last destination that the egress policy has let pass, and which policy that was.
  Endpoint admitted{};
  std::uint32_t admitted_by = 0;
  bool audited = false;              // what the guest sends just now would be refused, but for an audit
  std::unique_ptr<FlowPeers> peers;  // where somebody watches; filled in by the engine
};

struct Counters {
  std::uint64_t opened = 0;         // flows
  std::uint64_t requests = 0;       // handed to the host
  std::uint64_t replies = 0;        // handed to the link
  std::uint64_t not_sent = 0;       // the host did not take it
  std::uint64_t not_delivered = 0;  // no echo reply, cut short, or the link did not take it
  std::uint64_t filtered = 0;       // from an address that the guest cannot reach itself
  std::uint64_t answered = 0;       // replies of our own
};

// True for an echo request of the packet's IP version: the only messages that open and use flows.
[[nodiscard]] bool is_echo_request(const wire::IpPacket& packet, const wire::IcmpMessage& message);
// The reply of the request's own destination: its header, and the ICMP message into `out`, which fails where
// it has no room. Only for is_echo_request().
[[nodiscard]] wire::IpHeader answer_echo(const wire::IpPacket& request, const wire::IcmpMessage& message,
                                         Writer& out);

class Translator {
 public:
  // `admit_error` is asked before each ICMP error to the guest; false: it is left out (RFC 4443 section 2.4
  // (f)).
  Translator(host::Host& host, link::ToGuest& to_guest, const link::Network& network, const Log& log,
             link::Forwarding::AdmitError admit_error)
      : host_(host),
        to_guest_(to_guest),
        forwarding_(host, to_guest, network, std::move(admit_error)),
        log_(log) {}

  // Opens the socket of a flow that `request` has begun; flow.guest and guest_mac must be set. `none`, or why
  // it failed; then nothing is open, and the guest has been told.
  [[nodiscard]] host::HostError open(Flow& flow, host::Token token, const wire::IpPacket& request, Time now);
  // Sends the echo request that is packet.payload to `host_destination`, with the TTL one less: the caller
  // has seen to it that it is above 1. What the host knows at once that it cannot deliver gets an ICMP error.
  void from_guest(Flow& flow, const wire::IpPacket& packet, const Address& host_destination, Time now);
  // Passes on what has arrived. True where more may be left, and it is to be called again without an event.
  [[nodiscard]] bool on_readable(Flow& flow, Time now);
  // Passes on what the socket's error queue has.
  void on_error(Flow& flow, Time now);
  // Answers a request to an address of our own.
  void answer(const MacAddress& to, const wire::IpPacket& request, const wire::IcmpMessage& message);
  // When the flow has been idle for long enough to be closed.
  [[nodiscard]] static Time deadline(const Flow& flow);
  void close(Flow& flow);

  [[nodiscard]] const Counters& counters() const { return counters_; }
  // ICMP errors that went to the guest.
  [[nodiscard]] std::uint64_t errors_sent() const { return forwarding_.errors_sent(); }

 private:
  [[nodiscard]] link::Status deliver(Flow& flow, const host::ReceivedDatagram& datagram, Time now);
  // Room for `size` bytes, kept from one reply to the next.
  [[nodiscard]] MutBytes scratch(std::size_t size);

  host::Host& host_;
  link::ToGuest& to_guest_;
  link::Forwarding forwarding_;
  const Log& log_;
  Once denied_;
  std::vector<std::uint8_t> scratch_;
  Counters counters_;
};

}  // namespace sf::icmp
