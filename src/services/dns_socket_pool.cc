#include "services/dns_socket_pool.hh"

#include <algorithm>

namespace sf::services {

std::optional<std::uint32_t> DnsSocketPool::pick(bool v4, std::uint32_t random) {
  const std::uint32_t first = v4 ? 0 : kPerFamily;
  const std::uint32_t wanted = first + random % kPerFamily;
  if (sockets_[wanted] != host::kNoSocket) return wanted;
  if (const auto opened = host_.open_datagram(host::DatagramKind::query, v4, base_ + wanted); opened) {
    sockets_[wanted] = *opened;
    return wanted;
  }
  for (std::uint32_t i = first; i < first + kPerFamily; ++i) {
    if (sockets_[i] != host::kNoSocket) return i;
  }
  return std::nullopt;
}

void DnsSocketPool::close_all() {
  for (host::SocketId& socket : sockets_) {
    if (socket == host::kNoSocket) continue;
    host_.close(socket);
    socket = host::kNoSocket;
  }
}

bool DnsSocketPool::any_open() const {
  return std::any_of(sockets_.begin(), sockets_.end(), [](host::SocketId s) { return s != host::kNoSocket; });
}

}  // namespace sf::services
