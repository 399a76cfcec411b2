#include "host/host.hh"

namespace sf::host {

const char* to_string(HostError error) {
  switch (error) {
    case HostError::none:
      return "no error";
    case HostError::would_block:
      return "would block";
    case HostError::in_progress:
      return "in progress";
    case HostError::refused:
      return "connection refused";
    case HostError::reset:
      return "connection reset";
    case HostError::timed_out:
      return "timed out";
    case HostError::net_unreachable:
      return "network unreachable";
    case HostError::host_unreachable:
      return "host unreachable";
    case HostError::prohibited:
      return "prohibited";
    case HostError::message_too_large:
      return "message too large";
    case HostError::no_descriptors:
      return "out of file descriptors";
    case HostError::no_memory:
      return "out of memory";
    case HostError::no_ports:
      return "address not available";
    case HostError::in_use:
      return "address already in use";
    case HostError::no_such_address:
      return "no such address on this host";
    case HostError::denied:
      return "not permitted";
    case HostError::other:
      return "other error";
  }
  return "unknown error";
}

std::optional<wire::IcmpError> icmp_error_for(HostError error) {
  switch (error) {
    case HostError::net_unreachable:
    case HostError::no_ports:  // no address of that family to send from
      return wire::IcmpError::net_unreachable;
    case HostError::host_unreachable:
    case HostError::timed_out:
      return wire::IcmpError::host_unreachable;
    case HostError::prohibited:
    case HostError::denied:
      return wire::IcmpError::admin_prohibited;
    case HostError::message_too_large:
      return wire::IcmpError::packet_too_big;
    default:
      return std::nullopt;
  }
}

}  // namespace sf::host
