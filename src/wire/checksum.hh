// The Internet checksum (RFC 1071).
//
// A partial sum is kept as 64 bits without folding, over big-endian 16-bit words; partial sums of several
// pieces add up as long as every piece but the last has an even length.
#pragma once

#include "base/address.hh"
#include "base/bytes.hh"

namespace sf::wire {

// The unfolded sum over `data`, added to `sum`. An odd last byte counts as padded with zero.
[[nodiscard]] std::uint64_t checksum_add(std::uint64_t sum, Bytes data);
// Folds to 16 bits without complementing: what a field holds that someone else completes (CHECKSUM_PARTIAL).
[[nodiscard]] std::uint16_t checksum_fold(std::uint64_t sum);
// Folds and complements: what a checksum field holds.
[[nodiscard]] inline std::uint16_t checksum_finish(std::uint64_t sum) {
  return static_cast<std::uint16_t>(~checksum_fold(sum));
}
// The pseudo-header of either IP version (RFC 9293 section 3.1, RFC 8200 section 8.1), unfolded. `length` is
// that of the upper-layer header and payload together.
[[nodiscard]] std::uint64_t pseudo_header_sum(const Address& source, const Address& destination,
                                              std::uint8_t protocol, std::uint32_t length);

}  // namespace sf::wire
