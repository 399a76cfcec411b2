// Which name the guest has last resolved to an address: what a record of a flow, and a list of flows, says in
// place of a bare number.
//
// Bounded: the address that was told of last the longest ago makes room. Shared by all threads. An answer
// says nothing about what may be reached: that is policy/learned_names.hh.
#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <unordered_map>

#include "base/address.hh"
#include "base/flow_events.hh"
#include "base/siphash.hh"

namespace sf::flowlog {

class SeenNames final : public DnsWatch {
 public:
  static constexpr std::size_t kMaxAddresses = 32768;

  explicit SeenNames(SipKey key) : names_(64, Hash{key}) {}

  // A DNS answer on its way to the guest; whatever else it is, nothing is learnt of it.
  void learn(Bytes answer);
  // Empty where there is none.
  [[nodiscard]] std::string find(const Address& address) const;
  void on_dns_answer(Bytes answer) override { learn(answer); }
  [[nodiscard]] std::string name_of(const Address& remote) const override { return find(remote); }
  [[nodiscard]] std::size_t size() const {
    const std::scoped_lock lock(mutex_);
    return names_.size();
  }

 private:
  struct Entry {
    std::string name;
    std::list<Address>::iterator place;  // in order_
  };
  struct Hash {
    SipKey key;
    std::size_t operator()(const Address& address) const { return siphash(key, address.bytes()); }
  };

  mutable std::mutex mutex_;
  std::unordered_map<Address, Entry, Hash> names_;
  std::list<Address> order_;  // of answers, the latest one last: the first one makes room
};

}  // namespace sf::flowlog
