// The flows of one protocol: found by their key (with a keyed hash, so that a guest cannot aim at one bucket)
// or by the handle that their sockets' events carry.
//
// Objects live in a slab, so their addresses are stable; the index is open addressing with linear probing
// over slab indexes, at most half full, and shrinks never.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "base/flow_key.hh"
#include "base/siphash.hh"
#include "base/slab.hh"

namespace sf::engine {

template <typename T>
class FlowTable {
 public:
  explicit FlowTable(SipKey key) : key_(key), index_(kFirstSize) {}

  [[nodiscard]] Handle find(const FlowKey& key) const {
    for (std::size_t at = place(key);; at = next(at)) {
      const Cell& cell = index_[at];
      if (cell.handle == kNoHandle) return kNoHandle;
      if (cell.key == key) return cell.handle;
    }
  }
  [[nodiscard]] T* get(Handle handle) { return slab_.find(handle); }

  // The object of a handle that insert() has just returned.
  [[nodiscard]] T& existing(Handle handle) { return slab_.existing(handle); }

  // `key` is not in the table.
  template <typename... Args>
  Handle insert(const FlowKey& key, Args&&... args) {
    if ((slab_.size() + 1) * 2 > index_.size()) grow();
    const Handle handle = slab_.create(std::forward<Args>(args)...);
    place_cell(Cell{key, handle});
    return handle;
  }

  void erase(const FlowKey& key) {
    std::size_t at = place(key);
    while (index_[at].handle != kNoHandle && !(index_[at].key == key)) at = next(at);
    if (index_[at].handle == kNoHandle) return;
    slab_.destroy(index_[at].handle);
    // Closes the gap: what follows in the run moves back unless it stands where it belongs.
    std::size_t hole = at;
    for (std::size_t probe = next(at); index_[probe].handle != kNoHandle; probe = next(probe)) {
      const std::size_t home = place(index_[probe].key);
      const std::size_t from_home = (probe - home) & (index_.size() - 1);
      const std::size_t from_hole = (probe - hole) & (index_.size() - 1);
      if (from_home >= from_hole) {
        index_[hole] = index_[probe];
        hole = probe;
      }
    }
    index_[hole] = Cell{};
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

  struct Cell {
    FlowKey key;
    Handle handle = kNoHandle;
  };

  [[nodiscard]] std::size_t place(const FlowKey& key) const {
    return hash_of(key_, key) & (index_.size() - 1);
  }
  [[nodiscard]] std::size_t next(std::size_t at) const { return (at + 1) & (index_.size() - 1); }
  void place_cell(const Cell& cell) {
    std::size_t at = place(cell.key);
    while (index_[at].handle != kNoHandle) at = next(at);
    index_[at] = cell;
  }
  void grow() {
    std::vector<Cell> old(index_.size() * 2);
    old.swap(index_);
    for (const Cell& cell : old) {
      if (cell.handle != kNoHandle) place_cell(cell);
    }
  }

  SipKey key_;
  Slab<T> slab_;
  std::vector<Cell> index_;
};

}  // namespace sf::engine
