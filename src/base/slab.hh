// Objects with stable addresses and handles that cannot be mistaken: a handle names a slot and its
// generation, and finds nothing once the object is gone, even where the slot has been used again.
//
// Memory grows by chunks of kChunk objects and is kept for re-use.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

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
  static constexpr std::uint32_t kChunk = 64;
  // Generations wrap at 24 bits, so that handle and kind fit into a 64-bit token.
  static constexpr std::uint32_t kGenerationMask = 0xffffffU;

  template <typename... Args>
  Handle create(Args&&... args) {
    if (free_.empty()) grow();
    const std::uint32_t index = free_.back();
    free_.pop_back();
    Slot& slot = at(index);
    slot.value.emplace(std::forward<Args>(args)...);
    ++size_;
    return Handle{index, slot.generation};
  }

  [[nodiscard]] T* find(Handle handle) {
    if (handle.index >= chunks_.size() * kChunk) return nullptr;
    Slot& slot = at(handle.index);
    return slot.value && slot.generation == handle.generation ? &*slot.value : nullptr;
  }

  // The object of a handle that is known to be valid.
  [[nodiscard]] T& existing(Handle handle) { return *at(handle.index).value; }
  [[nodiscard]] const T& existing(Handle handle) const { return *at(handle.index).value; }

  // The handle of the object in a slot that is known to be used.
  [[nodiscard]] Handle handle_at(std::uint32_t index) const { return {index, at(index).generation}; }

  void destroy(Handle handle) {
    if (find(handle) == nullptr) return;
    Slot& slot = at(handle.index);
    slot.value.reset();
    slot.generation = (slot.generation + 1) & kGenerationMask;
    free_.push_back(handle.index);
    --size_;
  }

  [[nodiscard]] std::size_t size() const { return size_; }
  // In bytes, of all slots, used or free.
  [[nodiscard]] std::size_t memory() const {
    return chunks_.size() * kChunk * sizeof(Slot) + free_.capacity() * sizeof(std::uint32_t);
  }

  // Calls visit(handle, object) for each; the visitor may destroy the object it was given.
  template <typename Visitor>
  void for_each(Visitor&& visit) {
    for (std::uint32_t index = 0; index < chunks_.size() * kChunk; ++index) {
      Slot& slot = at(index);
      if (slot.value) visit(Handle{index, slot.generation}, *slot.value);
    }
  }

 private:
  struct Slot {
    std::optional<T> value;
    std::uint32_t generation = 1;
  };

  Slot& at(std::uint32_t index) { return chunks_[index / kChunk][index % kChunk]; }
  [[nodiscard]] const Slot& at(std::uint32_t index) const { return chunks_[index / kChunk][index % kChunk]; }

  void grow() {
    const auto first = static_cast<std::uint32_t>(chunks_.size() * kChunk);
    chunks_.push_back(std::make_unique<Slot[]>(kChunk));
    free_.reserve(first + kChunk);
    for (std::uint32_t i = kChunk; i > 0; --i) free_.push_back(first + i - 1);
  }

  std::vector<std::unique_ptr<Slot[]>> chunks_;
  std::vector<std::uint32_t> free_;
  std::size_t size_ = 0;
};

}  // namespace sf::base
