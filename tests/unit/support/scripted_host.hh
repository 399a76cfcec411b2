// A host whose datagram sockets do what the test has written down, and remember what was asked of them.
#pragma once

#include <deque>
#include <utility>
#include <vector>

#include "host/host.hh"

namespace sf::host {

class ScriptedHost : public Host {
 public:
  struct Opened {
    DatagramKind kind;
    bool v4;
    Token token;
  };
  struct Sent {
    SocketId socket;
    Endpoint to;
    std::vector<std::uint8_t> payload;
    DatagramOptions options;
  };
  // With the payload's bytes, which the views given out point to.
  struct Incoming {
    ReceivedDatagram datagram;
    std::vector<std::uint8_t> bytes;
  };
  struct QueuedError {
    DatagramError error;
    std::vector<std::uint8_t> bytes;
  };

  tl::expected<SocketId, HostError> open_datagram(DatagramKind kind, bool v4, Token token) override {
    if (open_error != HostError::none) return tl::unexpected(open_error);
    opened.push_back({kind, v4, token});
    return SocketId{static_cast<std::uint32_t>(opened.size())};
  }
  HostError send_datagram(SocketId socket, const Endpoint& to, Bytes payload,
                          const DatagramOptions& options) override {
    sent.push_back({socket, to, {payload.begin(), payload.end()}, options});
    return send_error;
  }
  std::span<const ReceivedDatagram> receive_datagrams(SocketId) override {
    ++receive_calls;
    received_.clear();
    if (batches.empty()) return {};
    batch_ = std::move(batches.front());
    batches.pop_front();
    for (Incoming& incoming : batch_) {
      incoming.datagram.payload = incoming.bytes;
      received_.push_back(incoming.datagram);
    }
    return received_;
  }
  bool receive_error(SocketId, DatagramError& error) override {
    if (errors.empty()) return false;
    error_ = std::move(errors.front());
    errors.pop_front();
    error = error_.error;
    error.payload = error_.bytes;
    return true;
  }
  void close(SocketId socket) override { closed.push_back(socket); }

  tl::expected<SocketId, HostError> connect_stream(const Endpoint&, Token) override {
    return tl::unexpected(HostError::other);
  }
  HostError finish_connect(SocketId) override { return HostError::other; }
  IoResult send(SocketId, std::span<const Bytes>) override { return {0, HostError::other}; }
  tl::expected<SocketId, HostError> listen_stream(const Endpoint&, Token, PortSharing) override {
    return tl::unexpected(HostError::other);
  }
  tl::expected<Accepted, HostError> accept_stream(SocketId) override {
    return tl::unexpected(HostError::other);
  }
  bool watch(SocketId, Token) override { return false; }
  tl::expected<SocketId, HostError> bind_datagram(const Endpoint&, Token) override {
    return tl::unexpected(HostError::other);
  }
  Endpoint local_endpoint(SocketId) const override { return {}; }
  IoResult receive(SocketId, std::span<const MutBytes>) override { return {0, HostError::other}; }
  void shutdown_send(SocketId) override {}
  void abort(SocketId) override {}
  const Resolvers& resolvers(Time) override { return resolvers_; }

  HostError open_error = HostError::none;
  HostError send_error = HostError::none;
  std::deque<std::vector<Incoming>> batches;
  std::deque<QueuedError> errors;

  std::vector<Opened> opened;
  std::vector<Sent> sent;
  std::vector<SocketId> closed;
  int receive_calls = 0;

 private:
  std::vector<Incoming> batch_;
  std::vector<ReceivedDatagram> received_;
  QueuedError error_;
  Resolvers resolvers_;
};

}  // namespace sf::host
