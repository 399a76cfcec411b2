// QUIC as far as it can be read on the way: long headers of versions 1 and 2 (RFC 9000 section 17.2, RFC 9369
// section 3.2), several of them in a datagram, and what clients say in Initial packets. Those are encrypted
// with keys that follow from a field in the open (RFC 9001 section 5.2), against those who do not know QUIC.
//
//     datagram = long-header packet* [short-header packet, or padding]
//
// Pure functions over bytes; nothing is allocated. The ciphers are Nettle's.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/bytes.hh"
#include "wire/function_ref.hh"

namespace sf::wire {

enum class QuicVersion : std::uint8_t { v1, v2 };
enum class QuicPacketType : std::uint8_t { initial, zero_rtt, handshake, retry };

inline constexpr std::size_t kMaxQuicId = 20;  // RFC 9000 section 17.2

// A datagram that begins with this bit set begins with a long header, if it is QUIC (RFC 8999 section 5.1).
inline constexpr std::uint8_t kQuicLongHeader = 0x80;

struct QuicPacket {
  QuicVersion version{};
  QuicPacketType type{};
  Bytes destination_id;
  Bytes source_id;
  Bytes whole;                // up to where its length says; a Retry packet has none, and takes the rest
  std::size_t number_at = 0;  // where the protected packet number begins
};

class QuicPacketReader {
 public:
  explicit QuicPacketReader(Bytes datagram) : rest_(datagram) {}

  // The next packet with a long header of a version that is known. Absent: there is none, see rest().
  [[nodiscard]] std::optional<QuicPacket> next();
  // What has not been read: a packet with a short header, padding, or what is no QUIC at all.
  [[nodiscard]] Bytes rest() const { return rest_; }
  // It is an unknown version's, or malformed.
  [[nodiscard]] bool rest_is_unreadable() const {
    return !rest_.empty() && (rest_[0] & kQuicLongHeader) != 0;
  }

 private:
  Bytes rest_;
};

// What protects a client's Initial packets.
struct QuicKeys {
  std::array<std::uint8_t, 16> key{};
  std::array<std::uint8_t, 12> iv{};
  std::array<std::uint8_t, 16> header{};
};

// `id` is the destination ID of the first Initial packet that the client has sent, or the first one after a
// Retry.
[[nodiscard]] QuicKeys quic_client_keys(QuicVersion version, Bytes id);

struct QuicFrames {
  std::uint64_t number = 0;  // the packet's
  Bytes frames;              // within the buffer that was given
};
// Takes an Initial packet's protection away, into `out`, which has room for the whole packet. `expected` is
// one more than the highest number so far (RFC 9000 appendix A.3). Absent: it was not made with these keys.
[[nodiscard]] std::optional<QuicFrames> open_quic_initial(const QuicPacket& packet, const QuicKeys& keys,
                                                          std::uint64_t expected, MutBytes out);

// Goes through the frames of an Initial packet, and calls `crypto` for each piece of the handshake. False:
// one is malformed, or may not be in there (RFC 9000 section 12.4), or `crypto` said so.
using QuicCrypto = FunctionRef<bool(std::uint64_t offset, Bytes data)>;
[[nodiscard]] bool read_quic_frames(Bytes frames, QuicCrypto crypto);

}  // namespace sf::wire
