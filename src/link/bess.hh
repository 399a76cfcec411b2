// A Link over a socket of bytes in packets (unix(7), SOCK_SEQPACKET), as the BESS transport of User Mode
// Linux and others speak it: a listener, one peer, one Ethernet frame per packet, no offloads.
//
// Before the peer is there, frames for it are dropped. A peer that reads slowly has up to kMaxWaiting frames
// waiting for it. When it closes, the link is gone.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hh"
#include "base/unique_fd.hh"
#include "link/link.hh"

namespace sf::link {

class Bess final : public Link {
 public:
  static constexpr std::size_t kMaxWaiting = 1024;

  // Listens at `path`, with mode 0600, in place of a socket that is there already.
  [[nodiscard]] static Result<std::unique_ptr<Bess>> listen(const std::string& path);
  // Removes the socket file, if it is still this one.
  ~Bess() override;

  [[nodiscard]] Status receive(MutBytes buffer, Frame& frame) override;
  [[nodiscard]] Status send(std::span<const Bytes> parts, const wire::Offload& offload) override;
  [[nodiscard]] Features features() const override { return {}; }

  // For the event loop, edge-triggered: where receive() has something to do, which is to accept the peer as
  // well, and to send what has been waiting. (An epoll instance: what is in it changes.)
  [[nodiscard]] int fd() const { return epoll_.get(); }

 private:
  Bess() = default;
  [[nodiscard]] Result<void> listen_at(const std::string& path);
  [[nodiscard]] bool accept_peer();
  void send_waiting();
  void watch(int operation, int fd, std::uint32_t events) const;

  UniqueFd directory_;  // of the file: to be removed even where the path leads elsewhere by then
  std::string file_;
  std::uint64_t device_ = 0;
  std::uint64_t inode_ = 0;
  UniqueFd listener_;  // until the peer is there
  UniqueFd peer_;
  std::deque<std::vector<std::uint8_t>> waiting_;
  UniqueFd epoll_;
};

}  // namespace sf::link
