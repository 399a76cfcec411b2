// TCP segments (RFC 9293 section 3.1) and the options that we speak: MSS, window scale and timestamps (RFC
// 7323), SACK (RFC 2018).
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-------------------------------+-------------------------------+
//   |          Source port          |       Destination port        |
//   +-------------------------------+-------------------------------+
//   |                        Sequence number                        |
//   +---------------------------------------------------------------+
//   |                    Acknowledgment number                      |
//   +-------+-------+---------------+-------------------------------+
//   | Offset| Rsrvd |C E U A P R S F|            Window             |
//   +-------+-------+---------------+-------------------------------+
//   |           Checksum            |         Urgent pointer        |
//   +-------------------------------+-------------------------------+
//   |                     Options, padded to 32 bits                |
#pragma once

#include <array>
#include <optional>

#include "base/address.hh"
#include "base/bytes.hh"

namespace sf::wire {

inline constexpr std::size_t kTcpHeaderSize = 20;
inline constexpr std::size_t kTcpMaxHeaderSize = 60;

struct TcpFlags {
  bool fin : 1 = false;
  bool syn : 1 = false;
  bool rst : 1 = false;
  bool psh : 1 = false;
  bool ack : 1 = false;
  bool urg : 1 = false;  // parsed, ignored (RFC 6093)
  bool ece : 1 = false;
  bool cwr : 1 = false;

  constexpr bool operator==(const TcpFlags&) const = default;
};

struct TcpTimestamps {
  std::uint32_t value = 0;
  std::uint32_t echo_reply = 0;

  constexpr bool operator==(const TcpTimestamps&) const = default;
};

struct SackBlock {
  std::uint32_t left = 0;   // first sequence number of the block
  std::uint32_t right = 0;  // the one just after it

  constexpr bool operator==(const SackBlock&) const = default;
};

struct TcpOptions {
  static constexpr std::size_t kMaxSackBlocks = 4;

  std::optional<std::uint16_t> mss;
  std::optional<std::uint8_t> window_scale;  // as sent; the receiver of it caps it at 14
  bool sack_permitted = false;
  std::optional<TcpTimestamps> timestamps;
  std::array<SackBlock, kMaxSackBlocks> sack{};
  std::uint8_t sack_count = 0;

  // Padded to four bytes. At most 40: with timestamps only three SACK blocks fit, and emit leaves out the
  // rest.
  [[nodiscard]] std::size_t size() const;
};

struct TcpSegment {
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgment = 0;
  TcpFlags flags;
  std::uint16_t window = 0;  // unscaled, as on the wire
  TcpOptions options;
  Bytes payload;  // set by parse; emit writes the header alone

  // `bytes` is an IP payload. Nothing where it is shorter than its header, the data offset is below 5 or past
  // the end. A malformed option ends option parsing: what was read before it counts (RFC 9293 section 3.2
  // lets the rest go). The checksum is not looked at here: see verify_transport_checksum.
  [[nodiscard]] static std::optional<TcpSegment> parse(Bytes bytes);

  [[nodiscard]] std::size_t header_size() const { return kTcpHeaderSize + options.size(); }
  // Writes the header with `checksum` as given (a full one, or the folded pseudo-header sum for the link to
  // complete).
  void emit(Writer& out, std::uint16_t checksum) const;

  // Sequence numbers that the segment occupies: payload, SYN and FIN.
  [[nodiscard]] std::uint32_t length() const {
    return static_cast<std::uint32_t>(payload.size()) + (flags.syn ? 1 : 0) + (flags.fin ? 1 : 0);
  }
};

// Offset of the checksum field within the TCP, UDP and ICMP headers: what CHECKSUM_PARTIAL's csum_offset
// says.
inline constexpr std::size_t kTcpChecksumOffset = 16;
inline constexpr std::size_t kUdpChecksumOffset = 6;
inline constexpr std::size_t kIcmpChecksumOffset = 2;

// True where the checksum over the pseudo-header and `payload` (header and data) holds.
[[nodiscard]] bool verify_transport_checksum(const Address& source, const Address& destination,
                                             std::uint8_t protocol, Bytes payload);

}  // namespace sf::wire
