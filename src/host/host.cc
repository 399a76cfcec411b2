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
    case HostError::denied:
      return "not permitted";
    case HostError::other:
      return "other error";
  }
  return "unknown error";
}

}  // namespace sf::host
