#include "flowlog/seen_names.hh"

#include <limits>

#include "policy/rule.hh"
#include "wire/dns_records.hh"

namespace sf::flowlog {
namespace {

constexpr std::size_t kLookedAt = 8;  // the oldest of these makes room

}  // namespace

void SeenNames::learn(Bytes answer) {
  const auto read = wire::read_dns_answer(answer);
  if (!read || read->addresses.empty()) return;
  const std::string name = policy::normalized_name(read->question.name);
  if (name.empty()) return;
  const std::scoped_lock lock(mutex_);
  ++answers_;
  for (const wire::DnsAddress& found : read->addresses) {
    if (names_.size() >= kMaxAddresses && !names_.contains(found.address)) make_room();
    names_[found.address] = {name, answers_};
  }
}

std::string SeenNames::find(const Address& address) const {
  const std::scoped_lock lock(mutex_);
  const auto found = names_.find(address);
  return found == names_.end() ? std::string() : found->second.name;
}

void SeenNames::make_room() {
  const Address* oldest = nullptr;
  std::uint64_t least = std::numeric_limits<std::uint64_t>::max();
  std::size_t looked_at = 0;
  for (const auto& [address, entry] : names_) {
    if (entry.learnt < least) {
      least = entry.learnt;
      oldest = &address;
    }
    if (++looked_at == kLookedAt) break;
  }
  if (oldest == nullptr) return;
  const Address gone = *oldest;
  names_.erase(gone);
}

}  // namespace sf::flowlog
