// Tells a FlowWatch of flows that there were not. The same ends within kAgain are told of once: a guest that
// goes on sending datagrams to where it must not would have a record written for each of them.
#pragma once

#include <array>
#include <memory>

#include "base/flow_events.hh"
#include "base/siphash.hh"
#include "engine/flow_table.hh"

namespace sf::engine {

class RefusalRecords {
 public:
  static constexpr Duration kAgain = 10s;
  static constexpr std::size_t kRemembered = 256;

  // `watch` may be null: then nothing is told. Else it outlives this.
  RefusalRecords(FlowWatch* watch, SipKey key) : watch_(watch), key_(key) {
    if (watch_ != nullptr) seen_ = std::make_unique<std::array<Seen, kRemembered>>();
  }

  void refused(FlowProtocol protocol, FlowCause cause, const FlowKey& ends, Time now) {
    if (watch_ != nullptr) tell(FlowEvent::Kind::refused, protocol, cause, ends, now);
  }
  void audited(FlowProtocol protocol, const FlowKey& ends, Time now) {
    if (watch_ != nullptr) tell(FlowEvent::Kind::audited, protocol, FlowCause::policy, ends, now);
  }

 private:
  struct Seen {
    FlowKey ends;
    Time at{};
    FlowProtocol protocol = FlowProtocol::tcp;
    bool known = false;
  };

  void tell(FlowEvent::Kind kind, FlowProtocol protocol, FlowCause cause, const FlowKey& ends, Time now) {
    Seen& seen = (*seen_)[hash_of(key_, ends) % kRemembered];
    if (seen.known && seen.protocol == protocol && seen.ends == ends && now < seen.at + kAgain) return;
    seen = {ends, now, protocol, true};
    const FlowNotes notes = watch_->begin(ends.remote.address, now);
    FlowEvent event;
    event.kind = kind;
    event.protocol = protocol;
    event.cause = cause;
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
};

}  // namespace sf::engine
