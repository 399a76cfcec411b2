#include "base/piece_pool.hh"

#include <algorithm>
#include <new>

namespace sf::base {
namespace {

constexpr std::align_val_t kAlignment{4096};

}  // namespace

void Piece::reset() {
  if (bytes_ != nullptr) pool_->release(std::exchange(bytes_, nullptr));
  pool_ = nullptr;
}

PiecePool::~PiecePool() {
  for (PieceBytes* bytes : kept_) ::operator delete(bytes, kAlignment);
}

Piece PiecePool::acquire() {
  if (in_use_ >= limit_) return {};
  PieceBytes* bytes = nullptr;
  if (!kept_.empty()) {
    bytes = kept_.back();
    kept_.pop_back();
    spare_ = std::min(spare_, kept_.size());
  } else {
    // Left uninitialised on purpose: a piece costs only the pages that are written.
    void* memory = ::operator new(sizeof(PieceBytes), kAlignment, std::nothrow);
    if (memory == nullptr) return {};
    bytes = static_cast<PieceBytes*>(memory);
  }
  ++in_use_;
  return Piece(this, bytes);
}

void PiecePool::release(PieceBytes* bytes) {
  --in_use_;
  if (kept_.size() < kKeepMost) {
    kept_.push_back(bytes);
  } else {
    ::operator delete(bytes, kAlignment);
  }
}

void PiecePool::trim() {
  const std::size_t surplus = has_surplus() ? std::min(spare_, kept_.size() - kKeep) : 0;
  const auto end = kept_.begin() + static_cast<std::ptrdiff_t>(surplus);
  std::for_each(kept_.begin(), end, [](PieceBytes* bytes) { ::operator delete(bytes, kAlignment); });
  kept_.erase(kept_.begin(), end);
  spare_ = kept_.size();
}

}  // namespace sf::base
