// Payload memory: pieces of 64 KiB from one bounded pool that all flows of a shard share.
//
// Free pieces are kept for the next burst: getting one from the system and giving it back costs more than a
// small request does. trim(), called now and then, gives those back that have not been needed since the last
// time.
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
  explicit PiecePool(std::size_t limit) : limit_(limit) { kept_.reserve(kKeepMost); }
  PiecePool(const PiecePool&) = delete;
  PiecePool& operator=(const PiecePool&) = delete;
  ~PiecePool();

  [[nodiscard]] Piece acquire();
  [[nodiscard]] std::size_t in_use() const { return in_use_; }
  [[nodiscard]] std::size_t limit() const { return limit_; }
  // More than half of the limit is in use: flows hold back.
  [[nodiscard]] bool pressed() const { return in_use_ > limit_ / 2; }

  // Free ones that were not given back to the system. A surplus is more than a quiet pool keeps.
  [[nodiscard]] std::size_t kept() const { return kept_.size(); }
  [[nodiscard]] bool has_surplus() const { return kept_.size() > kKeep; }
  void trim();

  static constexpr std::size_t kKeep = 16;       // for good
  static constexpr std::size_t kKeepMost = 256;  // until the next trim()

 private:
  friend class Piece;
  void release(PieceBytes* bytes);

  std::size_t limit_;
  std::size_t in_use_ = 0;
  std::vector<PieceBytes*> kept_;  // the one that was used last at the end
  std::size_t spare_ = 0;          // how many of them there were at least, since the last trim()
};

}  // namespace sf::base
