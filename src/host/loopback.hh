// Ports of the host's that lead to the guest's own loopback, as those above see them; loopback_ports.hh is
// the Linux side.
#pragma once

#include <cstdint>
#include <optional>
#include <tl/expected.hpp>
#include <vector>

#include "base/address.hh"
#include "host/host.hh"

namespace sf::host {

struct LoopbackRule {
  bool stream = true;                    // TCP; else UDP
  std::optional<Address> host_address;   // absent: all of the host's, of both IP versions
  std::uint16_t host_port = 0;           // 0: the host chooses
  std::optional<Address> guest_address;  // absent: the guest's loopback, of the client's IP version
  std::uint16_t guest_port = 0;
};

using LoopbackId = std::uint32_t;  // from 1, never used again

struct LoopbackPort {
  LoopbackId id = 0;
  LoopbackRule rule;           // with the host's port filled in
  std::uint64_t accepted = 0;  // connections, or clients of a UDP port, since the beginning
};

// Why a port could not be opened; nothing is left of it.
struct ListenError {
  HostError error = HostError::other;
  Endpoint at;
};

struct LoopbackFlow {
  bool stream = true;
  Endpoint guest;
  Endpoint client;
  const char* state = "";  // as RFC 9293 names it; "" where there is none
  std::uint64_t bytes_from_guest = 0;
  std::uint64_t bytes_to_guest = 0;
};

// Sums since the start.
struct LoopbackTotals {
  std::uint64_t opened = 0;  // TCP connections
  std::uint64_t bytes_from_guest = 0;
  std::uint64_t bytes_to_guest = 0;
  std::size_t flows = 0;  // now
  // What UDP has of it, and its clients.
  std::uint64_t datagram_bytes_from_guest = 0;
  std::uint64_t datagram_bytes_to_guest = 0;
  std::size_t datagram_flows = 0;
  std::uint64_t datagram_opened = 0;
};

class Loopback {
 public:
  Loopback() = default;
  Loopback(const Loopback&) = delete;
  Loopback& operator=(const Loopback&) = delete;
  virtual ~Loopback() = default;

  [[nodiscard]] virtual tl::expected<LoopbackPort, ListenError> add(const LoopbackRule& rule) = 0;
  // False: there is none. Connections go on; UDP clients are forgotten.
  virtual bool remove(LoopbackId id) = 0;
  [[nodiscard]] virtual std::vector<LoopbackPort> list() const = 0;
  [[nodiscard]] virtual std::vector<LoopbackFlow> flows() = 0;
  [[nodiscard]] virtual LoopbackTotals totals() = 0;
};

}  // namespace sf::host
