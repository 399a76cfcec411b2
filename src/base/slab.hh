// Objects with stable addresses and handles that cannot be mistaken: a handle names a slot and its
// generation, and finds nothing once the object is gone, even where the slot has been used again.
//
// Memory comes in chunks of kChunk objects, and a chunk goes back to the system with the last object in it;
// one empty chunk is kept, so that a number of objects about its bounds costs nothing. New objects get the
// lowest slot there is, so that those that stay gather in the first chunks.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "base/poison.hh"

namespace sf::base {

struct Handle {
  std::uint32_t index = 0xffffffffU;
  std::uint32_t generation = 0;

  constexpr bool operator==(const Handle&) const = default;
};
inline constexpr Handle kNoHandle{};

template <typename T>
class Slab {
 public:
  // 64 KiB or more where objects are not tiny: that much is a mapping of its own (cli/program.cc,
  // return_memory_early), which can go back whatever else is in the heap. Of a chunk, pages that were never
  // used take no memory.
  static constexpr std::uint32_t kChunk =
      static_cast<std::uint32_t>(std::clamp<std::size_t>(std::bit_ceil(65536 / sizeof(T)), 64, 1024));
  // Generations wrap at 24 bits, so that handle and kind fit into a 64-bit token.
  static constexpr std::uint32_t kGenerationMask = 0xffffffU;

  Slab() = default;
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;
  ~Slab() {
    for_each([](Handle, T& object) { std::destroy_at(&object); });
  }

  template <typename... Args>
  Handle create(Args&&... args) {
    const std::uint32_t at = chunk_with_room();
    Chunk& chunk = *chunks_[at];
    const std::uint32_t slot = chunk.first_free();
    unpoison(&chunk.slots[slot], sizeof(Slot));
    new (chunk.slots[slot].bytes.data()) T(std::forward<Args>(args)...);
    // Of the slab's, not of the slot's: it outlives the chunk.
    last_generation_ = (last_generation_ + 1) & kGenerationMask;
    chunk.take(slot, last_generation_);
    if (spare_ == at) spare_ = kNone;
    if (chunk.used == kChunk) mark(at, false);
    ++size_;
    return Handle{at * kChunk + slot, last_generation_};
  }

  [[nodiscard]] T* find(Handle handle) {
    const Chunk* chunk = chunk_of(handle.index);
    if (chunk == nullptr || chunk->generations[handle.index % kChunk] != handle.generation) return nullptr;
    return &existing(handle);
  }
  // The object in a slot; nullptr where there is none.
  [[nodiscard]] T* find_at(std::uint32_t index) { return used(index) ? &existing({index, 0}) : nullptr; }
  [[nodiscard]] const T* find_at(std::uint32_t index) const {
    return used(index) ? &existing({index, 0}) : nullptr;
  }

  // The object of a handle that is known to be valid.
  [[nodiscard]] T& existing(Handle handle) { return *object(*chunks_[handle.index / kChunk], handle.index); }
  [[nodiscard]] const T& existing(Handle handle) const {
    return *object(*chunks_[handle.index / kChunk], handle.index);
  }

  // The handle of the object in a slot that is known to be used.
  [[nodiscard]] Handle handle_at(std::uint32_t index) const {
    return {index, chunks_[index / kChunk]->generations[index % kChunk]};
  }

  void destroy(Handle handle) {
    T* gone = find(handle);
    if (gone == nullptr) return;
    std::destroy_at(gone);
    const std::uint32_t at = handle.index / kChunk;
    chunks_[at]->let_go(handle.index % kChunk);
    mark(at, true);
    --size_;
    if (chunks_[at]->used == 0) give_back(at);
  }

  [[nodiscard]] std::size_t size() const { return size_; }
  // In bytes, of all slots, used or free.
  [[nodiscard]] std::size_t memory() const {
    const auto chunks = std::ranges::count_if(chunks_, [](const auto& chunk) { return chunk != nullptr; });
    return static_cast<std::size_t>(chunks) * sizeof(Chunk) + chunks_.capacity() * sizeof(chunks_[0]);
  }

