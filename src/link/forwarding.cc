#include "link/forwarding.hh"

namespace sf::link {
namespace {

using host::HostError;
using wire::IcmpError;

// The guest's DF counts up to here: the MTU of an Ethernet, above which only the guest's own link may be.
constexpr std::size_t kMaxHonouredDf = 1500;
// The error queue is bounded by the socket's buffer; this bounds one turn.
constexpr int kMaxErrors = 1024;
// The least MTU that an IPv6 link may have (RFC 8200 section 5).
constexpr std::uint32_t kMinIpv6Mtu = 1280;

}  // namespace

host::DatagramOptions forwarded(const wire::IpPacket& packet, std::size_t size) {
  host::DatagramOptions options;
  options.ttl = forwarded_ttl(packet.ttl);
  options.traffic_class = packet.traffic_class;
  // What the guest itself has fragmented it has been told to, and fits no path by another way.
  const bool whole = packet.dont_fragment || (packet.source.is_v6() && !packet.reassembled);
  options.dont_fragment = whole && size <= kMaxHonouredDf;
  return options;
}

std::optional<Address> Forwarding::source_for_guest(const Address& host_source) const {
  const Address seen = network_.seen_by_guest(host_source);
  if (network_.route(seen).kind != Route::Kind::host) return std::nullopt;
  return seen;
}

void Forwarding::pass_errors(const FlowEnds& flow, QuoteOf quote_of, Time now) {
  host::DatagramError error;
  for (int i = 0; i < kMaxErrors && host_.receive_error(flow.socket, error); ++i) {
    pass_error(flow, error, quote_of, now);
    error = {};
  }
}

void Forwarding::pass_error(const FlowEnds& flow, const host::DatagramError& error, QuoteOf quote_of,
                            Time now) {
  const bool v4 = flow.guest.is_v4();
  if (error.destination.address.is_v4() != v4) return;
  wire::IpHeader header;
  header.source = flow.guest;
  header.destination = network_.seen_by_guest(error.destination.address.with_scope(0));
  const wire::Quote quote = quote_of(header, error);
  const bool known = !error.offender.is_unspecified() && error.offender.is_v4() == v4;
  const Address from = known ? network_.seen_by_guest(error.offender.with_scope(0)) : network_.gateway(v4);
  send_error(flow.guest_mac, from, quote.packet(), error.error, error.mtu, now);
}

void Forwarding::on_send_failed(const FlowEnds& flow, HostError error, const wire::IpPacket& packet,
                                const Address& to, bool dont_fragment, QuoteOf quote_of, Time now) {
  std::uint32_t mtu = 0;
  if (error == HostError::message_too_large) {
    mtu = take_path_mtu(flow, to, quote_of, now);
    // Without DF there is no MTU that would help: it is larger than the host can send even in fragments.
    if (!dont_fragment) return;
    if (packet.source.is_v6() && mtu == 0) mtu = kMinIpv6Mtu;
  }
  // A refusal is the answer to an earlier datagram: the error queue says to which.
  if (error == HostError::refused) return pass_errors(flow, quote_of, now);
  if (const auto icmp = host::icmp_error_for(error)) refuse(flow.guest_mac, packet, *icmp, mtu, now);
}

std::uint32_t Forwarding::take_path_mtu(const FlowEnds& flow, const Address& to, QuoteOf quote_of, Time now) {
  std::uint32_t mtu = 0;
  host::DatagramError error;
  for (int i = 0; i < kMaxErrors && host_.receive_error(flow.socket, error); ++i) {
    const bool about_this = error.error == IcmpError::packet_too_big && error.offender.is_unspecified() &&
                            error.destination.address == to;
    if (about_this) {
      mtu = error.mtu;
    } else {
      pass_error(flow, error, quote_of, now);
    }
    error = {};
  }
  return mtu;
}

void Forwarding::refuse(const MacAddress& to, const wire::IpPacket& packet, IcmpError error,
                        std::uint32_t mtu, Time now) {
  send_error(to, network_.gateway(packet.source.is_v4()), packet, error, mtu, now);
}

void Forwarding::send_error(const MacAddress& to, const Address& from, const wire::IpPacket& quoted,
                            IcmpError error, std::uint32_t mtu, Time now) {
  if (!admit_error_(now)) return;
  if (to_guest_.send_icmp_error(to, from, quoted, error, mtu) == Status::ok) ++errors_sent_;
}

}  // namespace sf::link
