// What an error of the host's is called in the record of a flow.
#pragma once

#include "base/flow_events.hh"
#include "host/host.hh"

namespace sf::host {

// Why there is no flow.
[[nodiscard]] constexpr FlowCause refusal_cause(HostError error) {
  switch (error) {
    case HostError::refused:
    case HostError::reset:
      return FlowCause::remote_refused;
    case HostError::timed_out:
      return FlowCause::no_answer;
    case HostError::net_unreachable:
    case HostError::host_unreachable:
    case HostError::prohibited:
      return FlowCause::unreachable;
    default:
      return FlowCause::host_failed;
  }
}

// Why one that both ends had has ended.
[[nodiscard]] constexpr FlowCause end_cause(HostError error) {
  switch (error) {
    case HostError::none:
    case HostError::would_block:
    case HostError::in_progress:
    case HostError::refused:
    case HostError::reset:
      return FlowCause::remote_reset;
    case HostError::timed_out:
      return FlowCause::remote_silent;
    default:
      return refusal_cause(error);
  }
}

// The same of a datagram that was not sent; none: it says nothing about whether others will be.
[[nodiscard]] constexpr FlowCause unsent_cause(HostError error) {
  switch (error) {
    case HostError::none:
    case HostError::would_block:
    case HostError::in_progress:
    case HostError::message_too_large:
    case HostError::refused:  // an earlier one
    case HostError::reset:
    case HostError::timed_out:
      return FlowCause::none;
    default:
      return refusal_cause(error);
  }
}

}  // namespace sf::host
