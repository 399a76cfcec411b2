#include "fuzz_link.hh"

#include "input.hh"
#include "wire/arp.hh"
#include "wire/icmp.hh"

namespace sf::fuzz {

using link::Status;

Status FuzzLink::receive(MutBytes buffer, link::Frame& frame) {
  if (gone) return Status::gone;
  if (to_receive.empty()) return Status::empty;
  const sim::Frame next = std::move(to_receive.front());
  to_receive.pop_front();
  ++received;
  std::copy(next.bytes.begin(), next.bytes.end(), buffer.begin());
  frame.bytes = buffer.first(next.bytes.size());
  frame.offload = next.offload;
  return Status::ok;
}

Status FuzzLink::send(std::span<const Bytes> parts, const wire::Offload& offload) {
  if (gone) return Status::gone;
  require(!parts.empty() && parts.size() <= kMaxParts, "the number of parts");
  sim::Frame frame;
  frame.offload = offload;
  for (const Bytes part : parts) frame.bytes.insert(frame.bytes.end(), part.begin(), part.end());
  const auto ethernet = wire::EthernetHeader::parse(frame.bytes);
  require(ethernet.has_value(), "a frame shorter than an Ethernet header");
  require(network_.is_our_mac(ethernet->source), "a frame from another MAC than ours");
  require(!offload.checksum_needed || features_.checksum, "an offload that the link does not have");
  require(offload.gso == wire::GsoType::none ||
              (offload.gso == wire::GsoType::udp ? features_.udp_gso
                                                 : features_.tcp_gso(offload.gso == wire::GsoType::tcp4)),
          "a super-frame to a link that takes none");
  if (ethernet->type == static_cast<std::uint16_t>(wire::EtherType::arp)) {
    const auto arp = wire::ArpPacket::parse(drop(frame.bytes, wire::kEthernetHeaderSize));
    require(arp && arp->operation == wire::ArpPacket::kReply && network_.is_our_mac(arp->sender_mac),
            "an ARP reply");
  } else {
    check_ip(frame);
  }
  if (refuse_next == 0) return Status::ok;
  --refuse_next;
  return Status::dropped;
}

void FuzzLink::check_ip(const sim::Frame& frame) {
  // Only a super-frame may be so large, and then its lengths say nothing (BIG TCP).
  if (frame.bytes.size() > 65535 + wire::kEthernetHeaderSize) {
    require(features_.big_tcp && frame.bytes.size() <= link::kMaxBigTcpPacket + wire::kEthernetHeaderSize,
            "a frame above 64 KiB");
    return;
  }
  const char* const fault = sim::offload_fault(frame.bytes, frame.offload);
  require(fault == nullptr, fault == nullptr ? "" : fault);
  const auto parsed = sim::parse_frame(frame.bytes);
  require(parsed.has_value(), "a frame that does not parse");
  learn(*parsed);
  for (const sim::Frame& cut : sim::to_wire_frames(frame)) check_wire_frame(cut.bytes);
}

void FuzzLink::check_wire_frame(Bytes frame) const {
  require(frame.size() <= network_.mtu + wire::kEthernetHeaderSize, "a frame above the MTU");
  const auto parsed = sim::parse_frame(frame);
  require(parsed.has_value(), "a frame on the wire that does not parse");
  const wire::IpPacket& ip = parsed->ip;
  require(ip.source.is_v4() == ip.destination.is_v4(), "a packet of two IP versions");
  require(!ip.source.is_multicast() && !ip.source.is_broadcast(), "a multicast source");
  require(ip.ttl > 0, "a packet without a TTL");
  if (!ip.fragment) {
    require(wire::verify_transport_checksum(ip.source, ip.destination, ip.protocol, ip.payload),
            "a wrong checksum of a packet to the guest");
  }
}

void FuzzLink::learn(const sim::ParsedFrame& frame) {
  if (!frame.tcp) return;
  const PeerKey key{{frame.ip.destination, frame.tcp->destination_port},
                    {frame.ip.source, frame.tcp->source_port}};
  const auto [at, is_new] = peers.try_emplace(key);
  if (is_new) spoken.push_back(key);
  at->second.next = frame.tcp->sequence + frame.tcp->length();
  if (frame.tcp->flags.ack) at->second.acked = frame.tcp->acknowledgment;
}

}  // namespace sf::fuzz
