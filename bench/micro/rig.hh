// A whole shard between a link and a host that cost nothing.
#pragma once

#include <vector>

#include "engine/shard.hh"
#include "link/to_guest.hh"
#include "null_sides.hh"

namespace sf::bench {

inline constexpr MacAddress kGateway{{0x52, 0x55, 10, 0, 2, 2}}, kGuest{{0x02, 0, 0, 0, 0, 1}};

inline link::Network network() {
  link::Network made;
  made.gateway_mac = kGateway;
  made.prefix4 = *Prefix::parse("10.0.2.0/24");
  made.gateway4 = *Address::parse("10.0.2.2");
  made.dns4 = *Address::parse("10.0.2.3");
  made.guest4 = *Address::parse("10.0.2.100");
  return made;
}

// A shard with an IPv4 guest, driven frame by frame.
class Rig {
 public:
  static constexpr std::uint32_t kFirst = 1000;            // the guest's initial sequence number
  static constexpr std::size_t kSequenceAt = 14 + 20 + 4;  // in a frame; the checksum is vouched for

  Rig()
      : log_(LogLevel::error, [](LogLevel, std::string_view) {}),
        shard_({network(), SipKey{1, 2}}, link_, host_, log_),
        builder_(built_, kGuest, 65535) {
    ip_.source = *Address::parse("10.0.2.100");
    ip_.destination = *Address::parse("198.51.100.7");
  }

  // One turn of the loop with this frame, which the guest's kernel vouches for.
  void turn(const std::vector<std::uint8_t>& frame) {
    wire::Offload offload;
    offload.checksum_valid = true;
    link_.offer(frame, offload);
    now_ += 10us;
    shard_.on_link_readable(now_);
    deadline_ = shard_.end_turn(now_);
  }
  void connected() {
    shard_.on_socket_event(host_.token(), host::Readiness{.writable = true}, now_);
    deadline_ = shard_.end_turn(now_);
  }
  std::vector<std::uint8_t> udp_frame(std::size_t size) {
    ip_.protocol = static_cast<std::uint8_t>(wire::IpProtocol::udp);
    const std::vector<std::uint8_t> payload(size, 1);
    static_cast<void>(builder_.send_udp(kGateway, ip_, 5000, 6000, payload));
    return built_.last();
  }
  std::vector<std::uint8_t> tcp_frame(const wire::TcpSegment& header, Bytes payload) {
    ip_.protocol = static_cast<std::uint8_t>(wire::IpProtocol::tcp);
    const std::span<const Bytes> parts(&payload, payload.empty() ? 0 : 1);
    static_cast<void>(builder_.send_tcp(kGateway, ip_, header, parts, 0));
    return built_.last();
  }
  // Of a segment to port 80 outside; without an acknowledgment it is a SYN.
  static wire::TcpSegment header(std::uint16_t port, std::uint32_t sequence, std::uint32_t acknowledgment) {
    wire::TcpSegment made;
    made.source_port = port;
    made.destination_port = 80;
    made.sequence = sequence;
    made.acknowledgment = acknowledgment;
    made.flags.ack = acknowledgment != 0;
    made.flags.syn = acknowledgment == 0;
    made.window = 0xffff;
    if (made.flags.syn) made.options.mss = std::uint16_t{1460};
    return made;
  }

  // Opens a connection; our first sequence number after the SYN-ACK, or 0 where none came.
  [[nodiscard]] std::uint32_t open(std::uint16_t port) {
    turn(tcp_frame(header(port, kFirst, 0), {}));
    connected();
    if (link_.last().size() < kSequenceAt + 4) return 0;
    const std::uint32_t ours = load_be32(link_.last().data() + kSequenceAt) + 1;
    turn(tcp_frame(header(port, kFirst + 1, ours), {}));
    return ours;
  }
  [[nodiscard]] std::size_t flows() const { return shard_.flow_count(); }
  [[nodiscard]] const NullHost& host() const { return host_; }
  [[nodiscard]] const NullLink& link() const { return link_; }

 private:
  NullHost host_;
  NullLink link_, built_;
  Log log_;
  engine::Shard shard_;
  link::ToGuest builder_;
  wire::IpHeader ip_;
  Time now_{1s};
  Time deadline_ = kNever;
};

}  // namespace sf::bench
