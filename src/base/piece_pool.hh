// Payload memory: pieces of 64 KiB from one bounded pool that all flows of a shard share.
//
// A few free pieces are kept for the next burst, the rest goes back to the system at once.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace sf::base {

class PiecePool;

inline constexpr std::size_t kPieceSize = 65536;
using PieceBytes = std::array<std::uint8_t, kPieceSize>;

// One piece, owned; goes back to its pool by itself. Empty where the pool had none left.
class Piece {
 public:
  Piece() = default;
  Piece(Piece&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)), bytes_(std::exchange(other.bytes_, nullptr)) {}
  Piece& operator=(Piece&& other) noexcept {
    if (this != &other) {
      reset();
      pool_ = std::exchange(other.pool_, nullptr);
      bytes_ = std::exchange(other.bytes_, nullptr);
    }
    return *this;
  }
  Piece(const Piece&) = delete;
  Piece& operator=(const Piece&) = delete;
  ~Piece() { reset(); }

  [[nodiscard]] explicit operator bool() const { return bytes_ != nullptr; }
  [[nodiscard]] std::uint8_t* data() const { return bytes_->data(); }
  void reset();

 private:
  friend class PiecePool;
  Piece(PiecePool* pool, PieceBytes* bytes) : pool_(pool), bytes_(bytes) {}

  PiecePool* pool_ = nullptr;
  PieceBytes* bytes_ = nullptr;
};

class PiecePool {
 public:
  // At most `limit` pieces exist at once. Outlives its pieces.
  explicit PiecePool(std::size_t limit) : limit_(limit) { kept_.reserve(kKeep); }
  PiecePool(const PiecePool&) = delete;
  PiecePool& operator=(const PiecePool&) = delete;
  ~PiecePool();

  [[nodiscard]] Piece acquire();
  [[nodiscard]] std::size_t in_use() const { return in_use_; }
  [[nodiscard]] std::size_t limit() const { return limit_; }
  // More than half of the limit is in use: flows hold back.
  [[nodiscard]] bool pressed() const { return in_use_ > limit_ / 2; }

  static constexpr std::size_t kKeep = 16;

 private:
  friend class Piece;
  void release(PieceBytes* bytes);

  std::size_t limit_;
  std::size_t in_use_ = 0;
  std::vector<PieceBytes*> kept_;
};

}  // namespace sf::base
