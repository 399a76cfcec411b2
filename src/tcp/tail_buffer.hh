// What the guest has sent and the host has not taken: in-order bytes that the socket's buffer had no room
// for, and what came out of order behind a gap. Bounded by the window that was offered, so nothing in window
// is ever dropped.
//
// A byte's place is its position in the stream, cut into pieces of 64 KiB; a piece exists while it holds
// something.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.hh"
#include "base/piece_pool.hh"

namespace sf::tcp {

class TailBuffer {
 public:
  // The window may begin and end anywhere within a piece, hence two more.
  static constexpr std::size_t kPieces = 512 * 1024 / kPieceSize + 2;
  static constexpr std::size_t kMaxSlices = kPieces;

  // Stores `bytes` at `offset` after what the host has taken. Returns how many were stored: fewer where the
  // pool has no piece left, or past the buffer's end.
  std::size_t store(PiecePool& pool, std::uint32_t offset, Bytes bytes);
  // Views of the first `count` bytes, which must have been stored. Returns how many views.
  std::size_t slices(std::uint32_t count, std::array<Bytes, kMaxSlices>& out) const;
  // The host has taken `count` bytes, stored here or passed by.
  void advance(std::uint32_t count);
  void clear();

 private:
  [[nodiscard]] static std::size_t slot(std::uint64_t position) { return (position / kPieceSize) % kPieces; }

  std::uint64_t taken_ = 0;  // stream position of what the host takes next
  std::array<Piece, kPieces> pieces_;
};

}  // namespace sf::tcp
