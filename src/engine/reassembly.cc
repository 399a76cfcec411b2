#include "engine/reassembly.hh"

#include <algorithm>
#include <bit>
#include <new>

#include "wire/ipv6.hh"
#include "wire/tcp.hh"

namespace sf::engine {
namespace {

using wire::DropReason;
using wire::IpProtocol;

constexpr std::size_t kUnit = 8;
constexpr std::size_t kMaxDatagram = 65535;
// Before the payload, for the header of what is returned: IPv6 with a Fragment header.
constexpr std::size_t kHeaderRoom = 48;
constexpr std::uint8_t kEcnMask = 3;  // RFC 3168 section 5: both bits set is "congestion experienced"

// An IPv4 datagram's length field counts its header too.
std::size_t max_payload(const Address& source) {
  return source.is_v4() ? kMaxDatagram - wire::ip_header_size(source) : kMaxDatagram;
}

// The first fragment must hold all headers up to the transport's (RFC 7112 section 5 for IPv6; in IPv4
// smaller ones are made to get around filters, RFC 1858 section 3).
bool first_is_plausible(const wire::IpPacket& fragment) {
  std::uint8_t protocol = fragment.protocol;
  std::size_t size = fragment.payload.size();
  if (fragment.source.is_v6()) {
    const auto upper = wire::walk_ipv6_extensions(protocol, fragment.payload, false);
    if (!upper || upper->fragment) return false;
    protocol = upper->protocol;
    size = upper->payload.size();
  }
  return size >= (protocol == static_cast<std::uint8_t>(IpProtocol::tcp) ? wire::kTcpHeaderSize : kUnit);
}

bool is_plausible(const wire::IpPacket& fragment) {
  const std::size_t length = fragment.payload.size();
  const std::size_t offset = fragment.fragment->offset;
  if (length == 0 || offset % kUnit != 0) return false;
  if (fragment.fragment->more && length % kUnit != 0) return false;
  if (offset + length > max_payload(fragment.source)) return false;
  return offset != 0 || first_is_plausible(fragment);
}

}  // namespace

struct Reassembly::Buffer {
  static constexpr std::size_t kUnits = (kMaxDatagram + kUnit - 1) / kUnit;

  // Calls `visit(word, mask)` for each word of the bitmap that has units of [begin, end) bytes.
  template <typename Visit>
  void for_units(std::size_t begin, std::size_t end, Visit visit) {
    std::size_t unit = begin / kUnit;
    const std::size_t past = (end + kUnit - 1) / kUnit;
    while (unit < past) {
      const std::size_t bit = unit % 64;
      const std::size_t count = std::min<std::size_t>(64 - bit, past - unit);
      const std::uint64_t ones = count == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
      visit(received[unit / 64], ones << bit);
      unit += count;
    }
  }
  [[nodiscard]] std::uint32_t count_units(std::size_t begin, std::size_t end) {
    int count = 0;
    for_units(begin, end,
              [&](std::uint64_t word, std::uint64_t mask) { count += std::popcount(word & mask); });
    return static_cast<std::uint32_t>(count);
  }
  void mark_units(std::size_t begin, std::size_t end) {
    for_units(begin, end, [](std::uint64_t& word, std::uint64_t mask) { word |= mask; });
  }
  [[nodiscard]] std::uint8_t* payload() { return bytes.data() + kHeaderRoom; }

