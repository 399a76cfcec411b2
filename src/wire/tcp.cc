#include "wire/tcp.hh"

#include "wire/checksum.hh"
#include "wire/ip.hh"
#include "wire/udp.hh"

namespace sf::wire {
namespace {

constexpr std::size_t kMaxOptions = kTcpMaxHeaderSize - kTcpHeaderSize;

enum OptionKind : std::uint8_t {
  kEnd = 0,
  kNop = 1,
  kMss = 2,
  kWindowScale = 3,
  kSackPermitted = 4,
  kSack = 5,
  kTimestamps = 8,
};

// Everything but SACK blocks, each padded to four bytes. SACK-permitted takes the place of the padding before
// the timestamps, and NOP NOP TS is the layout that stacks have a fast path for (RFC 7323 appendix A).
std::size_t fixed_size(const TcpOptions& options) {
  std::size_t size = options.mss ? 4 : 0;
  if (options.timestamps) {
    size += 12;
  } else if (options.sack_permitted) {
    size += 4;
  }
  return size + (options.window_scale ? 4 : 0);
}

std::size_t fitting_sack_blocks(const TcpOptions& options) {
  const std::size_t room = kMaxOptions - fixed_size(options);  // 20 at the least
  return std::min({std::size_t{options.sack_count}, (room - 4) / 8, TcpOptions::kMaxSackBlocks});
}

bool read_option(TcpOptions& options, std::uint8_t kind, Bytes body) {
  Reader in(body);
  switch (kind) {
    case kMss:
      if (body.size() != 2) return false;
      options.mss = in.u16();
      return true;
    case kWindowScale:
      if (body.size() != 1) return false;
      options.window_scale = in.u8();
      return true;
    case kSackPermitted:
      if (!body.empty()) return false;
      options.sack_permitted = true;
      return true;
    case kSack:
      if (body.empty() || body.size() % 8 != 0 || body.size() / 8 > TcpOptions::kMaxSackBlocks) return false;
      options.sack_count = static_cast<std::uint8_t>(body.size() / 8);
      for (std::size_t i = 0; i < options.sack_count; ++i) {
        options.sack[i].left = in.u32();
        options.sack[i].right = in.u32();
      }
      return true;
    case kTimestamps: {
      if (body.size() != 8) return false;
      TcpTimestamps timestamps;
      timestamps.value = in.u32();
      timestamps.echo_reply = in.u32();
      options.timestamps = timestamps;
      return true;
    }
    default:
      return true;
  }
}

TcpOptions read_options(Bytes bytes) {
  TcpOptions options;
  Reader in(bytes);
  while (in.remaining() > 0) {
    const std::uint8_t kind = in.u8();
    if (kind == kEnd) break;
    if (kind == kNop) continue;
    const std::uint8_t length = in.u8();
    if (!in.ok() || length < 2) break;
    const Bytes body = in.bytes(length - std::size_t{2});
    if (!in.ok() || !read_option(options, kind, body)) break;
  }
  return options;
}

void write_options(const TcpOptions& options, Writer& out) {
  if (options.mss) {
    out.u16((kMss << 8) | 4);
    out.u16(*options.mss);
  }
  if (options.sack_permitted) {
    out.u16((kSackPermitted << 8) | 2);
  } else if (options.timestamps) {
    out.u16((kNop << 8) | kNop);
  }
  if (options.timestamps) {
    out.u16((kTimestamps << 8) | 10);
    out.u32(options.timestamps->value);
    out.u32(options.timestamps->echo_reply);
  } else if (options.sack_permitted) {
    out.u16((kNop << 8) | kNop);
  }
  if (options.window_scale) {
    out.u16((kNop << 8) | kWindowScale);
    out.u8(3);
    out.u8(*options.window_scale);
  }
  if (const std::size_t blocks = fitting_sack_blocks(options); blocks > 0) {
    out.u16((kNop << 8) | kNop);
    out.u8(kSack);
    out.u8(static_cast<std::uint8_t>(2 + 8 * blocks));
    for (std::size_t i = 0; i < blocks; ++i) {
      out.u32(options.sack[i].left);
      out.u32(options.sack[i].right);
    }
  }
}

constexpr TcpFlags flags_from(std::uint8_t bits) {
  return {.fin = (bits & 0x01) != 0,
          .syn = (bits & 0x02) != 0,
          .rst = (bits & 0x04) != 0,
          .psh = (bits & 0x08) != 0,
          .ack = (bits & 0x10) != 0,
          .urg = (bits & 0x20) != 0,
          .ece = (bits & 0x40) != 0,
          .cwr = (bits & 0x80) != 0};
}

constexpr std::uint8_t bits_from(const TcpFlags& flags) {
  return static_cast<std::uint8_t>((flags.fin ? 0x01 : 0) | (flags.syn ? 0x02 : 0) | (flags.rst ? 0x04 : 0) |
                                   (flags.psh ? 0x08 : 0) | (flags.ack ? 0x10 : 0) | (flags.urg ? 0x20 : 0) |
                                   (flags.ece ? 0x40 : 0) | (flags.cwr ? 0x80 : 0));
}

}  // namespace

std::size_t TcpOptions::size() const {
  const std::size_t blocks = fitting_sack_blocks(*this);
  return fixed_size(*this) + (blocks > 0 ? 4 + 8 * blocks : 0);
}

std::optional<TcpSegment> TcpSegment::parse(Bytes bytes) {
  Reader in(bytes);
  TcpSegment segment;
  segment.source_port = in.u16();
  segment.destination_port = in.u16();
  segment.sequence = in.u32();
  segment.acknowledgment = in.u32();
  const std::size_t header = std::size_t{static_cast<std::uint8_t>(in.u8() >> 4)} * 4;
  segment.flags = flags_from(in.u8());
  segment.window = in.u16();
  in.skip(4);  // checksum and urgent pointer
  if (!in.ok() || header < kTcpHeaderSize) return std::nullopt;
  const Bytes options = in.bytes(header - kTcpHeaderSize);
  if (!in.ok()) return std::nullopt;
  segment.options = read_options(options);
  segment.payload = in.rest();
  return segment;
}

void TcpSegment::emit(Writer& out, std::uint16_t checksum) const {
  out.u16(source_port);
  out.u16(destination_port);
  out.u32(sequence);
  out.u32(acknowledgment);
  out.u8(static_cast<std::uint8_t>(header_size() / 4 << 4));
  out.u8(bits_from(flags));
  out.u16(window);
  out.u16(checksum);
  out.u16(0);  // urgent pointer
  write_options(options, out);
}

bool verify_transport_checksum(const Address& source, const Address& destination, std::uint8_t protocol,
                               Bytes payload) {
  if (protocol == static_cast<std::uint8_t>(IpProtocol::icmp)) {
    return checksum_finish(checksum_add(0, payload)) == 0;
  }
  if (protocol == static_cast<std::uint8_t>(IpProtocol::udp)) {
    if (payload.size() < kUdpHeaderSize) return false;
    // IPv6 needs a checksum (RFC 8200 section 8.1); IPv4 may do without.
    if (load_be16(&payload[kUdpChecksumOffset]) == 0) return source.is_v4();
    // UDP's own length counts, which may be less than what IP carried.
    payload = take(payload, load_be16(&payload[4]));
  }
  const std::uint64_t pseudo =
      pseudo_header_sum(source, destination, protocol, static_cast<std::uint32_t>(payload.size()));
  return checksum_finish(checksum_add(pseudo, payload)) == 0;
}

}  // namespace sf::wire
