// Tells a FlowWatch of questions that the policy has refused, or would have. The same name of the same
// guest's within kAgain is told of once, and within a second kMost of any: a guest can ask for names without
// end.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "base/flow_events.hh"
#include "base/siphash.hh"
#include "wire/dns.hh"

namespace sf::services {

class QuestionRecords {
 public:
  static constexpr Duration kAgain = 10s;
  static constexpr std::size_t kRemembered = 256;
  static constexpr unsigned kMost = 100;  // in a second

  // `watch` may be null: then nothing is told. Else it outlives this.
  QuestionRecords(FlowWatch* watch, SipKey key);
  void refused(const Endpoint& guest, const wire::DnsQuestion& question, bool audited, Time now);

 private:
  struct Seen {
    std::uint64_t hash = 0;  // of guest, name, and whether it was audited
    Time at = Time::min();
  };

  FlowWatch* watch_;
  SipKey key_;
  std::unique_ptr<std::array<Seen, kRemembered>> seen_;
  Time second_ = Time::min();  // the one that `told_` is about
  unsigned told_ = 0;
};

}  // namespace sf::services
