// What stands between the stack and the world and changes nothing: to be derived from by whoever plants a
// bug.
#pragma once

#include "host/host.hh"
#include "link/link.hh"

namespace sf::sim {

class PassLink : public link::Link {
 public:
  explicit PassLink(link::Link& real) : real_(real) {}
  [[nodiscard]] link::Status receive(MutBytes buffer, link::Frame& frame) override {
    return real_.receive(buffer, frame);
  }
  [[nodiscard]] link::Status send(std::span<const Bytes> parts, const wire::Offload& offload) override {
    return real_.send(parts, offload);
  }
  [[nodiscard]] link::Features features() const override { return real_.features(); }

 protected:
  link::Link& real_;
};

class PassHost : public host::Host {
 public:
  explicit PassHost(host::Host& real) : real_(real) {}
  [[nodiscard]] tl::expected<host::SocketId, host::HostError> connect_stream(const Endpoint& to,
                                                                             host::Token token) override {
    return real_.connect_stream(to, token);
  }
  [[nodiscard]] host::HostError finish_connect(host::SocketId socket) override {
    return real_.finish_connect(socket);
  }
  [[nodiscard]] host::IoResult send(host::SocketId socket, std::span<const Bytes> pieces) override {
    return real_.send(socket, pieces);
  }
  [[nodiscard]] host::IoResult receive(host::SocketId socket, std::span<const MutBytes> into) override {
    return real_.receive(socket, into);
  }
  [[nodiscard]] tl::expected<host::SocketId, host::HostError> listen_stream(
      const Endpoint& at, host::Token token, host::PortSharing sharing) override {
    return real_.listen_stream(at, token, sharing);
  }
  [[nodiscard]] tl::expected<host::Accepted, host::HostError> accept_stream(
      host::SocketId listener) override {
    return real_.accept_stream(listener);
  }
  [[nodiscard]] bool watch(host::SocketId socket, host::Token token) override {
    return real_.watch(socket, token);
  }
  [[nodiscard]] tl::expected<host::SocketId, host::HostError> bind_datagram(const Endpoint& at,
                                                                            host::Token token) override {
    return real_.bind_datagram(at, token);
  }
  [[nodiscard]] Endpoint local_endpoint(host::SocketId socket) const override {
    return real_.local_endpoint(socket);
  }
  void shutdown_send(host::SocketId socket) override { real_.shutdown_send(socket); }
  void keep_alive(host::SocketId socket) override { real_.keep_alive(socket); }
  void abort(host::SocketId socket) override { real_.abort(socket); }
  [[nodiscard]] tl::expected<host::SocketId, host::HostError> open_datagram(host::DatagramKind kind, bool v4,
                                                                            host::Token token) override {
    return real_.open_datagram(kind, v4, token);
  }
  [[nodiscard]] host::HostError send_datagram(host::SocketId socket, const Endpoint& to, Bytes payload,
                                              const host::DatagramOptions& options) override {
    return real_.send_datagram(socket, to, payload, options);
  }
  [[nodiscard]] std::span<const host::ReceivedDatagram> receive_datagrams(host::SocketId socket) override {
    return real_.receive_datagrams(socket);
  }
  [[nodiscard]] bool receive_error(host::SocketId socket, host::DatagramError& error) override {
    return real_.receive_error(socket, error);
  }
  void close(host::SocketId socket) override { real_.close(socket); }
  [[nodiscard]] const host::Resolvers& resolvers(Time now) override { return real_.resolvers(now); }

 protected:
  host::Host& real_;
};

class PassReactor : public host::Reactor {
 public:
  explicit PassReactor(host::Reactor& real) : real_(real) {}
  void on_link_readable(Time now) override { real_.on_link_readable(now); }
  void on_socket_event(host::Token token, host::Readiness readiness, Time now) override {
    real_.on_socket_event(token, readiness, now);
  }
  [[nodiscard]] Time end_turn(Time now) override { return real_.end_turn(now); }
  [[nodiscard]] bool alive() const override { return real_.alive(); }

 protected:
  host::Reactor& real_;
};

}  // namespace sf::sim
