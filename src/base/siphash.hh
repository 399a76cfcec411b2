// SipHash-2-4 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012): the keyed hash behind the flow
// table, so that a guest cannot aim at its buckets, and behind TCP's initial sequence numbers (RFC 6528).
#pragma once

#include <cstdint>

#include "base/bytes.hh"

namespace sf::base {

struct SipKey {
  std::uint64_t k0 = 0;
  std::uint64_t k1 = 0;
};

[[nodiscard]] std::uint64_t siphash(const SipKey& key, Bytes data);

}  // namespace sf::base
