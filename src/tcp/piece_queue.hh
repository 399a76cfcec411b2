// What the host has sent and the guest has not acknowledged: received into pieces of the pool, sent from
// there, sent again from there where needed, and let go with the ACK. A flow with nothing in flight holds no
// piece.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.hh"
#include "base/piece_pool.hh"

namespace sf::tcp {

class PieceQueue {
 public:
  static constexpr std::size_t kEntries = 10;
  // With less room than this left in the last piece, a new one is begun: a larger read is worth more than the
  // memory.
  static constexpr std::size_t kWorthwhile = 8192;

  [[nodiscard]] std::uint32_t size() const { return size_; }
  // Room for up to `want` bytes behind what is queued; less, or none, where the queue or the pool is full.
  // append() then tells how many were put there.
  [[nodiscard]] MutBytes room(PiecePool& pool, std::size_t want);
  void append(std::size_t count);
  // Views of `length` bytes from `offset` on, both within size(). Returns how many views.
  std::size_t slices(std::uint32_t offset, std::uint32_t length, std::span<Bytes> out) const;
  // The first `count` bytes are acknowledged.
  void release(std::uint32_t count);
  void clear() { release(size_); }

 private:
  struct Entry {
    Piece piece;
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
  };
  [[nodiscard]] const Entry& at(std::size_t i) const { return entries_[(first_ + i) % kEntries]; }
  [[nodiscard]] Entry& at(std::size_t i) { return entries_[(first_ + i) % kEntries]; }

  std::array<Entry, kEntries> entries_;
  std::uint32_t size_ = 0;
  std::uint8_t first_ = 0;
  std::uint8_t count_ = 0;
};

}  // namespace sf::tcp
