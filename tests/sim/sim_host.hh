// The simulated host: sockets by number, reused at once like file descriptors, and their events.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "host/host.hh"
#include "sim/sim_datagram.hh"
#include "sim/sim_stream.hh"

namespace sf::sim {

class SimHost final : public host::Host {
 public:
  SimHost(World& world, const Plan& plan);
  // What is known about connections to this server, from now on.
  void add_flow(Ledger& ledger) { flows_[ledger.plan.server] = &ledger; }
  // A client from `ledger.plan.server` comes to a published TCP port; it is lost where nobody listens.
  void connect_client(const Endpoint& port, Ledger& ledger);
  // A datagram comes to a published UDP port.
  void send_to_port(const Endpoint& port, const Endpoint& from, FrameBytes payload);

  struct Event {
    host::Token token;
    host::Readiness readiness;
  };
  // Those of one loop turn, in no particular order; like epoll's, they stay as collected when one of them
  // closes the socket of another.
  [[nodiscard]] std::vector<Event> take_events();
  [[nodiscard]] bool has_events() const { return !edges_.empty(); }
  [[nodiscard]] std::size_t open_sockets() const { return open_; }
  // Calls so far: work that was seen to be done.
  [[nodiscard]] std::uint64_t activity() const { return activity_; }
  // For whoever makes calls fail: what is ready is said once more, as epoll does after a short count or an
  // EAGAIN; and that the connection behind a socket has failed.
  void announce(host::SocketId socket) {
    const auto at = static_cast<std::size_t>(socket);
    if (slots_[at].stream) slots_[at].stream->want_space();
    edge_of(at)();
  }
  void note_failure(host::SocketId socket) {
    if (Ledger* const ledger = slots_[static_cast<std::size_t>(socket)].ledger) ledger->connect_failed = true;
  }
  // What is open, for a message.
  [[nodiscard]] std::string describe_open() const;

  // --- host::Host
  // ------------------------------------------------------------------------------------------------
  [[nodiscard]] tl::expected<host::SocketId, host::HostError> connect_stream(const Endpoint& to,
                                                                             host::Token token) override;
  [[nodiscard]] host::HostError finish_connect(host::SocketId socket) override;
  [[nodiscard]] host::IoResult send(host::SocketId socket, std::span<const Bytes> pieces) override;
  [[nodiscard]] host::IoResult receive(host::SocketId socket, std::span<const MutBytes> into) override;
  void shutdown_send(host::SocketId socket) override;
  void keep_alive(host::SocketId socket) override;
  // Published ports, each at an address and port of its own.
  [[nodiscard]] tl::expected<host::SocketId, host::HostError> listen_stream(
      const Endpoint& at, host::Token token, host::PortSharing sharing) override;
  [[nodiscard]] tl::expected<host::Accepted, host::HostError> accept_stream(host::SocketId listener) override;
  [[nodiscard]] bool watch(host::SocketId socket, host::Token token) override;
  [[nodiscard]] tl::expected<host::SocketId, host::HostError> bind_datagram(const Endpoint& at,
                                                                            host::Token token) override;
  [[nodiscard]] Endpoint local_endpoint(host::SocketId socket) const override {
    return slots_[static_cast<std::size_t>(socket)].at;
  }
  void abort(host::SocketId socket) override;
  [[nodiscard]] tl::expected<host::SocketId, host::HostError> open_datagram(host::DatagramKind kind, bool v4,
                                                                            host::Token token) override;
  [[nodiscard]] host::HostError send_datagram(host::SocketId socket, const Endpoint& to, Bytes payload,
                                              const host::DatagramOptions& options) override;
  [[nodiscard]] std::span<const host::ReceivedDatagram> receive_datagrams(host::SocketId socket) override;
  [[nodiscard]] bool receive_error(host::SocketId socket, host::DatagramError& error) override;
  void close(host::SocketId socket) override;
  [[nodiscard]] const host::Resolvers& resolvers(Time now) override;

 private:
  struct Slot {
    std::uint64_t serial = 0;  // of the socket in it; 0: free
    host::Token token = 0;
    std::string what;
    Ledger* ledger = nullptr;
    std::unique_ptr<SimStream> stream;
    std::unique_ptr<SimDatagram> datagram;
    Endpoint at;  // of a published port
    bool listens = false;
    std::deque<Ledger*> clients;  // that wait
  };

  [[nodiscard]] std::size_t take_slot(host::Token token, std::string what);
  void free_slot(Slot& slot);
  [[nodiscard]] Slot* find(host::SocketId socket, const char* operation);
  [[nodiscard]] SimStream* stream(host::SocketId socket, const char* operation);
  [[nodiscard]] SimDatagram* datagram(host::SocketId socket, const char* operation);
  [[nodiscard]] std::function<void()> edge_of(std::size_t slot);
  [[nodiscard]] Slot* bound_to(const Endpoint& at, bool listens);
  [[nodiscard]] Ledger* flow_for(const Endpoint& to);

  World& world_;
  const Plan& plan_;
  std::map<Endpoint, Ledger*> flows_;
  std::vector<Slot> slots_;
  std::uint64_t next_serial_ = 1;
  std::size_t open_ = 0;
  std::uint64_t activity_ = 0;
  std::map<std::size_t, std::uint64_t> edges_;       // slot to serial
  std::vector<std::unique_ptr<SimStream>> closing_;  // closed, but the world still acts on them
  std::vector<std::unique_ptr<SimDatagram>> closed_datagrams_;
  host::Resolvers resolvers_;
};

}  // namespace sf::sim
