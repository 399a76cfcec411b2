// What a router does with a datagram whatever its protocol: what UDP and ICMP echo have in common.
//
// Path MTU. The host fragments, or reports, by the guest's DF: but for datagrams of at most 1500 bytes alone
// (IPv6 counts as DF, as no router fragments it). A guest whose MTU is above that of the host's networks
// would otherwise lose the first large datagram to every destination, since Linux sets DF unasked (RFC 1191
// section 3).
//
// Errors. What comes back over a socket's error queue is about the host's addresses; the guest gets it with
// its own datagram quoted instead, from whoever reported it, or from the gateway where that was the host
// itself.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "host/host.hh"
#include "link/network.hh"
#include "link/to_guest.hh"
#include "wire/function_ref.hh"
#include "wire/ip.hh"
#include "wire/quote.hh"

namespace sf::link {

// The TTL with which a packet goes on. What came with 1 is not lost: callers look at that first in what the
// guest sends, and what comes from the host has reached its destination, the host's own socket.
[[nodiscard]] constexpr std::uint8_t forwarded_ttl(std::uint8_t ttl) {
  return ttl > 1 ? static_cast<std::uint8_t>(ttl - 1) : std::uint8_t{1};
}

// How the host is to send on a packet of the guest's; `size` is its length, or that of one segment.
[[nodiscard]] host::DatagramOptions forwarded(const wire::IpPacket& packet, std::size_t size);

// One flow's ends.
struct FlowEnds {
  Address guest;
  MacAddress guest_mac;
  host::SocketId socket = host::kNoSocket;
};

class Forwarding {
 public:
  // Asked before each ICMP error to the guest; false: it is left out (RFC 4443 section 2.4 (f)).
  using AdmitError = std::function<bool(Time now)>;
  // The guest's datagram that `error` is about, behind `header`, which has the addresses that the guest
  // knows.
  using QuoteOf =
      wire::FunctionRef<wire::Quote(const wire::IpHeader& header, const host::DatagramError& error)>;

  Forwarding(host::Host& host, ToGuest& to_guest, const Network& network, AdmitError admit_error)
      : host_(host), to_guest_(to_guest), network_(network), admit_error_(std::move(admit_error)) {}

  // The address that the guest sees for a datagram from `host_source`; nothing where none may come from
  // there: the guest could not send to it (the host's loopback where that is closed, link-local addresses,
  // and addresses of the network inside).
  [[nodiscard]] std::optional<Address> source_for_guest(const Address& host_source) const;

  // Passes on what the socket's error queue has.
  void pass_errors(const FlowEnds& flow, QuoteOf quote_of, Time now);
  // The host did not send `packet`, with `dont_fragment`, to `to`. The guest gets an ICMP error where there
  // is one that fits; a full buffer is silent loss, as on any router.
  void on_send_failed(const FlowEnds& flow, host::HostError error, const wire::IpPacket& packet,
                      const Address& to, bool dont_fragment, QuoteOf quote_of, Time now);
  // An ICMP error from the gateway, if one may be sent now.
  void refuse(const MacAddress& to, const wire::IpPacket& packet, wire::IcmpError error, std::uint32_t mtu,
              Time now);

  // ICMP errors that went to the guest.
  [[nodiscard]] std::uint64_t errors_sent() const { return errors_sent_; }

 private:
  void pass_error(const FlowEnds& flow, const host::DatagramError& error, QuoteOf quote_of, Time now);
  // Takes the path's MTU out of the error queue, where the host has just put it; 0: it is not there.
  [[nodiscard]] std::uint32_t take_path_mtu(const FlowEnds& flow, const Address& to, QuoteOf quote_of,
                                            Time now);
  void send_error(const MacAddress& to, const Address& from, const wire::IpPacket& quoted,
                  wire::IcmpError error, std::uint32_t mtu, Time now);

  host::Host& host_;
  ToGuest& to_guest_;
  const Network& network_;
  AdmitError admit_error_;
  std::uint64_t errors_sent_ = 0;
};

}  // namespace sf::link
