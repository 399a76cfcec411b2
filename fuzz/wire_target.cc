// Every format of src/wire: whatever parses is written and parsed again, and is the same. The first byte says
// which format the rest is.
#include <array>
#include <span>

#include "base/address.hh"
#include "input.hh"
#include "wire/arp.hh"
#include "wire/checksum.hh"
#include "wire/dhcp.hh"
#include "wire/dhcpv6.hh"
#include "wire/dns.hh"
#include "wire/ethernet.hh"
#include "wire/icmp.hh"
#include "wire/ip.hh"
#include "wire/ipv6.hh"
#include "wire/ndp.hh"
#include "wire/quote.hh"
#include "wire/segmentation.hh"
#include "wire/tcp.hh"
#include "wire/udp.hh"

namespace sf::fuzz {
namespace {

using namespace wire;

constexpr Address kHere = Address::v6({0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
// Names may be compressed in what was read, and never are in what is written.
constexpr std::size_t kRoom = std::size_t{4} << 20;

// What `write` puts into a buffer; it must fit.
template <typename Write>
std::vector<std::uint8_t> written(Write write, std::size_t room = kRoom) {
  std::vector<std::uint8_t> buffer(room);
  Writer out(buffer);
  write(out);
  require(out.ok(), "what was parsed cannot be written");
  buffer.resize(out.offset());
  buffer.shrink_to_fit();
  return buffer;
}

// For formats with a static parse() and an emit(Writer&, args...).
template <typename Format, typename... Args>
void round_trip(Bytes bytes, const Args&... args) {
  const auto first = Format::parse(bytes);
  if (!first) return;
  const auto again = written([&](Writer& out) { first->emit(out, args...); }, bytes.size() * 300 + 4096);
  const auto second = Format::parse(again);
  require(second.has_value(), "what was written does not parse");
  require(*first == *second, "written and parsed again it is another");
}

bool same(Bytes a, Bytes b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

bool same_fragment(const std::optional<Fragment>& a, const std::optional<Fragment>& b) {
  if (!a || !b) return a.has_value() == b.has_value();
  return a->id == b->id && a->offset == b->offset && a->more == b->more;
}

bool within(Bytes part, Bytes whole) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void ethernet(Bytes bytes) {
  const auto header = EthernetHeader::parse(bytes);
  if (!header) return;
  const auto again = written([&](Writer& out) { header->emit(out); }, 64);
  require(same(again, take(bytes, kEthernetHeaderSize)), "Ethernet header");
}

void ip(Bytes bytes, bool quoted) {
  const auto packet = quoted ? parse_quoted_ip(bytes) : parse_ip(bytes);
  if (!packet) return;
  require(within(packet->payload, bytes) && within(packet->whole, bytes), "a view beyond the packet");
  if (packet->source.is_v4() != packet->destination.is_v4()) return;  // IPv4-mapped: for the engine to refuse
  if (quoted || packet->payload.size() > 60000) return;
  if (packet->source.is_v4() != ((bytes[0] >> 4) == 4)) return;
  const IpHeader header{.source = packet->source,
                        .destination = packet->destination,
                        .protocol = packet->protocol,
                        .ttl = packet->ttl,
                        .traffic_class = packet->traffic_class,
                        .dont_fragment = packet->dont_fragment,
                        .fragment = packet->fragment};
  const auto again = written(
      [&](Writer& out) {
        header.emit(out, packet->payload.size());
        require(!out.ok() || out.offset() == header.size(), "size() of an IP header");
        out.bytes(packet->payload);
      },
      packet->payload.size() + 100);
  const auto second = parse_ip(again);
  require(second.has_value(), "a written IP packet does not parse");
  require(second->source == packet->source && second->destination == packet->destination &&
              second->protocol == packet->protocol && second->ttl == packet->ttl &&
              second->traffic_class == packet->traffic_class &&
              (packet->fragment || second->dont_fragment == packet->dont_fragment) &&
              same_fragment(second->fragment, packet->fragment) && same(second->payload, packet->payload),
          "an IP packet written and parsed again");
}

void tcp(Bytes bytes) {
  const auto segment = TcpSegment::parse(bytes);
  if (!segment) return;
  require(within(segment->payload, bytes), "a payload beyond the segment");
  const auto again = written(
      [&](Writer& out) {
        segment->emit(out, 0);
        out.bytes(segment->payload);
      },
      bytes.size() + 100);
  const auto second = TcpSegment::parse(again);
  require(second.has_value(), "a written TCP segment does not parse");
  const TcpOptions& a = segment->options;
  const TcpOptions& b = second->options;
  // With timestamps, three SACK blocks at most are written.
  require(b.sack_count <= a.sack_count &&
              std::equal(b.sack.begin(), b.sack.begin() + b.sack_count, a.sack.begin()),
          "SACK blocks");
  require(a.mss == b.mss && a.window_scale == b.window_scale && a.sack_permitted == b.sack_permitted &&
              a.timestamps == b.timestamps,
          "TCP options");
  require(segment->source_port == second->source_port &&
              segment->destination_port == second->destination_port &&
              segment->sequence == second->sequence && segment->acknowledgment == second->acknowledgment &&
              segment->flags == second->flags && segment->window == second->window &&
              same(segment->payload, second->payload),
          "a TCP segment written and parsed again");
}

void udp(Bytes bytes) {
  const auto datagram = UdpDatagram::parse(bytes);
  if (!datagram) return;
  require(within(datagram->payload, bytes), "a payload beyond the datagram");
  const auto again = written(
      [&](Writer& out) {
        datagram->emit(out, datagram->payload.size(), datagram->checksum);
        out.bytes(datagram->payload);
      },
      bytes.size() + 100);
  require(same(again, take(bytes, again.size())), "a UDP datagram written again");
  for (const Address& source : {Address::v4(10, 0, 2, 15), kHere})
    static_cast<void>(verify_transport_checksum(source, source, 17, bytes));
}

void icmp(Bytes bytes) {
  const auto message = IcmpMessage::parse(bytes);
  if (!message) return;
  const auto again = written([&](Writer& out) { message->emit(out, kHere, kHere); }, bytes.size() + 100);
  const auto second = IcmpMessage::parse(again);
  require(second && second->type == message->type && second->code == message->code &&
              second->rest == message->rest && same(second->body, message->body),
          "an ICMP message written and parsed again");
  require(verify_transport_checksum(kHere, kHere, 58, again), "the checksum of a written ICMPv6 message");
  for (const bool v4 : {false, true}) {
    const auto error = icmp_error_from(message->type, message->code, v4);
    if (!error) continue;
    const IcmpTypeCode code = icmp_type_code(*error, v4);
    require(icmp_error_from(code.type, code.code, v4) == error, "an ICMP error there and back");
  }
}

void dns_message(Bytes bytes) {
  if (const auto header = DnsHeader::parse(bytes)) {
    const auto again = written([&](Writer& out) { header->emit(out); }, 64);
    require(DnsHeader::parse(again) == header, "a DNS header written and parsed again");
  }
  std::vector<std::uint8_t> buffer(bytes.size() + 64);
  Writer error(buffer);
  emit_dns_error(error, bytes, DnsRcode::server_failure);
  if (error.ok()) require(DnsHeader::parse(error.written())->response, "a DNS error is no response");
  const auto message = DnsMessage::parse(bytes);
  if (!message) return;
  require(message->question_end <= bytes.size(), "a question beyond the message");
  DnsHeader header = message->header;
  header.answers = header.authorities = header.additionals = 0;
  const auto again = written(
      [&](Writer& out) {
        header.emit(out);
        message->question.emit(out);
      },
      1024);
  const auto second = DnsMessage::parse(again);
  require(second && second->question == message->question && second->header == header &&
              second->question.matches(message->question),
          "a DNS message written and parsed again");
  Writer cut(buffer);
  emit_dns_truncated(cut, bytes);
  const auto truncated = DnsMessage::parse(cut.written());
  require(cut.ok() && truncated && truncated->question == message->question, "a truncated DNS answer");
}

void dns_name(Bytes bytes) {
  std::size_t at = bytes.empty() ? 0 : bytes[0] % (bytes.size() + 1);
  const std::size_t start = at;
  const auto name = read_dns_name(bytes, at, 0);
  if (name) {
    require(at > start && at <= bytes.size(), "the offset after a name");
    const auto again = written([&](Writer& out) { write_dns_name(out, *name); }, 512);
    std::size_t end = 0;
    require(read_dns_name(again, end, again.size()) == name && end == again.size(), "a name there and back");
  }
  // And text to the wire.
  std::array<std::uint8_t, 300> buffer{};
  Writer out(buffer);
  write_dns_name(out, text_of(bytes));
  if (!out.ok()) return;
  std::size_t end = 0;
  require(read_dns_name(out.written(), end, out.offset()).has_value(), "a written name does not read");
}

void quote(Input in) {
  const bool v4 = in.flag();
  IpHeader header;
  header.source = v4 ? Address::v4(in.u32()) : kHere;
  header.destination = v4 ? Address::v4(in.u32()) : kHere;
  header.ttl = in.u8();
  const bool is_udp = in.flag();
  const std::uint16_t first = in.u16();
  const std::uint16_t second = in.u16();
  std::vector<std::uint8_t> payload(in.rest().begin(), in.rest().end());
  payload.resize(payload.size() + std::size_t{in.u8()} * 7);
  const Quote made = is_udp ? Quote::udp(header, first, second, payload)
                            : Quote::echo_request(header, first, second, payload);
  const IpPacket packet = made.packet();
  const auto parsed = parse_quoted_ip(packet.whole);
  if (!parsed) return require(parsed.error() == DropReason::bad_address, "a quote does not parse");
  require(parsed->source == header.source && same(parsed->payload, packet.payload), "a quote");
}

// Offload fields, how the frame lies in pieces, and the frame.
void segmentation(Input in) {
  constexpr std::size_t kScratch = 20000;
  Offload offload;
  offload.checksum_needed = in.flag();
  offload.checksum_start = in.u16();
  offload.checksum_offset = in.u16();
  offload.gso = static_cast<GsoType>(in.u8() % 4);
  offload.gso_size = in.u16();
  std::array<std::size_t, 3> cuts{in.u8(), in.u8(), in.u8()};
  const std::size_t padding = in.u16() % 8000;
  std::vector<std::uint8_t> frame(in.rest().begin(), in.rest().end());
  frame.resize(frame.size() + padding, 0x5a);
  frame.shrink_to_fit();
  std::vector<Exact> pieces;
  Bytes left = frame;
  for (const std::size_t cut : cuts) {
    pieces.emplace_back(take(left, cut));
    left = drop(left, cut);
  }
  pieces.emplace_back(left);
  std::vector<Bytes> parts;
  for (const Exact& piece : pieces) parts.push_back(piece.bytes());
  std::vector<std::uint8_t> scratch(kScratch);
  std::size_t frames = 0;
  static_cast<void>(segment_frame(parts, offload, scratch, [&](Bytes out) {
    require(out.size() <= std::max(kScratch, frame.size()) && ++frames <= frame.size() + 1,
            "too many frames");
    if (offload.gso == GsoType::none) {
      require(out.size() == frame.size(), "a frame that was not to be cut");
      return true;
    }
    const auto packet = parse_ip(drop(out, kEthernetHeaderSize));
    require(packet.has_value(), "a cut frame does not parse");
    require(verify_transport_checksum(packet->source, packet->destination, packet->protocol, packet->payload),
            "the checksum of a cut frame");
    return true;
  }));
}

void checksum(Bytes bytes) {
  const std::size_t half = bytes.size() / 4 * 2;
  const std::uint64_t parts = checksum_add(checksum_add(0, take(bytes, half)), drop(bytes, half));
  require(checksum_fold(parts) == checksum_fold(checksum_add(0, bytes)), "a checksum in two parts");
}

void dispatch(std::uint8_t format, Bytes bytes) {
  switch (format % 20) {
    case 0:
      return ethernet(bytes);
    case 1:
      return round_trip<ArpPacket>(bytes);
    case 2:
      return ip(bytes, false);
    case 3:
      return ip(bytes, true);
    case 4:
      return tcp(bytes);
    case 5:
      return udp(bytes);
    case 6:
      return icmp(bytes);
    case 7:
      return round_trip<DhcpMessage>(bytes);
    case 8:
      return round_trip<Dhcpv6Message>(bytes);
    case 9:
      return dns_message(bytes);
    case 10:
      return dns_name(bytes);
    case 11:
      return round_trip<RouterSolicitation>(bytes, kHere, kAllRouters);
    case 12:
      return round_trip<RouterAdvertisement>(bytes, kHere, kAllNodes);
    case 13:
      return round_trip<NeighborSolicitation>(bytes, kHere, kAllNodes);
    case 14:
      return round_trip<NeighborAdvertisement>(bytes, kHere, kAllNodes);
    case 15:
      return quote(Input(bytes));
    case 16:
      return segmentation(Input(bytes));
    case 17:
      return checksum(bytes);
    default:
      static_cast<void>(
          walk_ipv6_extensions(bytes.empty() ? 0 : bytes[0], drop(bytes, 1), format % 20 == 18));
  }
}

}  // namespace
}  // namespace sf::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sf;
  if (size == 0) return 0;
  const fuzz::Exact exact(Bytes{data + 1, size - 1});
  fuzz::dispatch(data[0], exact.bytes());
  return 0;
}
