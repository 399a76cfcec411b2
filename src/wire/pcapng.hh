// pcapng, as IETF draft-ietf-opsawg-pcapng describes it: one section with one Ethernet interface, written as
// it grows. Each function appends whole blocks, in the machine's byte order, which the section's head tells.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.hh"
#include "wire/offload.hh"

namespace sf::wire::pcapng {

using Out = std::vector<std::uint8_t>;

inline constexpr std::uint32_t kMaxSnapLength = 262144;  // what Wireshark takes for "no limit"

// Readers of the file need the first two words of a block, its type and its length, and these.
inline constexpr std::uint32_t kSectionHeader = 0x0a0d0d0a;
inline constexpr std::uint32_t kEnhancedPacket = 6;
inline constexpr std::uint32_t kInterfaceStatistics = 5;
inline constexpr std::uint16_t kEpbDropCount = 4;  // options: 64 bits each
inline constexpr std::uint16_t kIsbDropped = 5;

// The section's head, and its interface.
void append_head(Out& out, std::string_view interface_name, std::uint32_t snap_length);

struct Packet {
  std::span<const Bytes> parts;     // of the frame, one behind the other
  Offload offload{};                // a checksum that was left to somebody else is filled in
  std::chrono::nanoseconds time{};  // since 1970
  bool outbound = false;            // as the interface sees it
  std::uint32_t snap_length = kMaxSnapLength;
  std::uint64_t lost = 0;  // frames since the one before it
};
void append_packet(Out& out, const Packet& packet);

struct Statistics {
  std::uint64_t seen = 0;
  std::uint64_t accepted = 0;  // by the filter
  std::uint64_t lost = 0;
};
void append_statistics(Out& out, std::chrono::nanoseconds time, const Statistics& statistics);

}  // namespace sf::wire::pcapng
