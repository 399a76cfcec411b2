// The flows of one protocol: found by their key (with a keyed hash, so that a guest cannot aim at one bucket)
// or by the handle that their sockets' events carry.
//
// Objects live in a slab, so their addresses are stable. The index is open addressing with linear probing
// over slab indexes and a part of the hash, at most half full: some 26 bytes per flow while it grows. It is
// halved where an eighth is used at most.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "base/flow_key.hh"
#include "base/siphash.hh"
#include "base/slab.hh"

namespace sf::engine {

// An object knows its key: flow_key() is what it was inserted with.
template <typename T>
class FlowTable {
 public:
  explicit FlowTable(SipKey key) : key_(key), index_(kFirstSize) {}

  [[nodiscard]] Handle find(const FlowKey& key) const {
    const Cell& cell = index_[place_of(key)];
    return cell.used() ? slab_.handle_at(cell.index) : kNoHandle;
  }
  [[nodiscard]] T* get(Handle handle) { return slab_.find(handle); }

  // The object of a handle that insert() has just returned.
  [[nodiscard]] T& existing(Handle handle) { return slab_.existing(handle); }

  // `key` is not in the table.
  template <typename... Args>
  Handle insert(const FlowKey& key, Args&&... args) {
    if ((slab_.size() + 1) * 2 > index_.size()) resize(index_.size() * 2);
    const Handle handle = slab_.create(std::forward<Args>(args)...);
    place_cell({tag(key), handle.index});
    return handle;
  }

  void erase(const FlowKey& key) {
    const std::size_t at = place_of(key);
    if (!index_[at].used()) return;
    slab_.destroy(slab_.handle_at(index_[at].index));
    // Closes the gap: what follows in the run moves back unless it stands where it belongs.
    std::size_t hole = at;
    for (std::size_t probe = next(at); index_[probe].used(); probe = next(probe)) {
      const std::size_t from_home = (probe - home(index_[probe].tag)) & (index_.size() - 1);
      const std::size_t from_hole = (probe - hole) & (index_.size() - 1);
      if (from_home >= from_hole) {
        index_[hole] = index_[probe];
        hole = probe;
      }
    }
    index_[hole] = Cell{};
    if (index_.size() > kKeptSize && slab_.size() * 8 < index_.size()) resize(index_.size() / 2);
  }

  [[nodiscard]] std::size_t size() const { return slab_.size(); }
  // In bytes.
  [[nodiscard]] std::size_t memory() const { return slab_.memory() + index_.capacity() * sizeof(Cell); }
  template <typename Visitor>
  void for_each(Visitor&& visit) {
    slab_.for_each(std::forward<Visitor>(visit));
  }

 private:
  static constexpr std::size_t kFirstSize = 64;
  static constexpr std::size_t kKeptSize = 8192;  // cells, once they were needed

  struct Cell {
    std::uint32_t tag = 0;  // of the hash: where it belongs, and most of the others are told from it
    std::uint32_t index = kNoHandle.index;

    [[nodiscard]] bool used() const { return index != kNoHandle.index; }
  };

  [[nodiscard]] std::uint32_t tag(const FlowKey& key) const {
    return static_cast<std::uint32_t>(hash_of(key_, key));
  }
  [[nodiscard]] std::size_t home(std::uint32_t tag) const { return tag & (index_.size() - 1); }
  [[nodiscard]] std::size_t next(std::size_t at) const { return (at + 1) & (index_.size() - 1); }
  // The key's cell, or the unused one where it would be.
  [[nodiscard]] std::size_t place_of(const FlowKey& key) const {
    const std::uint32_t wanted = tag(key);
    std::size_t at = home(wanted);
    for (; index_[at].used(); at = next(at)) {
      if (index_[at].tag == wanted && slab_.existing({index_[at].index, 0}).flow_key() == key) break;
    }
    return at;
  }
  void place_cell(const Cell& cell) {
    std::size_t at = home(cell.tag);
    while (index_[at].used()) at = next(at);
    index_[at] = cell;
  }
  void resize(std::size_t size) {
    std::vector<Cell> old(size);
    old.swap(index_);
    for (const Cell& cell : old) {
      if (cell.used()) place_cell(cell);
    }
  }

  SipKey key_;
  Slab<T> slab_;
  std::vector<Cell> index_;
};

}  // namespace sf::engine
