#include "wire/icmp.hh"

#include "wire/checksum.hh"
#include "wire/ip.hh"

namespace sf::wire {

std::optional<IcmpMessage> IcmpMessage::parse(Bytes bytes) {
  Reader in(bytes);
  IcmpMessage message;
  message.type = in.u8();
  message.code = in.u8();
  message.checksum = in.u16();
  message.rest = in.u32();
  if (!in.ok()) return std::nullopt;
  message.body = in.rest();
  return message;
}

void IcmpMessage::emit(Writer& out, const Address& source, const Address& destination) const {
  const std::size_t start = out.offset();
  out.u8(type);
  out.u8(code);
  out.u16(0);
  out.u32(rest);
  out.bytes(body);
  if (!out.ok()) return;
  const Bytes written = out.written().subspan(start);
  // RFC 792 sums the message alone, RFC 4443 section 2.3 a pseudo-header too.
  const std::uint64_t pseudo =
      source.is_v4() ? 0
                     : pseudo_header_sum(source, destination, static_cast<std::uint8_t>(IpProtocol::icmpv6),
                                         static_cast<std::uint32_t>(written.size()));
  out.patch_u16(start + 2, checksum_finish(checksum_add(pseudo, written)));
}

IcmpTypeCode icmp_type_code(IcmpError error, bool v4) {
  switch (error) {
    case IcmpError::net_unreachable:
      break;
    case IcmpError::host_unreachable:
      return v4 ? IcmpTypeCode{icmpv4::kUnreachable, 1} : IcmpTypeCode{icmpv6::kUnreachable, 3};
    case IcmpError::protocol_unreachable:
      return v4 ? IcmpTypeCode{icmpv4::kUnreachable, 2} : IcmpTypeCode{icmpv6::kParameterProblem, 1};
    case IcmpError::port_unreachable:
      return v4 ? IcmpTypeCode{icmpv4::kUnreachable, 3} : IcmpTypeCode{icmpv6::kUnreachable, 4};
    case IcmpError::packet_too_big:
      return v4 ? IcmpTypeCode{icmpv4::kUnreachable, 4} : IcmpTypeCode{icmpv6::kPacketTooBig, 0};
    case IcmpError::admin_prohibited:
      return v4 ? IcmpTypeCode{icmpv4::kUnreachable, 13} : IcmpTypeCode{icmpv6::kUnreachable, 1};
    case IcmpError::beyond_scope:
      return v4 ? IcmpTypeCode{icmpv4::kUnreachable, 13} : IcmpTypeCode{icmpv6::kUnreachable, 2};
    case IcmpError::time_exceeded:
      return v4 ? IcmpTypeCode{icmpv4::kTimeExceeded, 0} : IcmpTypeCode{icmpv6::kTimeExceeded, 0};
    case IcmpError::reassembly_timeout:
      return v4 ? IcmpTypeCode{icmpv4::kTimeExceeded, 1} : IcmpTypeCode{icmpv6::kTimeExceeded, 1};
  }
  return v4 ? IcmpTypeCode{icmpv4::kUnreachable, 0} : IcmpTypeCode{icmpv6::kUnreachable, 0};
}

namespace {

IcmpError unreachable_v4(std::uint8_t code) {
  switch (code) {
    case 1:
    case 7:   // destination host unknown
    case 12:  // host unreachable for type of service (RFC 1122 section 3.2.2.1)
      return IcmpError::host_unreachable;
    case 2:
      return IcmpError::protocol_unreachable;
    case 3:
      return IcmpError::port_unreachable;
    case 4:
      return IcmpError::packet_too_big;
    case 9:
    case 10:
    case 13:
      return IcmpError::admin_prohibited;
    default:
      return IcmpError::net_unreachable;
  }
}

IcmpError unreachable_v6(std::uint8_t code) {
  switch (code) {
    case 1:
    case 5:  // source address failed a policy: a subset of code 1 (RFC 4443 section 3.1)
      return IcmpError::admin_prohibited;
    case 2:
      return IcmpError::beyond_scope;
    case 3:
      return IcmpError::host_unreachable;
    case 4:
      return IcmpError::port_unreachable;
    default:
      return IcmpError::net_unreachable;
  }
}

std::optional<IcmpError> time_exceeded(std::uint8_t code) {
  if (code == 0) return IcmpError::time_exceeded;
  if (code == 1) return IcmpError::reassembly_timeout;
  return std::nullopt;
}

}  // namespace

std::optional<IcmpError> icmp_error_from(std::uint8_t type, std::uint8_t code, bool v4) {
  if (v4) {
    if (type == icmpv4::kUnreachable) return unreachable_v4(code);
    if (type == icmpv4::kTimeExceeded) return time_exceeded(code);
    return std::nullopt;
  }
  switch (type) {
    case icmpv6::kUnreachable:
      return unreachable_v6(code);
    case icmpv6::kPacketTooBig:
      return IcmpError::packet_too_big;
    case icmpv6::kTimeExceeded:
      return time_exceeded(code);
    case icmpv6::kParameterProblem:
      if (code == 1) return IcmpError::protocol_unreachable;
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

std::size_t icmp_quote_limit(bool v4) {
  const std::size_t packet = v4 ? 576 : 1280;
  const std::size_t ip_header = v4 ? 20 : 40;
  return packet - ip_header - kIcmpHeaderSize;
}

}  // namespace sf::wire
