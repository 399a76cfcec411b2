// Views over bytes, and the two bounded cursors that every wire format is read and written with.
//
// A Reader never reads past its view: the first short read makes it fail, and from then on it yields
// zeros; callers check ok() once at the end. A Writer never writes past its buffer in the same way.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace sf::base {

using Bytes = std::span<const std::uint8_t>;
using MutBytes = std::span<std::uint8_t>;

[[nodiscard]] constexpr std::uint16_t load_be16(const std::uint8_t* p) {
  return static_cast<std::uint16_t>((p[0] << 8) | p[1]);
}
[[nodiscard]] constexpr std::uint32_t load_be32(const std::uint8_t* p) {
  return (static_cast<std::uint32_t>(load_be16(p)) << 16) | load_be16(p + 2);
}
[[nodiscard]] constexpr std::uint64_t load_be64(const std::uint8_t* p) {
  return (static_cast<std::uint64_t>(load_be32(p)) << 32) | load_be32(p + 4);
}
constexpr void store_be16(std::uint8_t* p, std::uint16_t v) {
  p[0] = static_cast<std::uint8_t>(v >> 8);
  p[1] = static_cast<std::uint8_t>(v);
}
constexpr void store_be32(std::uint8_t* p, std::uint32_t v) {
  store_be16(p, static_cast<std::uint16_t>(v >> 16));
  store_be16(p + 2, static_cast<std::uint16_t>(v));
}
constexpr void store_be64(std::uint8_t* p, std::uint64_t v) {
  store_be32(p, static_cast<std::uint32_t>(v >> 32));
  store_be32(p + 4, static_cast<std::uint32_t>(v));
}

// The first `count` bytes of `bytes`, or all of them where there are fewer. subspan() and first() have
// undefined behaviour past the end; these two do not.
[[nodiscard]] constexpr Bytes take(Bytes bytes, std::size_t count) {
  return bytes.first(std::min(count, bytes.size()));
}
[[nodiscard]] constexpr Bytes drop(Bytes bytes, std::size_t count) {
  return bytes.subspan(std::min(count, bytes.size()));
}

// A cursor over received bytes. Big-endian, as all that crosses a network.
class Reader {
 public:
  explicit constexpr Reader(Bytes bytes) : bytes_(bytes) {}

  [[nodiscard]] constexpr bool ok() const { return ok_; }
  [[nodiscard]] constexpr std::size_t offset() const { return offset_; }
  [[nodiscard]] constexpr std::size_t remaining() const { return bytes_.size() - offset_; }
  [[nodiscard]] constexpr Bytes rest() const { return bytes_.subspan(offset_); }

  constexpr std::uint8_t u8() {
    const std::uint8_t* p = advance(1);
    return p != nullptr ? *p : std::uint8_t{0};
  }
  constexpr std::uint16_t u16() {
    const std::uint8_t* p = advance(2);
    return p != nullptr ? load_be16(p) : std::uint16_t{0};
  }
  constexpr std::uint32_t u32() {
    const std::uint8_t* p = advance(4);
    return p != nullptr ? load_be32(p) : 0U;
  }
  constexpr std::uint64_t u64() {
    const std::uint8_t* p = advance(8);
    return p != nullptr ? load_be64(p) : 0U;
  }
  // A view of the next `count` bytes; empty, and the reader fails, where there are fewer.
  constexpr Bytes bytes(std::size_t count) {
    const std::uint8_t* p = advance(count);
    return p != nullptr ? Bytes{p, count} : Bytes{};
  }
  template <std::size_t N>
  constexpr std::array<std::uint8_t, N> array() {
    std::array<std::uint8_t, N> out{};
    if (const std::uint8_t* p = advance(N); p != nullptr) std::copy_n(p, N, out.begin());
    return out;
  }
  constexpr void skip(std::size_t count) { advance(count); }
  // Lets a parser reject what is well-formed as bytes but not as a message.
  constexpr void fail() { ok_ = false; }

 private:
  constexpr const std::uint8_t* advance(std::size_t count) {
    if (!ok_ || count > remaining()) {
      ok_ = false;
      return nullptr;
    }
    const std::uint8_t* p = bytes_.data() + offset_;
    offset_ += count;
    return p;
  }

  Bytes bytes_;
  std::size_t offset_ = 0;
  bool ok_ = true;
};

// A cursor over a buffer to be sent. written() is what was put so far.
class Writer {
 public:
  explicit constexpr Writer(MutBytes buffer) : buffer_(buffer) {}

  [[nodiscard]] constexpr bool ok() const { return ok_; }
  [[nodiscard]] constexpr std::size_t offset() const { return offset_; }
  [[nodiscard]] constexpr std::size_t remaining() const { return buffer_.size() - offset_; }
  [[nodiscard]] constexpr MutBytes written() const { return buffer_.first(offset_); }

  constexpr void u8(std::uint8_t v) {
    if (std::uint8_t* p = advance(1); p != nullptr) *p = v;
  }
  constexpr void u16(std::uint16_t v) {
    if (std::uint8_t* p = advance(2); p != nullptr) store_be16(p, v);
  }
  constexpr void u32(std::uint32_t v) {
    if (std::uint8_t* p = advance(4); p != nullptr) store_be32(p, v);
  }
  constexpr void u64(std::uint64_t v) {
    if (std::uint8_t* p = advance(8); p != nullptr) store_be64(p, v);
  }
  constexpr void bytes(Bytes source) {
    std::uint8_t* p = advance(source.size());
    if (p != nullptr) std::copy(source.begin(), source.end(), p);
  }
  constexpr void zeros(std::size_t count) {
    std::uint8_t* p = advance(count);
    if (p != nullptr) std::fill_n(p, count, std::uint8_t{0});
  }
  // Writes a field that had to wait, such as a length or a checksum, at a place already written.
  constexpr void patch_u16(std::size_t at, std::uint16_t v) {
    if (ok_ && at + 2 <= offset_) store_be16(buffer_.data() + at, v);
  }
  constexpr void fail() { ok_ = false; }

 private:
  constexpr std::uint8_t* advance(std::size_t count) {
    if (!ok_ || count > remaining()) {
      ok_ = false;
      return nullptr;
    }
    std::uint8_t* p = buffer_.data() + offset_;
    offset_ += count;
    return p;
  }

  MutBytes buffer_;
  std::size_t offset_ = 0;
  bool ok_ = true;
};

}  // namespace sf::base

// The vocabulary types are used by every folder, unqualified.
namespace sf {
using namespace base;
}
