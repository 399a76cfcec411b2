// The addresses that the guest has been told, by name: open for as long as the answers are fresh.
//
// Bounded: a guest that resolves more than fits loses what it was told of last the longest ago.
#pragma once

#include <cstdint>
#include <list>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/address.hh"
#include "base/siphash.hh"
#include "base/time.hh"
#include "policy/policy.hh"

namespace sf::policy {

class LearnedNames {
 public:
  static constexpr std::size_t kMaxAddresses = 32768;
  static constexpr std::size_t kMaxNames = 16;  // of one address

  explicit LearnedNames(SipKey key) : addresses_(64, Hash{key}) {}

  void learn(const Address& address, std::string_view name, const Policy& policy, Time expires, Time now);
  // What `policy` says about the names that are fresh; valid until the next call.
  [[nodiscard]] std::span<const NameMatch> find(const Address& address, const Policy& policy, Time now);
  // One of the names that find() has just found, for people; empty where there is none.
  [[nodiscard]] std::string_view name_of(const Address& address) const;
  // The policy is another one: what was found in the old one's tables is looked up anew.
  void forget_matches() { ++generation_; }
  [[nodiscard]] std::size_t size() const { return addresses_.size(); }

 private:
  struct Name {
    std::string name;
    Time expires;
    NameMatch match;
  };
  struct Entry {
    std::vector<Name> names;
    std::uint32_t generation = 0;
    std::list<Address>::iterator place;  // in order_
  };
  struct Hash {
    SipKey key;
    std::size_t operator()(const Address& address) const { return siphash(key, address.bytes()); }
  };

  void make_room(Time now);

  std::unordered_map<Address, Entry, Hash> addresses_;
  std::list<Address> order_;  // of answers, the latest one last
  std::vector<NameMatch> found_;
  std::uint32_t generation_ = 0;
  Time purged_{};
};

}  // namespace sf::policy
