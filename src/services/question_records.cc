#include "services/question_records.hh"

#include <vector>

namespace sf::services {

QuestionRecords::QuestionRecords(FlowWatch* watch, SipKey key) : watch_(watch), key_(key) {
  if (watch_ != nullptr) seen_ = std::make_unique<std::array<Seen, kRemembered>>();
}

void QuestionRecords::refused(const Endpoint& guest, const wire::DnsQuestion& question, bool audited,
                              Time now) {
  if (watch_ == nullptr) return;
  // Stub resolvers take another port for each question.
  const auto address = guest.address.bytes();
  std::vector<std::uint8_t> input(address.begin(), address.end());
  input.push_back(audited ? 1 : 0);
  input.insert(input.end(), question.name.begin(), question.name.end());
  const std::uint64_t hash = siphash(key_, input);
  Seen& seen = (*seen_)[hash % kRemembered];
  if (seen.hash == hash && seen.at != Time::min() && now < seen.at + kAgain) return;
  if (second_ == Time::min() || now >= second_ + std::chrono::seconds(1)) {
    second_ = now;
    told_ = 0;
  }
  if (told_ >= kMost) return;
  ++told_;
  seen = {hash, now};
  FlowEvent event;
  event.kind = audited ? FlowEvent::Kind::audited : FlowEvent::Kind::refused;
  event.protocol = FlowProtocol::dns;
  event.cause = FlowCause::policy;
  event.guest = guest;
  event.at = now;
  event.name = question.name;
  watch_->on_flow(event);
}

}  // namespace sf::services
