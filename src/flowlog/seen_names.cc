#include "flowlog/seen_names.hh"

#include "policy/rule.hh"
#include "wire/dns_records.hh"

namespace sf::flowlog {
void SeenNames::learn(Bytes answer) {
  const auto read = wire::read_dns_answer(answer);
  if (!read || read->addresses.empty()) return;
  const std::string name = policy::normalized_name(read->question.name);
  if (name.empty()) return;
  const std::scoped_lock lock(mutex_);
  for (const wire::DnsAddress& found : read->addresses) {
    if (const auto known = names_.find(found.address); known != names_.end()) {
      known->second.name = name;
      order_.splice(order_.end(), order_, known->second.place);
      continue;
    }
    if (names_.size() >= kMaxAddresses) {
      names_.erase(order_.front());
      order_.pop_front();
    }
    names_.emplace(found.address, Entry{name, order_.insert(order_.end(), found.address)});
  }
}

std::string SeenNames::find(const Address& address) const {
  const std::scoped_lock lock(mutex_);
  const auto found = names_.find(address);
  return found == names_.end() ? std::string() : found->second.name;
}

}  // namespace sf::flowlog
