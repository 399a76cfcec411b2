#include "tcp/piece_queue.hh"

namespace sf::tcp {

MutBytes PieceQueue::room(PiecePool& pool, std::size_t want) {
  if (count_ > 0) {
    Entry& last = at(count_ - 1U);
    const std::size_t left = kPieceSize - last.end;
    if (left >= std::min(want, kWorthwhile)) return {last.piece.data() + last.end, std::min(left, want)};
  }
  if (count_ == kEntries) return {};
  Entry& fresh = at(count_);
  fresh.piece = pool.acquire();
  if (!fresh.piece) return {};
  fresh.begin = fresh.end = 0;
  ++count_;
  return {fresh.piece.data(), std::min(kPieceSize, want)};
}

void PieceQueue::append(std::size_t count) {
  Entry& last = at(count_ - 1U);
  last.end += static_cast<std::uint32_t>(count);
  size_ += static_cast<std::uint32_t>(count);
  if (last.begin == last.end) {
    last.piece.reset();
    --count_;
  }
}

std::size_t PieceQueue::slices(std::uint32_t offset, std::uint32_t length, std::span<Bytes> out) const {
  std::size_t used = 0;
  for (std::size_t i = 0; i < count_ && length > 0 && used < out.size(); ++i) {
    const Entry& entry = at(i);
    const std::uint32_t held = entry.end - entry.begin;
    if (offset >= held) {
      offset -= held;
      continue;
    }
    const std::uint32_t part = std::min(length, held - offset);
    out[used++] = Bytes{entry.piece.data() + entry.begin + offset, part};
    offset = 0;
    length -= part;
  }
  return used;
}

void PieceQueue::release(std::uint32_t count) {
  count = std::min(count, size_);
  size_ -= count;
  while (count_ > 0) {
    Entry& entry = at(0);
    const std::uint32_t part = std::min(count, entry.end - entry.begin);
    entry.begin += part;
    count -= part;
    if (entry.begin != entry.end) break;
    entry.piece.reset();
    first_ = static_cast<std::uint8_t>((first_ + 1) % kEntries);
    --count_;
  }
}

}  // namespace sf::tcp
