// A host whose sockets do what the input says, and that checks how they are used. Also used where the engine
// is not: by the services.
#pragma once

#include <deque>
#include <vector>

#include "host/host.hh"
#include "input.hh"

namespace sf::fuzz {

class FuzzHost final : public host::Host {
 public:
  enum class Kind : std::uint8_t { stream, listener, datagram };
  struct Datagram {
    host::ReceivedDatagram info;
    std::vector<std::uint8_t> bytes;
  };
  struct QueuedError {
    host::DatagramError info;
    std::vector<std::uint8_t> bytes;
  };
  struct Socket {
    Kind kind = Kind::stream;
    bool v4 = true;
    bool open = true;
    bool watched = true;
    host::Token token = 0;
    Endpoint to{};  // a stream's peer, or where it is bound to
    // Streams.
    host::HostError connected = host::HostError::in_progress;
    std::size_t takes = 1U << 20;
    host::HostError send_error = host::HostError::none;
    std::size_t incoming = 0;
    bool ended = false;
    host::HostError receive_error = host::HostError::none;
    bool shut = false;
    std::deque<Endpoint> clients{};
    // Datagrams.
    std::deque<Datagram> arrived{};
    std::deque<QueuedError> errors{};
    Endpoint last_to{};
    std::vector<std::uint8_t> last_sent{};
    std::uint16_t port = 0;
  };

  // The next `count` openings and connections fail with `error`.
  void fail_next(std::size_t count, host::HostError error) {
    failing_ = count;
    failure_ = error;
  }
  void fail_sends(std::size_t count, host::HostError error) {
    failing_sends_ = count;
    send_failure_ = error;
  }
  [[nodiscard]] std::size_t open_sockets() const {
    std::size_t count = 0;
    for (const Socket& s : sockets) count += s.open ? 1U : 0U;
    return count;
  }
  [[nodiscard]] static host::Readiness readiness(const Socket& s);

  std::deque<Socket> sockets;  // closed ones stay, so that late events can come
  host::Resolvers configured;

  tl::expected<host::SocketId, host::HostError> connect_stream(const Endpoint& to,
                                                               host::Token token) override;
  host::HostError finish_connect(host::SocketId id) override;
  host::IoResult send(host::SocketId id, std::span<const Bytes> pieces) override;
  host::IoResult receive(host::SocketId id, std::span<const MutBytes> into) override;
  void shutdown_send(host::SocketId id) override;
  void abort(host::SocketId id) override { stream(id).open = false; }
  std::optional<Duration> round_trip(host::SocketId) const override { return 1ms; }
  tl::expected<host::SocketId, host::HostError> listen_stream(const Endpoint& at, host::Token token,
                                                              host::PortSharing sharing) override;
  tl::expected<host::Accepted, host::HostError> accept_stream(host::SocketId listener) override;
  bool watch(host::SocketId id, host::Token token) override;
  tl::expected<host::SocketId, host::HostError> bind_datagram(const Endpoint& at, host::Token token) override;
  Endpoint local_endpoint(host::SocketId id) const override;
  tl::expected<host::SocketId, host::HostError> open_datagram(host::DatagramKind kind, bool v4,
                                                              host::Token token) override;
  host::HostError send_datagram(host::SocketId id, const Endpoint& to, Bytes payload,
                                const host::DatagramOptions& options) override;
  std::span<const host::ReceivedDatagram> receive_datagrams(host::SocketId id) override;
  bool receive_error(host::SocketId id, host::DatagramError& error) override;
  void close(host::SocketId id) override { socket(id).open = false; }
  const host::Resolvers& resolvers(Time) override { return configured; }

 private:
  [[nodiscard]] Socket& socket(host::SocketId id);
  [[nodiscard]] Socket& stream(host::SocketId id);
  [[nodiscard]] Socket& datagram(host::SocketId id);
  [[nodiscard]] bool fails();
  [[nodiscard]] host::SocketId add(Socket socket);

  std::size_t failing_ = 0;
  host::HostError failure_ = host::HostError::none;
  std::size_t failing_sends_ = 0;
  host::HostError send_failure_ = host::HostError::none;
  std::uint16_t next_port_ = 20000;
  std::vector<Datagram> lent_;
  std::vector<host::ReceivedDatagram> lent_views_;
  QueuedError lent_error_;
};

}  // namespace sf::fuzz
