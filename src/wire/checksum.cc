#include "wire/checksum.hh"

#include <bit>

namespace sf::wire {
namespace {

// RFC 1071 section 2 (B): the sum may be made in any byte order, as long as the result is swapped back. So
// words are loaded as the machine has them, 32 bytes a turn, their halves in separate sums that cannot
// overflow before 32 GiB.
constexpr std::size_t kBlock = 32;

std::uint64_t sum_native(Bytes data) {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  std::array<std::uint64_t, kBlock / 8> words;
  const std::uint8_t* at = data.data();
  std::size_t left = data.size();
  for (; left >= kBlock; left -= kBlock, at += kBlock) {
    std::memcpy(words.data(), at, kBlock);
    for (const std::uint64_t word : words) {
      low += word & 0xffffffffU;
      high += word >> 32;
    }
  }
  if (left > 0) {
    words.fill(0);
    std::memcpy(words.data(), at, left);
    for (const std::uint64_t word : words) {
      low += word & 0xffffffffU;
      high += word >> 32;
    }
  }
  return (low & 0xffffffffU) + (low >> 32) + (high & 0xffffffffU) + (high >> 32);
}

}  // namespace

std::uint64_t checksum_add(std::uint64_t sum, Bytes data) {
  std::uint16_t folded = checksum_fold(sum_native(data));
  if constexpr (std::endian::native == std::endian::little) {
    folded = static_cast<std::uint16_t>((folded << 8) | (folded >> 8));
  }
  return sum + folded;
}

std::uint16_t checksum_fold(std::uint64_t sum) {
  sum = (sum & 0xffffffffU) + (sum >> 32);
  sum = (sum & 0xffffU) + (sum >> 16);
  sum = (sum & 0xffffU) + (sum >> 16);
  sum = (sum & 0xffffU) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

std::uint64_t pseudo_header_sum(const Address& source, const Address& destination, std::uint8_t protocol,
                                std::uint32_t length) {
  std::uint64_t sum = std::uint64_t{protocol} + (length >> 16) + (length & 0xffffU);
  sum = checksum_add(sum, source.wire_bytes());
  return checksum_add(sum, destination.wire_bytes());
}

}  // namespace sf::wire
