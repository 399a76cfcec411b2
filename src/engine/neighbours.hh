// Who is where on the link: which MAC the guest's addresses were last seen with, and which address it uses.
// For what we begin ourselves; answers go to where the question came from.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/address.hh"
#include "base/time.hh"

namespace sf::engine {

class Neighbours {
 public:
  // A guest has few addresses; of more than this, those seen first are forgotten.
  static constexpr std::size_t kEntries = 16;

  // How often other shards are told of an address that they know, so that theirs is the latest as well.
  static constexpr Duration kTellAgain = 1s;

  // `address` was the source of a frame from `mac`. True: worth telling to who does not see the guest's
  // frames.
  bool learn(const Address& address, const MacAddress& mac, Time now) {
    if (entries_[latest_].address == address && entries_[latest_].mac == mac) return false;
    return learn_other(address, mac, now);
  }
  [[nodiscard]] std::optional<MacAddress> find(const Address& address) const;
  // The address of `prefix` that was seen last.
  [[nodiscard]] std::optional<Address> latest_of(const Prefix& prefix) const;

 private:
  struct Entry {
    Address address;  // unspecified: none
    MacAddress mac;
    std::uint64_t seen = 0;
    Time told{};
  };
  bool learn_other(const Address& address, const MacAddress& mac, Time now);

  std::array<Entry, kEntries> entries_;
  std::size_t latest_ = 0;
  std::uint64_t clock_ = 0;
};

}  // namespace sf::engine
