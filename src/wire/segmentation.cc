#include "wire/segmentation.hh"

#include <array>
#include <optional>

#include "wire/checksum.hh"
#include "wire/ethernet.hh"
#include "wire/ip.hh"
#include "wire/ipv4.hh"
#include "wire/ipv6.hh"
#include "wire/tcp.hh"
#include "wire/udp.hh"

namespace sf::wire {
namespace {

constexpr std::size_t kIpOffset = kEthernetHeaderSize;

// Reads the pieces of a frame one after another, as one stream.
class Gather {
 public:
  explicit Gather(std::span<const Bytes> parts) : parts_(parts) {
    for (const Bytes part : parts) left_ += part.size();
  }

  [[nodiscard]] std::size_t left() const { return left_; }

  // Copies the next `out.size()` bytes. There must be as many.
  void copy(MutBytes out) {
    left_ -= out.size();
    while (!out.empty()) {
      const Bytes piece = take(drop(parts_[part_], at_), out.size());
      std::copy(piece.begin(), piece.end(), out.begin());
      out = out.subspan(piece.size());
      at_ += piece.size();
      if (at_ == parts_[part_].size()) {
        ++part_;
        at_ = 0;
      }
    }
  }

 private:
  std::span<const Bytes> parts_;
  std::size_t part_ = 0;
  std::size_t at_ = 0;
  std::size_t left_ = 0;
};

// Where things are in a super-frame.
struct Layout {
  bool v4 = false;
  bool tcp = false;
  std::size_t transport = 0;  // offset of the TCP or UDP header
  std::size_t headers = 0;    // bytes before the payload
  Address source;
  Address destination;

