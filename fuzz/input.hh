// What every fuzz target needs: a cursor over its input, and a check that ends the process.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <source_location>
#include <string_view>
#include <vector>

#include "base/bytes.hh"

namespace sf::fuzz {

// Yields zeros once the input is used up, so that a short input is a valid one.
class Input {
 public:
  explicit Input(Bytes bytes) : bytes_(bytes) {}

  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  [[nodiscard]] Bytes rest() const { return bytes_; }
  std::uint8_t u8() {
    const Bytes b = bytes(1);
    return b.empty() ? std::uint8_t{0} : b[0];
  }
  std::uint16_t u16() {
    const unsigned high = u8();
    return static_cast<std::uint16_t>((high << 8) | u8());
  }
  std::uint32_t u32() {
    const std::uint32_t high = u16();
    return (high << 16) | u16();
  }
  bool flag() { return (u8() & 1) != 0; }
  // As many as there are, where there are fewer.
  Bytes bytes(std::size_t count) {
    const Bytes out = take(bytes_, count);
    bytes_ = drop(bytes_, count);
    return out;
  }

 private:
  Bytes bytes_;
};

// Bytes in an allocation of exactly their size, so that AddressSanitizer sees a read just past the end.
class Exact {
 public:
  explicit Exact(Bytes bytes) : bytes_(bytes.begin(), bytes.end()) { bytes_.shrink_to_fit(); }
  [[nodiscard]] Bytes bytes() const { return bytes_; }

 private:
  std::vector<std::uint8_t> bytes_;
};

// Ends the process with a line where `holds` is false: the fuzzer keeps the input.
inline void require(bool holds, std::string_view what,
                    const std::source_location& at = std::source_location::current()) {
  if (holds) return;
  const unsigned line = at.line();
  std::fprintf(stderr, "fuzz: broken: %.*s (%s:%u)\n", static_cast<int>(what.size()), what.data(),
               at.file_name(), line);
  std::abort();
}

[[nodiscard]] inline std::string_view text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
[[nodiscard]] inline Bytes bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace sf::fuzz

// What libFuzzer, or replay.cc, calls for each input.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
