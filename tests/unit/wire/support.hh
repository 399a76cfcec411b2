// What every test of a wire format needs: captures as hex, and inputs whose end the sanitizer watches.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.hh"
#include "base/bytes.hh"

namespace sf::wire::test {

using Buffer = std::vector<std::uint8_t>;

// "0a 00 02" or "0a0002" to bytes.
inline Buffer hex(std::string_view text) {
  Buffer out;
  std::string digits;
  for (const char c : text) {
    if (c != ' ' && c != '\n') digits += c;
  }
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    out.push_back(static_cast<std::uint8_t>(std::stoul(digits.substr(i, 2), nullptr, 16)));
  }
  return out;
}

inline std::string to_hex(Bytes bytes) {
  std::string out;
  for (const std::uint8_t b : bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    out += kDigits[b >> 4];
    out += kDigits[b & 0xf];
  }
  return out;
}

inline Address address(std::string_view text) {
  return Address::parse(text).value();
}
inline MacAddress mac(std::string_view text) {
  return MacAddress::parse(text).value();
}

// Bytes in an allocation of exactly their size, so that AddressSanitizer sees a read just past the end.
class Exact {
 public:
  explicit Exact(Bytes bytes) : size_(bytes.size()), data_(new std::uint8_t[bytes.size()]) {
    std::copy(bytes.begin(), bytes.end(), data_.get());
  }
  [[nodiscard]] Bytes bytes() const { return {data_.get(), size_}; }
  [[nodiscard]] MutBytes mutable_bytes() { return {data_.get(), size_}; }

 private:
  std::size_t size_;
  std::unique_ptr<std::uint8_t[]> data_;
};

// Calls `parse` with `message` cut to each length below its own, and returns the lengths at which it yielded
// something.
template <typename Parse>
std::vector<std::size_t> lengths_that_parse(Bytes message, Parse parse) {
  std::vector<std::size_t> lengths;
  for (std::size_t length = 0; length < message.size(); ++length) {
    const Exact cut(message.first(length));
    if (parse(cut.bytes())) lengths.push_back(length);
  }
  return lengths;
}

// Calls `parse` with each byte of `message` in turn set to each value of a few that stand at the edge of
// fields. Nothing is expected of the result: the sanitizers are what can fail.
template <typename Parse>
void parse_with_every_byte_changed(Bytes message, Parse parse) {
  for (std::size_t at = 0; at < message.size(); ++at) {
    for (const unsigned value : {0x00U, 0x01U, 0x3fU, 0x40U, 0x7fU, 0x80U, 0xc0U, 0xffU, message[at] ^ 1U}) {
      Exact changed(message);
      changed.mutable_bytes()[at] = static_cast<std::uint8_t>(value);
      (void)parse(changed.bytes());
    }
  }
}

// What `write` puts into a buffer; nothing where the writer failed.
template <typename Write>
std::optional<Buffer> written(std::size_t room, Write write) {
  Buffer buffer(room);
  Writer out(buffer);
  write(out);
  if (!out.ok()) return std::nullopt;
  buffer.resize(out.offset());
  return buffer;
}

// True where `write` fails in every buffer smaller than what it needs, and leaves what is behind the buffer
// alone.
template <typename Write>
bool fails_when_short(std::size_t needed, Write write) {
  for (std::size_t room = 0; room < needed; ++room) {
    Exact buffer(Buffer(room, 0));
    Writer out(buffer.mutable_bytes());
    write(out);
    if (out.ok()) return false;
  }
  return true;
}

}  // namespace sf::wire::test
