// The bytes of a stream, as a function of its key and the offset: neither end keeps what it sent, and any
// byte that is lost, doubled, moved or taken from another flow shows.
#pragma once

#include <cstdint>

#include "base/bytes.hh"
#include "sim/random.hh"

namespace sf::sim {

class Pattern {
 public:
  explicit Pattern(std::uint64_t key) : key_(key) {}

  void fill(std::uint64_t offset, MutBytes out) const {
    std::uint64_t word = word_at(offset);
    for (std::size_t i = 0; i < out.size(); ++i, ++offset) {
      if (offset % 8 == 0) word = word_at(offset);
      out[i] = static_cast<std::uint8_t>(word >> (8 * (offset % 8)));
    }
  }
  // The first place in `bytes` that differs, or bytes.size().
  [[nodiscard]] std::size_t mismatch(std::uint64_t offset, Bytes bytes) const {
    std::uint64_t word = word_at(offset);
    for (std::size_t i = 0; i < bytes.size(); ++i, ++offset) {
      if (offset % 8 == 0) word = word_at(offset);
      if (bytes[i] != static_cast<std::uint8_t>(word >> (8 * (offset % 8)))) return i;
    }
    return bytes.size();
  }

 private:
  [[nodiscard]] std::uint64_t word_at(std::uint64_t offset) const { return mix(key_ + offset / 8); }

  std::uint64_t key_;
};

}  // namespace sf::sim