  [[nodiscard]] std::size_t checksum_at() const {
    return transport + (tcp ? kTcpChecksumOffset : kUdpChecksumOffset);
  }
  // Where the bytes begin that IP's length field counts.
  [[nodiscard]] std::size_t length_from() const { return kIpOffset + (v4 ? 0 : kIpv6HeaderSize); }
  [[nodiscard]] std::uint8_t protocol() const {
    return static_cast<std::uint8_t>(tcp ? IpProtocol::tcp : IpProtocol::udp);
  }
};

// `head` is the start of the frame. Length fields may say anything: they are written anew.
std::optional<Layout> find_layout(Bytes head, const Offload& offload) {
  const auto ethernet = EthernetHeader::parse(head);
  if (!ethernet) return std::nullopt;
  Layout layout;
  layout.v4 = ethernet->type == static_cast<std::uint16_t>(EtherType::ipv4);
  if (!layout.v4 && ethernet->type != static_cast<std::uint16_t>(EtherType::ipv6)) return std::nullopt;
  layout.tcp = offload.gso != GsoType::udp;
  if (layout.tcp && layout.v4 != (offload.gso == GsoType::tcp4)) return std::nullopt;
  const auto packet = parse_quoted_ip(drop(head, kIpOffset));
  if (!packet || packet->source.is_v4() != layout.v4 || packet->protocol != layout.protocol() ||
      packet->fragment) {
    return std::nullopt;
  }
  layout.source = packet->source;
  layout.destination = packet->destination;
  layout.transport = static_cast<std::size_t>(packet->payload.data() - head.data());
  if (offload.checksum_needed && offload.checksum_start != layout.transport) return std::nullopt;
  if (packet->payload.size() < (layout.tcp ? kTcpHeaderSize : kUdpHeaderSize)) return std::nullopt;
  std::size_t header = kUdpHeaderSize;
  if (layout.tcp) {
    header = std::size_t{static_cast<std::uint8_t>(packet->payload[12] >> 4)} * 4;
    if (header < kTcpHeaderSize) return std::nullopt;
  }
  layout.headers = layout.transport + header;
  if (layout.headers > head.size()) return std::nullopt;
  return layout;
}

void store_length(std::uint8_t* at, std::size_t length) {
  store_be16(at, static_cast<std::uint16_t>(length));
}

void finish_ip(const Layout& layout, MutBytes frame, std::size_t index) {
  const MutBytes ip = frame.subspan(kIpOffset);
  if (!layout.v4) return store_length(&ip[4], ip.size() - kIpv6HeaderSize);
  store_length(&ip[2], ip.size());
  store_be16(&ip[4], static_cast<std::uint16_t>(load_be16(&ip[4]) + index));
  store_be16(&ip[10], 0);
  store_be16(&ip[10], checksum_finish(checksum_add(0, ip.first(layout.transport - kIpOffset))));
}

void finish_transport(const Layout& layout, MutBytes frame, std::size_t offset, bool last) {
  const MutBytes transport = frame.subspan(layout.transport);
  if (layout.tcp) {
    constexpr unsigned kFin = 0x01;
    constexpr unsigned kPsh = 0x08;
    constexpr unsigned kCwr = 0x80;
    store_be32(&transport[4], load_be32(&transport[4]) + static_cast<std::uint32_t>(offset));
    const unsigned cleared = (offset > 0 ? kCwr : 0U) | (last ? 0U : kFin | kPsh);
    transport[13] = static_cast<std::uint8_t>(transport[13] & ~cleared);
  } else {
    store_length(&transport[4], transport.size());
  }
  std::uint8_t* field = &frame[layout.checksum_at()];
  store_be16(field, 0);
  const std::uint64_t pseudo = pseudo_header_sum(layout.source, layout.destination, layout.protocol(),
                                                 static_cast<std::uint32_t>(transport.size()));
  const std::uint16_t checksum = checksum_finish(checksum_add(pseudo, transport));
  store_be16(field, layout.tcp ? checksum : udp_checksum_field(checksum));
}

bool emit_whole(std::span<const Bytes> parts, const Offload& offload, MutBytes scratch,
                FunctionRef<bool(Bytes)> emit) {
  if (parts.size() == 1 && !offload.checksum_needed) return emit(parts[0]);
  Gather in(parts);
  if (in.left() > scratch.size()) return false;
  const MutBytes frame = scratch.first(in.left());
  in.copy(frame);
  if (offload.checksum_needed) {
    const std::size_t field = std::size_t{offload.checksum_start} + offload.checksum_offset;
    if (field + 2 > frame.size()) return false;
    const std::uint16_t sum = checksum_finish(checksum_add(0, frame.subspan(offload.checksum_start)));
    // Only UDP's checksum is that near to the start of its header, and only its zero has a meaning of its
    // own.
    store_be16(&frame[field], offload.checksum_offset == kUdpChecksumOffset ? udp_checksum_field(sum) : sum);
  }
  return emit(frame);
}

}  // namespace

bool segment_frame(std::span<const Bytes> parts, const Offload& offload, MutBytes scratch,
                   FunctionRef<bool(Bytes frame)> emit) {
  if (offload.gso == GsoType::none) return emit_whole(parts, offload, scratch, emit);
  std::array<std::uint8_t, kMaxSegmentHeaders> head;
  Gather headers(parts);
  const MutBytes start = MutBytes{head}.first(std::min(head.size(), headers.left()));
  headers.copy(start);
  const auto layout = find_layout(start, offload);
  if (!layout || offload.gso_size == 0) return false;

  Gather in(parts);
  in.copy(start.first(layout->headers));
  const std::size_t total = in.left();
  const std::size_t largest = std::min(total, std::size_t{offload.gso_size});
  if (layout->headers + largest > scratch.size()) return false;
  if (layout->headers - layout->length_from() + largest > 0xffff) return false;
  std::size_t index = 0;
  std::size_t offset = 0;
  do {
    const std::size_t length = std::min(total - offset, largest);
    const MutBytes frame = scratch.first(layout->headers + length);
    std::copy_n(start.begin(), layout->headers, frame.begin());
    in.copy(frame.subspan(layout->headers));
    finish_ip(*layout, frame, index++);
    finish_transport(*layout, frame, offset, offset + length == total);
    if (!emit(frame)) return false;
    offset += length;
  } while (offset < total);
  return true;
}

}  // namespace sf::wire
