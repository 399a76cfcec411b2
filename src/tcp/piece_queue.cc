#include "tcp/piece_queue.hh"

#include <memory>
#include <new>

namespace sf::tcp {

struct PieceQueue::Node {
  Piece next;
  std::uint32_t begin = kPieceSize - kRoom;
  std::uint32_t end = kPieceSize - kRoom;

  [[nodiscard]] std::uint8_t* bytes() { return reinterpret_cast<std::uint8_t*>(this); }
  [[nodiscard]] std::uint32_t held() const { return end - begin; }
  [[nodiscard]] std::size_t left() const { return kPieceSize - end; }
};

PieceQueue::Node* PieceQueue::node_of(const Piece& piece) {
  static_assert(sizeof(Node) <= kPieceSize - kRoom);
  return piece ? std::launder(reinterpret_cast<Node*>(piece.data())) : nullptr;
}

void PieceQueue::let_go(Piece piece) {
  while (piece) {
    Node* node = node_of(piece);
    Piece next = std::move(node->next);
    std::destroy_at(node);
    piece = std::move(next);
  }
}

PieceQueue::Node* PieceQueue::extend(PiecePool& pool, Node* end) {
  Piece piece = pool.acquire();
  if (!piece) return nullptr;
  Node* node = new (piece.data()) Node;
  (end != nullptr ? end->next : first_) = std::move(piece);
  return node;
}

std::size_t PieceQueue::room(PiecePool& pool, std::size_t want, std::span<MutBytes> out) {
  Node* node = last_;
  if (node == nullptr || node->left() < std::min(want, kWorthwhile)) node = extend(pool, node);
  fill_ = node;
  std::size_t used = 0;
  while (node != nullptr) {
    const std::size_t part = std::min(want, node->left());
    out[used++] = {node->bytes() + node->end, part};
    want -= part;
    if (want == 0 || used == out.size()) break;
    node = extend(pool, node);
  }
  return used;
}

void PieceQueue::append(std::size_t count) {
  size_ += static_cast<std::uint32_t>(count);
  for (Node* node = std::exchange(fill_, nullptr); node != nullptr && count > 0; node = node_of(node->next)) {
    const std::size_t part = std::min(count, node->left());
    node->end += static_cast<std::uint32_t>(part);
    count -= part;
    last_ = node;
  }
  let_go(std::move(last_ != nullptr ? last_->next : first_));
}

std::size_t PieceQueue::slices(std::uint32_t offset, std::uint32_t length, std::span<Bytes> out) const {
  std::size_t used = 0;
  for (Node* node = node_of(first_); node != nullptr && length > 0 && used < out.size();
       node = node_of(node->next)) {
    if (offset >= node->held()) {
      offset -= node->held();
      continue;
    }
    const std::uint32_t part = std::min(length, node->held() - offset);
    out[used++] = Bytes{node->bytes() + node->begin + offset, part};
    offset = 0;
    length -= part;
  }
  return used;
}

void PieceQueue::release(std::uint32_t count) {
  count = std::min(count, size_);
  size_ -= count;
  while (Node* node = node_of(first_)) {
    const std::uint32_t part = std::min(count, node->held());
    node->begin += part;
    count -= part;
    if (node->held() > 0) break;
    Piece next = std::move(node->next);
    let_go(std::exchange(first_, std::move(next)));
  }
  if (!first_) last_ = nullptr;
}

void PieceQueue::clear() {
  let_go(std::move(first_));
  last_ = fill_ = nullptr;
  size_ = 0;
}

}  // namespace sf::tcp
