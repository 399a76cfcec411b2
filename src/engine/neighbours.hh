// Who is where on the link: which MAC the guest's addresses were last seen with, and which address it uses.
// For what we begin ourselves; answers go to where the question came from.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/address.hh"

namespace sf::engine {

class Neighbours {
 public:
  // A guest has few addresses; of more than this, those seen first are forgotten.
  static constexpr std::size_t kEntries = 16;

  // `address` was the source of a frame from `mac`.
  void learn(const Address& address, const MacAddress& mac) {
    if (entries_[latest_].address == address) {
      entries_[latest_].mac = mac;
      return;
    }
    learn_other(address, mac);
  }
  [[nodiscard]] std::optional<MacAddress> find(const Address& address) const;
  // The address of `prefix` that was seen last.
  [[nodiscard]] std::optional<Address> latest_of(const Prefix& prefix) const;

 private:
  struct Entry {
    Address address;  // unspecified: none
    MacAddress mac;
    std::uint64_t seen = 0;
  };
  void learn_other(const Address& address, const MacAddress& mac);

  std::array<Entry, kEntries> entries_;
  std::size_t latest_ = 0;
  std::uint64_t clock_ = 0;
};

}  // namespace sf::engine
