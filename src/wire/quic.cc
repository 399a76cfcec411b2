#include "wire/quic.hh"

#include <nettle/aes.h>
#include <nettle/gcm.h>
#include <nettle/hmac.h>

#include <algorithm>
#include <string_view>

namespace sf::wire {
namespace {

constexpr std::uint32_t kVersion1 = 1;
constexpr std::uint32_t kVersion2 = 0x6b3343cf;
constexpr std::size_t kSampleSize = 16;  // RFC 9001 section 5.4.2
constexpr std::size_t kSampleAt = 4;     // behind where the packet number begins, whatever its length
constexpr std::size_t kTagSize = 16;

// RFC 9001 section 5.2, RFC 9369 section 3.3.1.
constexpr std::array<std::uint8_t, 20> kSalt1{0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
                                              0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a};
constexpr std::array<std::uint8_t, 20> kSalt2{0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
                                              0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9};

using Digest = std::array<std::uint8_t, SHA256_DIGEST_SIZE>;

// RFC 9000 section 16.
std::uint64_t varint(Reader& in) {
  const std::uint8_t first = in.u8();
  std::uint64_t value = first & 0x3f;
  for (int more = (1 << (first >> 6)) - 1; more > 0; --more) value = (value << 8) | in.u8();
  return value;
}

Bytes counted(Reader& in, std::uint64_t size) {
  if (size > in.remaining()) {
    in.fail();
    return {};
  }
  return in.bytes(size);
}

Digest hmac(Bytes key, Bytes data) {
  hmac_sha256_ctx context;
  Digest digest;
  hmac_sha256_set_key(&context, key.size(), key.data());
  hmac_sha256_update(&context, data.size(), data.data());
  hmac_sha256_digest(&context, digest.size(), digest.data());
  return digest;
}

// HKDF-Expand-Label of RFC 8446 section 7.1, without a context and of one block at most.
template <std::size_t Size>
std::array<std::uint8_t, Size> expand(const Digest& secret, std::string_view label) {
  static_assert(Size <= SHA256_DIGEST_SIZE);
  constexpr std::string_view kPrefix = "tls13 ";
  std::array<std::uint8_t, 64> buffer{};
  Writer out(buffer);
  out.u16(Size);
  out.u8(static_cast<std::uint8_t>(kPrefix.size() + label.size()));
  for (const std::string_view part : {kPrefix, label}) {
    for (const char c : part) out.u8(static_cast<std::uint8_t>(c));
  }
  out.u8(0);  // no context
  out.u8(1);  // the first block (RFC 5869 section 2.3)
  const Digest block = hmac(secret, out.written());
  std::array<std::uint8_t, Size> key;
  std::copy_n(block.begin(), Size, key.begin());
  return key;
}

QuicPacketType type_of(QuicVersion version, std::uint8_t first) {
  const unsigned bits = (first >> 4) & 3U;
  // Version 2 has them turned by one (RFC 9369 section 3.2).
  return static_cast<QuicPacketType>(version == QuicVersion::v1 ? bits : (bits + 3) & 3U);
}

// RFC 9000 appendix A.3.
std::uint64_t full_number(std::uint64_t truncated, unsigned bits, std::uint64_t expected) {
  const std::uint64_t window = std::uint64_t{1} << bits;
  const std::uint64_t candidate = (expected & ~(window - 1)) | truncated;
  if (candidate + window / 2 <= expected && candidate < (std::uint64_t{1} << 62) - window) {
    return candidate + window;
  }
  if (candidate > expected + window / 2 && candidate >= window) return candidate - window;
  return candidate;
}

}  // namespace

std::optional<QuicPacket> QuicPacketReader::next() {
  if (rest_.empty() || (rest_[0] & kQuicLongHeader) == 0) return std::nullopt;
  Reader in(rest_);
  QuicPacket packet;
  const std::uint8_t first = in.u8();
  const std::uint32_t version = in.u32();
  if (version != kVersion1 && version != kVersion2) return std::nullopt;
  packet.version = version == kVersion1 ? QuicVersion::v1 : QuicVersion::v2;
  packet.type = type_of(packet.version, first);
  packet.destination_id = in.bytes(in.u8());
  packet.source_id = in.bytes(in.u8());
  if (packet.destination_id.size() > kMaxQuicId || packet.source_id.size() > kMaxQuicId) return std::nullopt;
  if (packet.type == QuicPacketType::retry) {
    if (!in.ok()) return std::nullopt;
    packet.whole = rest_;
  } else {
    if (packet.type == QuicPacketType::initial) counted(in, varint(in));  // token
    const std::uint64_t length = varint(in);
    packet.number_at = in.offset();
    counted(in, length);
    if (!in.ok()) return std::nullopt;
    packet.whole = take(rest_, in.offset());
  }
  rest_ = drop(rest_, packet.whole.size());
  return packet;
}

QuicKeys quic_client_keys(QuicVersion version, Bytes id) {
  const bool v1 = version == QuicVersion::v1;
  const Digest initial = hmac(v1 ? kSalt1 : kSalt2, id);  // HKDF-Extract
  const Digest client = expand<SHA256_DIGEST_SIZE>(initial, "client in");
  return {.key = expand<16>(client, v1 ? "quic key" : "quicv2 key"),
          .iv = expand<12>(client, v1 ? "quic iv" : "quicv2 iv"),
          .header = expand<16>(client, v1 ? "quic hp" : "quicv2 hp")};
}

std::optional<QuicFrames> open_quic_initial(const QuicPacket& packet, const QuicKeys& keys,
                                            std::uint64_t expected, MutBytes out) {
  const std::size_t at = packet.number_at;
  if (packet.whole.size() < at + kSampleAt + kSampleSize || out.size() < packet.whole.size()) {
    return std::nullopt;
  }
  // The header's protection (RFC 9001 section 5.4.1).
  aes128_ctx header_cipher;
  std::array<std::uint8_t, kSampleSize> mask;
  aes128_set_encrypt_key(&header_cipher, keys.header.data());
  aes128_encrypt(&header_cipher, mask.size(), mask.data(), packet.whole.subspan(at + kSampleAt).data());
  std::copy_n(packet.whole.begin(), at + kSampleAt, out.begin());
  out[0] = static_cast<std::uint8_t>(out[0] ^ (mask[0] & 0x0f));
  const std::size_t number_size = (out[0] & 3U) + 1U;
  std::uint64_t truncated = 0;
  for (std::size_t i = 0; i < number_size; ++i) {
    out[at + i] = static_cast<std::uint8_t>(out[at + i] ^ mask[1 + i]);
    truncated = (truncated << 8) | out[at + i];
  }
  const std::uint64_t number = full_number(truncated, static_cast<unsigned>(8 * number_size), expected);
  // The payload's (section 5.3).
  std::array<std::uint8_t, 12> nonce = keys.iv;
  for (std::size_t i = 0; i < 8; ++i) {
    nonce[4 + i] = static_cast<std::uint8_t>(nonce[4 + i] ^ (number >> (56 - 8 * i)));
  }
  const std::size_t header_size = at + number_size;
  const std::size_t size = packet.whole.size() - header_size - kTagSize;
  gcm_aes128_ctx cipher;
  std::array<std::uint8_t, kTagSize> tag;
  gcm_aes128_set_key(&cipher, keys.key.data());
  gcm_aes128_set_iv(&cipher, nonce.size(), nonce.data());
  gcm_aes128_update(&cipher, header_size, out.data());
  gcm_aes128_decrypt(&cipher, size, out.subspan(header_size).data(),
                     packet.whole.subspan(header_size).data());
  gcm_aes128_digest(&cipher, tag.size(), tag.data());
  if (!std::ranges::equal(tag, packet.whole.last(kTagSize))) return std::nullopt;
  return QuicFrames{number, out.subspan(header_size, size)};
}

bool read_quic_frames(Bytes frames, QuicCrypto crypto) {
  enum Frame : std::uint8_t { padding = 0, ping = 1, ack = 2, ack_ecn = 3, handshake = 6, close = 0x1c };
  Reader in(frames);
  while (in.remaining() > 0) {
    const std::uint8_t type = in.u8();  // longer forms of these numbers are not allowed (section 12.4)
    switch (type) {
      case padding:
      case ping:
        break;
      case ack:
      case ack_ecn: {
        varint(in);  // largest
        varint(in);  // delay
        const std::uint64_t ranges = varint(in);
        varint(in);  // first range
        for (std::uint64_t i = 0; i < ranges && in.ok(); ++i) {
          varint(in);
          varint(in);
        }
        for (int i = 0; type == ack_ecn && i < 3; ++i) varint(in);
        break;
      }
      case handshake: {
        const std::uint64_t offset = varint(in);
        const Bytes data = counted(in, varint(in));
        if (!in.ok() || !crypto(offset, data)) return false;
        break;
      }
      case close: {
        varint(in);  // error code
        varint(in);  // frame type
        counted(in, varint(in));
        break;
      }
      default:
        return false;
    }
    if (!in.ok()) return false;
  }
  return !frames.empty();  // section 12.4: at least one
}

}  // namespace sf::wire