  // Calls visit(handle, object) for each; the visitor may destroy the object it was given.
  template <typename Visitor>
  void for_each(Visitor&& visit) {
    for (std::uint32_t index = 0; index < chunks_.size() * kChunk; ++index) {
      if (used(index)) visit(handle_at(index), existing({index, 0}));
    }
  }

 private:
  static constexpr std::uint32_t kFree = 0x80000000U;  // no generation
  static constexpr std::uint32_t kNone = 0xffffffffU;

  struct Slot {
    alignas(T) std::array<std::byte, sizeof(T)> bytes;
  };
  struct Chunk {
    Chunk() {
      free.fill(~std::uint64_t{0});
      generations.fill(kFree);
      poison(&slots, sizeof(slots));
    }
    [[nodiscard]] std::uint32_t first_free() const {
      std::uint32_t word = 0;
      while (free[word] == 0) ++word;
      return word * 64 + static_cast<std::uint32_t>(std::countr_zero(free[word]));
    }
    void take(std::uint32_t slot, std::uint32_t generation) {
      free[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
      generations[slot] = generation;
      ++used;
    }
    void let_go(std::uint32_t slot) {
      free[slot / 64] |= std::uint64_t{1} << (slot % 64);
      generations[slot] = kFree;
      poison(&slots[slot], sizeof(Slot));
      --used;
    }

    std::uint32_t used = 0;
    std::array<std::uint64_t, kChunk / 64> free;  // a bit for each slot
    std::array<std::uint32_t, kChunk> generations;
    std::array<Slot, kChunk> slots;  // left uninitialised
  };

  // As with any pointer, what a chunk holds is as const as the holder says.
  [[nodiscard]] static T* object(Chunk& chunk, std::uint32_t index) {
    return std::launder(reinterpret_cast<T*>(chunk.slots[index % kChunk].bytes.data()));
  }

  // Null where there is no such chunk now.
  [[nodiscard]] const Chunk* chunk_of(std::uint32_t index) const {
    return index / kChunk < chunks_.size() ? chunks_[index / kChunk].get() : nullptr;
  }
  [[nodiscard]] bool used(std::uint32_t index) const {
    const Chunk* chunk = chunk_of(index);
    return chunk != nullptr && chunk->generations[index % kChunk] != kFree;
  }

  // Whether a chunk is there and has a free slot.
  void mark(std::uint32_t at, bool has_room) {
    const std::uint64_t bit = std::uint64_t{1} << (at % 64);
    std::uint64_t& word = with_room_[at / 64];
    word = has_room ? word | bit : word & ~bit;
  }

  [[nodiscard]] std::uint32_t chunk_with_room() {
    for (std::uint32_t word = 0; word < with_room_.size(); ++word) {
      if (with_room_[word] != 0)
        return word * 64 + static_cast<std::uint32_t>(std::countr_zero(with_room_[word]));
    }
    const auto place = std::ranges::find_if(chunks_, [](const auto& chunk) { return chunk == nullptr; });
    const auto at = static_cast<std::uint32_t>(place - chunks_.begin());
    if (place == chunks_.end()) chunks_.emplace_back();
    if (at / 64 >= with_room_.size()) with_room_.push_back(0);
    chunks_[at] = std::make_unique<Chunk>();
    mark(at, true);
    return at;
  }

  // An empty chunk: kept if it is the only one.
  void give_back(std::uint32_t at) {
    if (spare_ != kNone) {
      const std::uint32_t gone = std::max(spare_, at);
      at = std::min(spare_, at);
      mark(gone, false);
      chunks_[gone].reset();
      while (!chunks_.back()) chunks_.pop_back();
    }
    spare_ = at;
  }

  std::vector<std::unique_ptr<Chunk>> chunks_;  // null: not there now
  std::vector<std::uint64_t> with_room_;        // a bit for each: it is there and has a free slot
  std::uint32_t spare_ = kNone;                 // the chunk that is empty
  std::uint32_t last_generation_ = 0;
  std::size_t size_ = 0;
};

}  // namespace sf::base
