#include "host/linux_errors.hh"

#include <cerrno>

namespace sf::host {

HostError host_error_from(int error) {
  switch (error) {
    case 0:
      return HostError::none;
    case EAGAIN:
      return HostError::would_block;
    case EINPROGRESS:
    case EALREADY:
      return HostError::in_progress;
    case ECONNREFUSED:
      return HostError::refused;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
    case ENOTCONN:
      return HostError::reset;
    case ETIMEDOUT:
      return HostError::timed_out;
    case ENETUNREACH:
    case ENETDOWN:
    case ENONET:
    case ENODEV:        // the outbound interface does not exist
    case EAFNOSUPPORT:  // a kernel without IPv6
    case EINVAL:        // a route of type blackhole; a link-local destination without an interface
      return HostError::net_unreachable;
    case EHOSTUNREACH:
    case EHOSTDOWN:
      return HostError::host_unreachable;
    case EPERM:   // a firewall's drop on the way out
    case EACCES:  // a broadcast address, or a route of type prohibit
      return HostError::prohibited;
    case EMSGSIZE:
      return HostError::message_too_large;
    case EMFILE:
    case ENFILE:
      return HostError::no_descriptors;
    case ENOMEM:
    case ENOBUFS:
    case ENOSPC:  // epoll's limit per user, max_user_watches
      return HostError::no_memory;
    case EADDRNOTAVAIL:
    case EADDRINUSE:
      return HostError::no_ports;
    default:
      return HostError::other;
  }
}

bool may_be_pending(int error) {
  switch (error) {
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENONET:
    case EACCES:  // ICMPv6: administratively prohibited
    case EMSGSIZE:
    case EPROTO:
    case ENOPROTOOPT:  // ICMP: protocol unreachable
    case EOPNOTSUPP:   // ICMP: source route failed
      return true;
    default:
      return false;
  }
}

}  // namespace sf::host
