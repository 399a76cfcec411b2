// The host sockets that DNS queries leave from: a few per IP version, so that whoever wants to forge an
// answer has to guess the port too (RFC 5452 section 9.2).
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "host/host.hh"

namespace sf::services {

class DnsSocketPool {
 public:
  static constexpr std::uint32_t kPerFamily = 8;
  // Indexes are 0 to kSockets - 1; the socket of index i is opened with the token base + i.
  static constexpr std::uint32_t kSockets = 2 * kPerFamily;

  DnsSocketPool(host::Host& host, host::Token base) : host_(host), base_(base) {
    sockets_.fill(host::kNoSocket);
  }
  DnsSocketPool(const DnsSocketPool&) = delete;
  DnsSocketPool& operator=(const DnsSocketPool&) = delete;
  ~DnsSocketPool() { close_all(); }

  // The index of a socket of that family; which one, `random` decides. It is opened where it is not yet;
  // where the host cannot, another open one serves. Nothing: the host has no such socket at all (no IPv6, no
  // descriptors).
  [[nodiscard]] std::optional<std::uint32_t> pick(bool v4, std::uint32_t random);

  // kNoSocket for one that is not open, and for an index out of range.
  [[nodiscard]] host::SocketId at(std::uint32_t index) const {
    return index < kSockets ? sockets_[index] : host::kNoSocket;
  }
  void close_all();
  [[nodiscard]] bool any_open() const;

 private:
  host::Host& host_;
  host::Token base_;
  std::array<host::SocketId, kSockets> sockets_{};
};

}  // namespace sf::services
