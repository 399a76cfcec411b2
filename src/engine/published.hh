// Published ports: what they are. published_ports.hh has the sockets behind them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.hh"
#include "base/time.hh"
#include "host/host.hh"
#include "wire/ip.hh"

namespace sf::engine {

enum class Transport : std::uint8_t { tcp, udp };

// One port of the host's that leads to one of the guest's.
struct PublishRule {
  Transport transport = Transport::tcp;
  std::optional<Address> host_address;   // absent: all of the host's, of both IP versions
  std::uint16_t host_port = 0;           // 0: the host chooses
  std::optional<Address> guest_address;  // absent: the guest's own, of the client's IP version
  std::uint16_t guest_port = 0;
  // Through a socket inside instead of the TAP, to the guest's own 127.0.0.1 or ::1 where no address is given
  // (host/loopback.hh). Such a rule is not PublishedPorts's.
  bool loopback = false;
  bool operator==(const PublishRule&) const = default;
};

using PublishId = std::uint32_t;  // from 1, never used again

struct PublishedPort {
  PublishId id = 0;
  PublishRule rule;            // with the host's port filled in
  std::uint64_t accepted = 0;  // connections, or clients of a UDP port, since the beginning
};

// Why a port could not be published; nothing is left of it.
struct PublishError {
  host::HostError error = host::HostError::other;  // in_use, denied, address_unavailable...
  Endpoint at;                                     // the address and port that failed
};

// One live flow, for people.
struct FlowInfo {
  enum class Protocol : std::uint8_t { tcp, udp, icmp };
  Protocol protocol = Protocol::tcp;
  bool inbound = false;  // through a published port
  Endpoint guest{};
  Endpoint remote{};       // as the guest sees it; unspecified for UDP and ICMP flows that lead anywhere
  const char* state = "";  // RFC 9293's name; "" where there is none
  std::uint64_t bytes_from_guest = 0;
  std::uint64_t bytes_to_guest = 0;
  std::optional<Duration> rtt{};            // to the guest, TCP only, once measured
  std::optional<Duration> remote_rtt{};     // to the remote end, as the host has measured it; TCP only
  host::SocketId socket = host::kNoSocket;  // TCP only: whom to ask for that
  std::string name{};                       // of the remote end, where somebody keeps a record of flows
};

struct FlowList {
  std::size_t total = 0;
  std::vector<FlowInfo> flows;  // those with the most bytes first

  // Leaves at most `limit`, in order.
  void cut(std::size_t limit);
  void add(FlowList other);
};

// Sums since the start.
struct Totals {
  std::uint64_t tcp_opened = 0;
  std::uint64_t bytes_from_guest = 0;  // payload
  std::uint64_t bytes_to_guest = 0;
  std::uint64_t frames_from_guest = 0;
  std::uint64_t frames_dropped = 0;
  std::size_t flows = 0;                                  // now
  std::array<std::uint64_t, wire::kDropReasons> drops{};  // of frames_dropped

  void add(const Totals& other);
};

}  // namespace sf::engine