  std::array<std::uint64_t, (kUnits + 63) / 64> received;
  std::array<std::uint8_t, kHeaderRoom + kUnits * kUnit> bytes;
};

void Reassembly::BufferDeleter::operator()(Buffer* buffer) const {
  delete buffer;
}

Reassembly::Outcome Reassembly::add(const wire::IpPacket& fragment, const MacAddress& from, Time now) {
  Outcome outcome;
  if (!is_plausible(fragment)) {
    outcome.drop = DropReason::bad_fragment;
    return outcome;
  }
  Slot* slot = slot_for(key_of(fragment), now, outcome);
  if (slot == nullptr) return outcome;
  if (slot->state == State::discarded) {
    outcome.drop = DropReason::bad_fragment;
    return outcome;
  }
  slot->from = from;
  if (!insert(*slot, fragment)) {
    discard(*slot);
    outcome.drop = DropReason::bad_fragment;
    return outcome;
  }
  if (slot->total != 0 && std::size_t{slot->units} * kUnit >= slot->total) complete(*slot, outcome, now);
  return outcome;
}

Reassembly::Key Reassembly::key_of(const wire::IpPacket& fragment) {
  return {fragment.source, fragment.destination, fragment.fragment->id,
          fragment.source.is_v4() ? fragment.protocol : std::uint8_t{0}};
}

Reassembly::Slot* Reassembly::slot_for(const Key& key, Time now, Outcome& outcome) {
  for (Slot& slot : slots_) {
    // One that is overdue waits for expire(): it must not take in a later datagram of the same
    // identification.
    if (slot.state != State::free && slot.key == key && now - slot.started < kTimeout) return &slot;
  }
  Slot& slot = oldest();
  if (slot.state == State::collecting) outcome.drop = DropReason::fragment_limit;
  // In a flood of fragments each takes another's place: with the memory that is there, whose pages are, too.
  BufferPtr buffer = slot.buffer ? std::move(slot.buffer) : take_buffer();
  release(slot);
  slot.buffer = std::move(buffer);
  if (!slot.buffer) {
    outcome.drop = DropReason::out_of_memory;
    return nullptr;
  }
  slot.buffer->received.fill(0);
  slot.state = State::collecting;
  slot.key = key;
  slot.started = now;
  return &slot;
}

// A free slot, else the oldest discarded one, else the oldest of all.
Reassembly::Slot& Reassembly::oldest() {
  const auto rank = [](const Slot& slot) {
    return slot.state == State::free ? 0 : slot.state == State::discarded ? 1 : 2;
  };
  return *std::min_element(slots_.begin(), slots_.end(), [&](const Slot& a, const Slot& b) {
    return rank(a) != rank(b) ? rank(a) < rank(b) : a.started < b.started;
  });
}

Reassembly::BufferPtr Reassembly::take_buffer() {
  BufferPtr buffer = std::move(spare_);
  // Not initialized: a page that no fragment touches takes no memory.
  if (!buffer) buffer.reset(new (std::nothrow) Buffer);
  return buffer;
}

bool Reassembly::insert(Slot& slot, const wire::IpPacket& fragment) {
  const std::uint32_t offset = fragment.fragment->offset;
  const bool more = fragment.fragment->more;
  const Bytes data = fragment.payload;
  const auto end = static_cast<std::uint32_t>(offset + data.size());
  const auto units = static_cast<std::uint32_t>((data.size() + kUnit - 1) / kUnit);
  if (const std::uint32_t present = slot.buffer->count_units(offset, end); present != 0) {
    const bool same_end = more ? slot.total == 0 || end < slot.total : slot.total == end;
    return present == units && same_end &&
           std::equal(data.begin(), data.end(), slot.buffer->payload() + offset);
  }
  if (more ? slot.total != 0 && end >= slot.total : slot.total != 0 || slot.highest_end > end) return false;
  if (!more) slot.total = end;
  std::copy(data.begin(), data.end(), slot.buffer->payload() + offset);
  slot.buffer->mark_units(offset, end);
  slot.units += units;
  slot.highest_end = std::max(slot.highest_end, end);
  if ((fragment.traffic_class & kEcnMask) == kEcnMask) slot.congestion_experienced = true;
  if (offset == 0) {
    slot.has_first = true;
    slot.first_length = end;
    slot.protocol = fragment.protocol;
    slot.ttl = fragment.ttl;
    slot.traffic_class = fragment.traffic_class;
  }
  return true;
}

void Reassembly::complete(Slot& slot, Outcome& outcome, Time now) {
  wire::IpPacket packet = view(slot, false);
  keep_buffer(slot, now);
  if (packet.source.is_v6()) {
    const auto upper = wire::walk_ipv6_extensions(packet.protocol, packet.payload, false);
    if (!upper || upper->fragment) {
      outcome.drop = upper ? DropReason::bad_fragment : upper.error();
      return;
    }
    packet.protocol = upper->protocol;
    packet.payload = upper->payload;
  }
  outcome.packet = packet;
}

wire::IpPacket Reassembly::view(Slot& slot, bool first_fragment) {
  const std::size_t length = first_fragment ? slot.first_length : slot.total;
  wire::IpHeader header;
  header.source = slot.key.source;
  header.destination = slot.key.destination;
  header.protocol = slot.protocol;
  header.ttl = slot.ttl;
  header.traffic_class = static_cast<std::uint8_t>(
      slot.traffic_class | (slot.congestion_experienced && !first_fragment ? kEcnMask : std::uint8_t{0}));
  header.dont_fragment = false;
  header.id = static_cast<std::uint16_t>(slot.key.id);
  if (first_fragment) header.fragment = wire::Fragment{slot.key.id, 0, true};
  MutBytes whole = MutBytes{slot.buffer->bytes}.subspan(kHeaderRoom - header.size(), header.size() + length);
  Writer out(whole);
  header.emit(out, length);
  wire::IpPacket packet;
  packet.source = header.source;
  packet.destination = header.destination;
  packet.protocol = header.protocol;
  packet.ttl = header.ttl;
  packet.traffic_class = header.traffic_class;
  packet.fragment = header.fragment;
  packet.reassembled = !first_fragment;
  packet.whole = whole;
  packet.payload = Bytes{whole}.subspan(header.size());
  return packet;
}

std::optional<Reassembly::Expired> Reassembly::expire(Time now) {
  for (Slot& slot : slots_) {
    if (slot.state == State::free || now - slot.started < kTimeout) continue;
    if (slot.state == State::collecting && slot.has_first) {
      const Expired expired{slot.from, view(slot, true)};
      keep_buffer(slot, now);
      return expired;
    }
    release(slot);
  }
  if (spare_ && now - spare_since_ >= kTimeout) spare_.reset();
  return std::nullopt;
}

Time Reassembly::deadline() const {
  Time earliest = spare_ ? spare_since_ + kTimeout : kNever;
  for (const Slot& slot : slots_) {
    if (slot.state != State::free) earliest = std::min(earliest, slot.started + kTimeout);
  }
  return earliest;
}

std::size_t Reassembly::collecting() const {
  return static_cast<std::size_t>(std::count_if(
      slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.state == State::collecting; }));
}

std::size_t Reassembly::memory() const {
  const auto held =
      std::count_if(slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.buffer != nullptr; });
  return (static_cast<std::size_t>(held) + (spare_ ? 1 : 0)) * sizeof(Buffer);
}

void Reassembly::keep_buffer(Slot& slot, Time now) {
  spare_ = std::move(slot.buffer);
  spare_since_ = now;
  release(slot);
}

void Reassembly::release(Slot& slot) {
  slot = Slot{};
}

// The slot stays, so that what is still to come of the datagram is discarded too; its memory does not.
void Reassembly::discard(Slot& slot) {
  slot.buffer.reset();
  slot.state = State::discarded;
}

}  // namespace sf::engine
