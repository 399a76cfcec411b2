// The networks of a policy: from an address to all that contain it, in one binary search whatever their
// lengths are.
//
// Networks nest, so they cut the addresses into stretches each of which has one innermost network; the others
// that contain it are that one's ancestors.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/address.hh"
#include "policy/first_match.hh"

namespace sf::policy {

class AddressTable {
 public:
  struct Entry {
    Prefix prefix;
    RuleIndex rule;
  };
  AddressTable() = default;
  AddressTable(std::span<const Rule> rules, std::vector<Entry> entries);

  // The first rule about the address and port, if it comes before `best`; else `best`.
  [[nodiscard]] RuleIndex find(const Address& address, Protocol protocol, std::uint16_t port,
                               RuleIndex best) const;

 private:
  // Addresses as numbers. IPv4 has a row of its own, four bytes wide.
  using Wide = std::pair<std::uint64_t, std::uint64_t>;
  static constexpr std::uint32_t kNone = 0xffffffffU;

  struct Node {
    FirstMatch match;
    std::uint32_t parent = kNone;
    RuleIndex least = kNoRule;  // of this one and all its ancestors
  };
  template <typename Key>
  struct Row {
    std::vector<Key> starts;           // ascending
    std::vector<std::uint32_t> nodes;  // of the stretch that begins there
  };
  // A network as a stretch of numbers.
  template <typename Key>
  struct Span {
    Key first;
    Key last;
    std::uint32_t node;
  };

  template <typename Key, typename Bounds>
  void build(std::span<const Rule> rules, std::vector<Entry>& entries, Row<Key>& row, Bounds bounds);
  template <typename Key>
  static void cut(const std::vector<Span<Key>>& spans, Row<Key>& row);
  template <typename Key>
  [[nodiscard]] static std::uint32_t innermost(const Row<Key>& row, const Key& key) {
    // The last start that is not above `key`, without a branch that could be predicted wrongly.
    std::size_t at = 0;
    for (std::size_t left = row.starts.size(); left > 1;) {
      const std::size_t half = left / 2;
      at = row.starts[at + half] <= key ? at + half : at;
      left -= half;
    }
    if (row.starts.empty() || row.starts[at] > key) return kNone;
    return row.nodes[at];
  }

  std::vector<Node> nodes_;
  Row<std::uint32_t> v4_;
  Row<Wide> v6_;
};

}  // namespace sf::policy
