// Both ends of a flow, and a keyed hash of them.
#pragma once

#include <array>
#include <cstdint>

#include "base/address.hh"
#include "base/bytes.hh"
#include "base/siphash.hh"

namespace sf::base {

// As the guest sees them. `remote` is left empty where the mapping is endpoint-independent.
struct FlowKey {
  Endpoint guest;
  Endpoint remote;

  constexpr bool operator==(const FlowKey&) const = default;
};

[[nodiscard]] inline std::uint64_t hash_of(const SipKey& key, const FlowKey& flow) {
  std::array<std::uint8_t, 36> bytes;
  Writer out(bytes);
  out.bytes(flow.guest.address.bytes());
  out.bytes(flow.remote.address.bytes());
  out.u16(flow.guest.port);
  out.u16(flow.remote.port);
  return siphash(key, bytes);
}

}  // namespace sf::base
