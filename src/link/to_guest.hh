// Builds and sends packets to the guest: the one place where an Ethernet and an IP header of either version
// are put before a transport header, where offloads are asked for, and where a datagram above the MTU is
// fragmented.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "base/address.hh"
#include "link/link.hh"
#include "wire/ethernet.hh"
#include "wire/icmp.hh"
#include "wire/ip.hh"
#include "wire/tcp.hh"

namespace sf::link {

// What has gone to the guest, and what the device did not take.
struct ToGuestCounters {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  std::uint64_t dropped = 0;
};

class ToGuest {
 public:
  // `gateway_mac6` is the source of IPv6, where that is another one.
  ToGuest(Link& link, const MacAddress& gateway_mac, std::uint32_t mtu,
          std::optional<MacAddress> gateway_mac6 = std::nullopt)
      : link_(link),
        features_(link.features()),
        gateway_mac_(gateway_mac),
        gateway_mac6_(gateway_mac6.value_or(gateway_mac)),
        mtu_(mtu) {}

  // One TCP segment; or, where the payload is larger than gso_size, a super-frame of `gso_size`-byte
  // segments, and as many as it takes of what the link has. Ports, sequence and so on are `header`'s; its
  // payload view is not looked at. At most Link::kMaxParts - 1 payload pieces.
  [[nodiscard]] Status send_tcp(const MacAddress& to, const wire::IpHeader& ip,
                                const wire::TcpSegment& header, std::span<const Bytes> payload,
                                std::uint16_t gso_size);

  // One UDP datagram, fragmented where it is above the MTU; or, where segment_size is not 0 and the payload
  // is larger than it, as many datagrams of segment_size bytes (the last may be shorter), in one super-frame
  // where the link has UDP GSO.
  [[nodiscard]] Status send_udp(const MacAddress& to, const wire::IpHeader& ip, std::uint16_t source_port,
                                std::uint16_t destination_port, Bytes payload,
                                std::uint16_t segment_size = 0);

  // Any upper-layer packet, ready but for its IP header (ICMP with its checksum); fragmented where it is
  // above the MTU.
  [[nodiscard]] Status send_ip(const MacAddress& to, const wire::IpHeader& ip, Bytes packet);

  // An ICMP error about `quoted` (the offending packet from its IP header on), from `from` to the packet's
  // source. Nothing is sent about ICMP errors, fragments other than the first, and multicast (RFC 1122
  // section 3.2.2.1); the caller limits how many there are. `mtu` is for IcmpError::packet_too_big.
  Status send_icmp_error(const MacAddress& to, const Address& from, const wire::IpPacket& quoted,
                         wire::IcmpError error, std::uint32_t mtu = 0);

  // A whole frame but for its Ethernet header (ARP).
  [[nodiscard]] Status send_frame(const MacAddress& to, wire::EtherType type, Bytes body);

  // Numbers packets `index`, `index` + `of` (or the next power of two) and so on, from now on: fragments of
  // several shards' packets must not be taken for one another's.
  void number_from(std::uint32_t index, std::uint32_t of) {
    id_step_ = std::bit_ceil(of);
    next_id_ = index + id_step_;
  }

  [[nodiscard]] std::uint32_t mtu() const { return mtu_; }
  // Segmentation is left to the device, both ways.
  [[nodiscard]] bool takes_super_frames(bool v4) const { return features_.tcp_gso(v4); }
  // The largest IP packet that a TCP super-frame makes.
  [[nodiscard]] std::uint32_t max_tcp_packet() const {
    return features_.big_tcp ? kMaxBigTcpPacket : kMaxIpPacket;
  }

  // What the length fields of IP can say.
  static constexpr std::uint32_t kMaxIpPacket = 65535;
  [[nodiscard]] const ToGuestCounters& counters() const { return counters_; }

 private:
  // A transport header, where its checksum stands in it, and what follows it.
  struct Transport;

  Status send_segments(const MacAddress& to, const wire::IpHeader& ip, const wire::TcpSegment& header,
                       std::span<const Bytes> payload, std::uint16_t gso_size);
  Status send_transport(const MacAddress& to, const wire::IpHeader& ip, const Transport& transport,
                        std::span<const Bytes> payload, wire::GsoType gso, std::uint16_t gso_size);
  Status send_datagram(const MacAddress& to, const wire::IpHeader& ip, std::uint16_t source_port,
                       std::uint16_t destination_port, Bytes payload, std::uint16_t gso_size);
  Status send_fragments(const MacAddress& to, const wire::IpHeader& ip, std::span<const Bytes> parts);
  Status send_parts(std::span<const Bytes> parts, const wire::Offload& offload);
  Status count_dropped();
  void emit_ethernet(Writer& out, const MacAddress& to, wire::EtherType type) const;
  // `ip` with an identification of its own where it needs one.
  [[nodiscard]] wire::IpHeader identified(const wire::IpHeader& ip);

  Link& link_;
  Features features_;
  MacAddress gateway_mac_;
  MacAddress gateway_mac6_;
  std::uint32_t mtu_;
  [[nodiscard]] std::uint32_t take_id() { return std::exchange(next_id_, next_id_ + id_step_); }

  std::uint32_t next_id_ = 1;  // IPv4 and fragment identification
  std::uint32_t id_step_ = 1;
  ToGuestCounters counters_;
};

}  // namespace sf::link
