#include "wire/ip.hh"

#include "wire/ipv4.hh"
#include "wire/ipv6.hh"

namespace sf::wire {

const char* to_string(DropReason reason) {
  switch (reason) {
    case DropReason::truncated:
      return "truncated";
    case DropReason::bad_version:
      return "bad-version";
    case DropReason::bad_header:
      return "bad-header";
    case DropReason::bad_checksum:
      return "bad-checksum";
    case DropReason::bad_address:
      return "bad-address";
    case DropReason::bad_fragment:
      return "bad-fragment";
    case DropReason::fragment_limit:
      return "fragment-limit";
    case DropReason::unknown_ether_type:
      return "unknown-ether-type";
    case DropReason::unknown_protocol:
      return "unknown-protocol";
    case DropReason::not_for_us:
      return "not-for-us";
    case DropReason::spoofed_source:
      return "spoofed-source";
    case DropReason::flow_limit:
      return "flow-limit";
    case DropReason::out_of_memory:
      return "out-of-memory";
    case DropReason::no_listener:
      return "no-listener";
    case DropReason::rate_limited:
      return "rate-limited";
    case DropReason::malformed_service:
      return "malformed-service";
    case DropReason::policy_refused:
      return "policy-refused";
    case DropReason::handover_full:
      return "handover-full";
    case DropReason::count_:
      break;
  }
  return "unknown";
}

tl::expected<IpPacket, DropReason> parse_ip(Bytes packet) {
  if (packet.empty()) return tl::unexpected(DropReason::truncated);
  switch (packet[0] >> 4) {
    case 4:
      return parse_ipv4(packet, Ipv4View::Strictness::whole);
    case 6:
      return parse_ipv6(packet, Ipv6View::Strictness::whole);
    default:
      return tl::unexpected(DropReason::bad_version);
  }
}

tl::expected<IpPacket, DropReason> parse_quoted_ip(Bytes packet) {
  if (packet.empty()) return tl::unexpected(DropReason::truncated);
  switch (packet[0] >> 4) {
    case 4:
      return parse_ipv4(packet, Ipv4View::Strictness::quoted);
    case 6:
      return parse_ipv6(packet, Ipv6View::Strictness::quoted);
    default:
      return tl::unexpected(DropReason::bad_version);
  }
}

std::size_t IpHeader::size() const {
  if (source.is_v4()) return kIpv4HeaderSize;
  if (big) return kIpv6HeaderSize + kIpv6JumboHeaderSize;
  return kIpv6HeaderSize + (fragment ? kIpv6FragmentHeaderSize : 0);
}

void IpHeader::emit(Writer& out, std::size_t payload_length) const {
  if (source.is_v4()) {
    emit_ipv4(out, *this, payload_length);
  } else {
    emit_ipv6(out, *this, payload_length);
  }
}

}  // namespace sf::wire
