// A host of datagram sockets that a test scripts: what was sent is written down, what arrives is put there by
// the test.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "host/host.hh"

namespace sf::services {

class FakeHost : public host::Host {
 public:
  struct Socket {
    bool v4 = true;
    host::Token token = 0;
    std::deque<std::pair<Endpoint, std::vector<std::uint8_t>>> incoming;
    std::deque<std::pair<host::DatagramError, std::vector<std::uint8_t>>> errors;
  };
  struct Sent {
    host::SocketId socket;
    host::Token token;
    Endpoint to;
    std::vector<std::uint8_t> payload;
  };

  std::map<host::SocketId, Socket> sockets;
  std::deque<Sent> sent;  // references to what was sent stay good
  host::Resolvers configured;
  // Scripts: what these calls fail with.
  std::map<Endpoint, host::HostError> send_errors;
  std::map<bool, host::HostError> open_errors;  // by v4
  std::uint16_t segment_size = 0;               // of everything received
  bool truncated = false;
  int opened = 0;

  tl::expected<host::SocketId, host::HostError> open_datagram(host::DatagramKind kind, bool v4,
                                                              host::Token token) override {
    EXPECT_EQ(kind, host::DatagramKind::query);
    if (const auto it = open_errors.find(v4); it != open_errors.end()) return tl::unexpected(it->second);
    const auto id = static_cast<host::SocketId>(++opened);
    sockets[id] = Socket{v4, token, {}, {}};
    return id;
  }
  host::HostError send_datagram(host::SocketId socket, const Endpoint& to, Bytes payload,
                                const host::DatagramOptions& options) override {
    const Socket& s = sockets.at(socket);
    EXPECT_EQ(s.v4, to.address.is_v4());
    EXPECT_FALSE(options.dont_fragment);
    EXPECT_EQ(options.segment_size, 0);
    if (const auto it = send_errors.find(to); it != send_errors.end()) return it->second;
    sent.push_back({socket, s.token, to, {payload.begin(), payload.end()}});
    return host::HostError::none;
  }
  std::span<const host::ReceivedDatagram> receive_datagrams(host::SocketId socket) override {
    auto& incoming = sockets.at(socket).incoming;
    received_.clear();
    payloads_.clear();
    for (; !incoming.empty() && payloads_.size() < kDatagramBatch; incoming.pop_front()) {
      payloads_.push_back(std::move(incoming.front().second));
      host::ReceivedDatagram datagram;
      datagram.from = incoming.front().first;
      datagram.payload = payloads_.back();
      datagram.segment_size = segment_size;
      datagram.truncated = truncated;
      received_.push_back(datagram);
    }
    return received_;
  }
  bool receive_error(host::SocketId socket, host::DatagramError& error) override {
    auto& errors = sockets.at(socket).errors;
    if (errors.empty()) return false;
    error = errors.front().first;
    error_payload_ = std::move(errors.front().second);
    error.payload = error_payload_;
    errors.pop_front();
    return true;
  }
  void close(host::SocketId socket) override { EXPECT_EQ(sockets.erase(socket), 1U) << "closed twice"; }
  const host::Resolvers& resolvers(Time) override { return configured; }

  // Streams are not the forwarder's.
  tl::expected<host::SocketId, host::HostError> connect_stream(const Endpoint&, host::Token) override {
    return unexpected_stream(), tl::unexpected(host::HostError::other);
  }
  host::HostError finish_connect(host::SocketId) override { return unexpected_stream(); }
  host::IoResult send(host::SocketId, std::span<const Bytes>) override { return {0, unexpected_stream()}; }
  tl::expected<host::SocketId, host::HostError> listen_stream(const Endpoint&, host::Token,
                                                              host::PortSharing) override {
    return tl::unexpected(host::HostError::other);
  }
  tl::expected<host::Accepted, host::HostError> accept_stream(host::SocketId) override {
    return tl::unexpected(host::HostError::other);
  }
  bool watch(host::SocketId, host::Token) override { return false; }
  tl::expected<host::SocketId, host::HostError> bind_datagram(const Endpoint&, host::Token) override {
    return tl::unexpected(host::HostError::other);
  }
  Endpoint local_endpoint(host::SocketId) const override { return {}; }
  host::IoResult receive(host::SocketId, std::span<const MutBytes>) override {
    return {0, unexpected_stream()};
  }
  void shutdown_send(host::SocketId) override { unexpected_stream(); }
  void abort(host::SocketId) override { unexpected_stream(); }

 private:
  static host::HostError unexpected_stream() {
    ADD_FAILURE() << "a stream operation";
    return host::HostError::other;
  }

  std::vector<host::ReceivedDatagram> received_;
  std::deque<std::vector<std::uint8_t>> payloads_;
  std::vector<std::uint8_t> error_payload_;
};

}  // namespace sf::services
