// Tells a FlowWatch of flows that there were not. The same ends within kAgain are told of once: a guest that
// goes on sending datagrams to where it must not would have a record written for each of them. Who comes from
// outside may have any number of addresses: of those kMostFromOutside are told of in a second.
//
// What a guest does is not limited beyond that: whoever scans ports has a record for each, as long as the
// log's queue takes them, and that counts what it does not.
#pragma once

#include <array>
#include <memory>

#include "base/flow_events.hh"
#include "base/flow_key.hh"
#include "base/rate_limit.hh"
#include "base/siphash.hh"

namespace sf::base {

class RefusalRecords {
 public:
  static constexpr Duration kAgain = 10s;
  static constexpr std::size_t kRemembered = 256;
  static constexpr std::uint32_t kMostFromOutside = 100;

  // `watch` may be null: then nothing is told. Else it outlives this.
  RefusalRecords(FlowWatch* watch, SipKey key) : watch_(watch), key_(key) {
    if (watch_ != nullptr) seen_ = std::make_unique<std::array<Seen, kRemembered>>();
  }

  void refused(FlowProtocol protocol, FlowCause cause, const FlowKey& ends, Time now) {
    tell(FlowEvent::Kind::refused, protocol, cause, ends, {}, now);
  }
  void audited(FlowProtocol protocol, const FlowKey& ends, Time now) {
    tell(FlowEvent::Kind::audited, protocol, FlowCause::policy, ends, {}, now);
  }
  // A client that there is no room for, or no way to the guest. `loopback`: of a port that leads past the
  // TAP.
  void refused_client(FlowProtocol protocol, FlowCause cause, const FlowKey& ends, bool loopback, Time now) {
    tell(FlowEvent::Kind::refused, protocol, cause, ends, {.inbound = true, .loopback = loopback}, now);
  }

 private:
  struct Seen {
    FlowKey ends;
    Time at{};
    FlowProtocol protocol = FlowProtocol::tcp;
    bool known = false;
  };

  struct Way {
    bool inbound = false;
    bool loopback = false;
  };

  void tell(FlowEvent::Kind kind, FlowProtocol protocol, FlowCause cause, const FlowKey& ends, const Way& way,
            Time now) {
    if (watch_ == nullptr) return;
    Seen& seen = (*seen_)[hash_of(key_, ends) % kRemembered];
    if (seen.known && seen.protocol == protocol && seen.ends == ends && now < seen.at + kAgain) return;
    if (way.inbound && !from_outside_.admit(now)) return;
    seen = {ends, now, protocol, true};
    const FlowNotes notes = watch_->begin(ends.remote.address, now);
    FlowEvent event;
    event.kind = kind;
    event.protocol = protocol;
    event.cause = cause;
    event.inbound = way.inbound;
    event.loopback = way.loopback;
    event.guest = ends.guest;
    event.remote = ends.remote;
    event.at = now;
    event.id = notes.id;
    event.name = notes.name;
    watch_->on_flow(event);
  }

  FlowWatch* watch_;
  SipKey key_;
  std::unique_ptr<std::array<Seen, kRemembered>> seen_;
  RateLimit from_outside_{kMostFromOutside, kMostFromOutside};
};

}  // namespace sf::base
