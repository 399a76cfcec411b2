// Datagrams that say by themselves what they must hold: a magic number, an id, and the pattern of that id.
#pragma once

#include <optional>

#include "base/bytes.hh"
#include "sim/pattern.hh"

namespace sf::sim {

inline constexpr std::size_t kMarkedHeader = 16;

// Fills `out`, which has room for the header at least.
inline void mark_payload(MutBytes out, std::uint64_t id) {
  store_be32(&out[0], 0x51317221);
  store_be32(&out[4], static_cast<std::uint32_t>(out.size()));
  store_be64(&out[8], id);
  Pattern(id).fill(0, out.subspan(kMarkedHeader));
}

// The id where every byte is as it was made.
[[nodiscard]] inline std::optional<std::uint64_t> read_marked(Bytes payload) {
  if (payload.size() < kMarkedHeader || load_be32(&payload[0]) != 0x51317221) return std::nullopt;
  if (load_be32(&payload[4]) != payload.size()) return std::nullopt;
  const std::uint64_t id = load_be64(&payload[8]);
  const Bytes body = payload.subspan(kMarkedHeader);
  if (Pattern(id).mismatch(0, body) != body.size()) return std::nullopt;
  return id;
}

}  // namespace sf::sim
