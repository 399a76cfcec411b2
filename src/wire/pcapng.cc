#include "wire/pcapng.hh"

#include <algorithm>
#include <array>
#include <cstring>

#include "wire/checksum.hh"
#include "wire/tcp.hh"
#include "wire/udp.hh"

namespace sf::wire::pcapng {
namespace {

constexpr std::uint32_t kInterface = 1;
enum OptionCode : std::uint16_t {
  kEndOfOptions = 0,
  kIfName = 2,
  kEpbFlags = 2,
  kShbApplication = 4,
  kIsbSeen = 4,
  kIsbAccepted = 6,
  kIfTimeResolution = 9,
};

std::size_t padded(std::size_t size) {
  return (size + 3) & ~std::size_t{3};
}

// One block. The total length stands at both ends and is known last.
class Block {
 public:
  Block(Out& out, std::uint32_t type) : out_(out), start_(out.size()) {
    put(type);
    put(std::uint32_t{0});
  }

  template <typename T>
  void put(T value) {
    put_bytes(bytes_of(value));
  }
  void put_bytes(Bytes bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
  // The upper half first.
  void put_time(std::chrono::nanoseconds since_1970) {
    const auto time = static_cast<std::uint64_t>(since_1970.count());
    put(static_cast<std::uint32_t>(time >> 32));
    put(static_cast<std::uint32_t>(time));
  }
  void pad() { out_.resize(start_ + padded(out_.size() - start_)); }
  void put_option(std::uint16_t code, Bytes value) {
    put(code);
    put(static_cast<std::uint16_t>(value.size()));
    put_bytes(value);
    pad();
  }
  void put_option(std::uint16_t code, std::string_view text) {
    put_option(code, Bytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
  }
  template <typename T>
  void put_number(std::uint16_t code, T value) {
    put_option(code, bytes_of(value));
  }
  void finish() {
    put_option(kEndOfOptions, Bytes{});
    const auto length = static_cast<std::uint32_t>(out_.size() - start_ + sizeof(std::uint32_t));
    put(length);
    std::memcpy(out_.data() + start_ + sizeof(std::uint32_t), &length, sizeof(length));
  }

 private:
  template <typename T>
  static std::array<std::uint8_t, sizeof(T)> bytes_of(T value) {
    std::array<std::uint8_t, sizeof(T)> bytes;
    std::memcpy(bytes.data(), &value, sizeof(T));
    return bytes;
  }

  Out& out_;
  std::size_t start_;
};

// What a checksum-offloading device would put in. The field is part of the sum, as the pseudo-header's share.
void complete_checksum(MutBytes frame, const Offload& offload) {
  const std::size_t field = std::size_t{offload.checksum_start} + offload.checksum_offset;
  if (!offload.checksum_needed || field + 2 > frame.size()) return;
  std::uint16_t sum = checksum_finish(checksum_add(0, drop(frame, offload.checksum_start)));
  if (offload.checksum_offset == kUdpChecksumOffset) sum = udp_checksum_field(sum);
  store_be16(&frame[field], sum);
}

}  // namespace

void append_head(Out& out, std::string_view interface_name, std::uint32_t snap_length) {
  constexpr std::uint32_t kByteOrderMagic = 0x1a2b3c4d;
  constexpr std::uint16_t kLinkTypeEthernet = 1;
  constexpr std::uint8_t kNanoseconds = 9;  // 10^-9
  Block section(out, kSectionHeader);
  section.put(kByteOrderMagic);
  section.put(std::uint16_t{1});  // version 1.0
  section.put(std::uint16_t{0});
  section.put(std::uint64_t{0xffffffffffffffff});  // section length: not known
  section.put_option(kShbApplication, "slirp-forwarder");
  section.finish();
  Block interface(out, kInterface);
  interface.put(kLinkTypeEthernet);
  interface.put(std::uint16_t{0});
  interface.put(snap_length);
  interface.put_option(kIfName, interface_name);
  interface.put_number(kIfTimeResolution, kNanoseconds);
  interface.finish();
}

void append_packet(Out& out, const Packet& packet) {
  constexpr std::uint32_t kInbound = 1, kOutbound = 2;
  std::size_t size = 0;
  for (const Bytes part : packet.parts) size += part.size();
  const std::size_t kept = std::min<std::size_t>(size, packet.snap_length);
  Block block(out, kEnhancedPacket);
  block.put(std::uint32_t{0});  // the only interface
  block.put_time(packet.time);
  block.put(static_cast<std::uint32_t>(kept));
  block.put(static_cast<std::uint32_t>(size));
  const std::size_t start = out.size();
  for (const Bytes part : packet.parts) block.put_bytes(take(part, start + kept - out.size()));
  // Of a frame that is cut off nobody checks it.
  if (kept == size) complete_checksum(MutBytes(out).subspan(start, size), packet.offload);
  block.pad();
  block.put_number(kEpbFlags, packet.outbound ? kOutbound : kInbound);
  if (packet.lost != 0) block.put_number(kEpbDropCount, packet.lost);
  block.finish();
}

void append_statistics(Out& out, std::chrono::nanoseconds time, const Statistics& statistics) {
  Block block(out, kInterfaceStatistics);
  block.put(std::uint32_t{0});
  block.put_time(time);
  block.put_number(kIsbSeen, statistics.seen);
  block.put_number(kIsbDropped, statistics.lost);
  block.put_number(kIsbAccepted, statistics.accepted);
  block.finish();
}

}  // namespace sf::wire::pcapng
