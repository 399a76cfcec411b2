// What the host has sent and the guest has not acknowledged: received into pieces of the pool, sent from
// there, sent again from there where needed, and let go with the ACK. A flow with nothing in flight holds no
// piece.
//
// The pieces form a list whose links stand in the pieces themselves, so that an idle flow costs three words.
#pragma once

#include <cstdint>
#include <span>
#include <utility>

#include "base/bytes.hh"
#include "base/piece_pool.hh"

namespace sf::tcp {

class PieceQueue {
 public:
  // With less room than this left in the last piece, a new one is begun: a larger read is worth more than the
  // memory.
  static constexpr std::size_t kWorthwhile = 8192;
  // What a piece holds.
  static constexpr std::size_t kRoom = kPieceSize - 64;

  PieceQueue() = default;
  PieceQueue(PieceQueue&& other) noexcept
      : first_(std::move(other.first_)),
        last_(std::exchange(other.last_, nullptr)),
        fill_(std::exchange(other.fill_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  PieceQueue& operator=(PieceQueue&&) = delete;
  ~PieceQueue() { clear(); }

  [[nodiscard]] std::uint32_t size() const { return size_; }
  // Room for up to `want` bytes behind what is queued, as parts to be filled one after the other. Returns how
  // many parts; they hold less than `want`, or there are none, where `out` or the pool is full. append() must
  // follow, and tells how many bytes were put there.
  [[nodiscard]] std::size_t room(PiecePool& pool, std::size_t want, std::span<MutBytes> out);
  void append(std::size_t count);
  // Views of `length` bytes from `offset` on, both within size(). Returns how many views.
  std::size_t slices(std::uint32_t offset, std::uint32_t length, std::span<Bytes> out) const;
  // The first `count` bytes are acknowledged.
  void release(std::uint32_t count);
  void clear();

 private:
  struct Node;  // at the head of every piece

  [[nodiscard]] static Node* node_of(const Piece& piece);
  // Lets `piece` go, and all behind it.
  static void let_go(Piece piece);
  // A new piece at the end of the list, behind `end`; nothing where the pool has none.
  Node* extend(PiecePool& pool, Node* end);

  Piece first_;
  Node* last_ = nullptr;  // the last one that holds something; behind it only what room() has given out
  Node* fill_ = nullptr;  // where append() begins
  std::uint32_t size_ = 0;
};

}  // namespace sf::tcp
