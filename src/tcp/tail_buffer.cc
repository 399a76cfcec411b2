#include "tcp/tail_buffer.hh"

namespace sf::tcp {

std::size_t TailBuffer::store(PiecePool& pool, std::uint32_t offset, Bytes bytes) {
  // The last piece may not wrap onto the first one's slot.
  const std::uint64_t end = (taken_ / kPieceSize + kPieces) * kPieceSize;
  std::uint64_t at = taken_ + offset;
  std::size_t stored = 0;
  while (stored < bytes.size() && at < end) {
    Piece& piece = pieces_[slot(at)];
    if (!piece) piece = pool.acquire();
    if (!piece) break;
    const std::size_t within = at % kPieceSize;
    const Bytes part = take(bytes.subspan(stored), kPieceSize - within);
    std::copy(part.begin(), part.end(), piece.data() + within);
    stored += part.size();
    at += part.size();
  }
  return stored;
}

std::size_t TailBuffer::slices(std::uint32_t count, std::array<Bytes, kMaxSlices>& out) const {
  std::size_t used = 0;
  std::uint64_t at = taken_;
  while (count > 0 && used < out.size()) {
    const std::size_t within = at % kPieceSize;
    const std::size_t length = std::min<std::size_t>(count, kPieceSize - within);
    out[used++] = Bytes{pieces_[slot(at)].data() + within, length};
    at += length;
    count -= static_cast<std::uint32_t>(length);
  }
  return used;
}

void TailBuffer::advance(std::uint32_t count) {
  const std::uint64_t after = taken_ + count;
  for (std::uint64_t at = taken_; at / kPieceSize < after / kPieceSize; at += kPieceSize)
    pieces_[slot(at)].reset();
  taken_ = after;
}

void TailBuffer::clear() {
  for (Piece& piece : pieces_) piece.reset();
}

}  // namespace sf::tcp
