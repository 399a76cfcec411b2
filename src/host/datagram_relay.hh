// UDP clients of loopback ports: each one that has sent something gets a socket in the guest's namespace,
// connected to the port there, so that the answers find the way back to it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/flow_events.hh"
#include "base/refusal_records.hh"
#include "base/slab.hh"
#include "base/time.hh"
#include "base/unique_fd.hh"
#include "host/event_loop.hh"
#include "host/guest_sockets.hh"
#include "host/host.hh"

namespace sf::host {

class DatagramRelay {
 public:
  static constexpr std::size_t kMaxClients = 1024;  // further ones are not heard
  static constexpr std::size_t kMaxHeld = 16;       // datagrams of one client, until its socket is there
  static constexpr Duration kIdle = 300s;           // RFC 4787 REQ-5: recommended
  static constexpr Duration kShortIdle = 120s;  // and the least, where a socket holds up the namespace's end

  struct Client {
    std::uint32_t port = 0;
    int port_fd = -1;  // of the port, by which the answers leave
    Endpoint peer;
    std::optional<Address> local;  // of this host's, to which it last sent: answers come from there
    Endpoint guest;
    UniqueFd socket;
    std::vector<std::vector<std::uint8_t>> held;
    Time last_active{};
    std::uint64_t bytes_to_guest = 0;
    std::uint64_t bytes_from_guest = 0;
    bool waiting = false;              // for its turn
    std::unique_ptr<FlowNotes> notes;  // where somebody watches
    std::uint64_t packets_to_guest = 0;
    std::uint64_t packets_from_guest = 0;
  };

  // Tokens of the clients' sockets are made of `token` and a handle's bits. Who is silent for `idle` is
  // forgotten.
  DatagramRelay(EventLoop& loop, GuestSockets& sockets, Token token, Duration idle = kIdle);

  ~DatagramRelay();
  DatagramRelay(const DatagramRelay&) = delete;
  DatagramRelay& operator=(const DatagramRelay&) = delete;
  // Who is told what becomes of clients; null: nobody. It outlives this.
  void set_watch(FlowWatch* watch) {
    watch_ = watch;
    refusals_.emplace(watch, SipKey{});  // who aims at one place of its table gains nothing
  }

  // Hands on what `port_fd`, the socket of a port, has. True: a budget ended it, and there may be more.
  // `clients` counts new ones.
  [[nodiscard]] bool from_clients(std::uint32_t port, int port_fd, const Endpoint& guest,
                                  std::uint64_t& clients, Time now);
  void on_socket_event(Handle client, Readiness readiness);
  // Hands on what the guest has said. True: there is more.
  [[nodiscard]] bool end_turn(Time now);
  [[nodiscard]] Time deadline() const { return sweep_at_; }
  void forget_port(std::uint32_t port);

  template <typename Visitor>
  void for_each(Visitor&& visit) {
    clients_.for_each([&](Handle, Client& client) { visit(client); });
  }
  [[nodiscard]] std::size_t size() const { return clients_.size(); }
  // Since the start, of all clients.
  [[nodiscard]] std::uint64_t bytes_to_guest() const { return bytes_to_guest_; }
  [[nodiscard]] std::uint64_t bytes_from_guest() const { return bytes_from_guest_; }
  [[nodiscard]] std::uint64_t clients_seen() const { return clients_seen_; }

 private:
  static constexpr int kBatch = 64;  // datagrams per socket and turn
  static constexpr std::size_t kMaxDatagram = 65536;

  [[nodiscard]] Client* client_of(std::uint32_t port, int port_fd, const Endpoint& peer,
                                  const Endpoint& guest, std::uint64_t& clients, Time now);
  void on_socket(Handle handle, UniqueFd socket);
  void forget(Handle handle, FlowCause cause);
  void tell(const Client& client, FlowEvent::Kind kind, FlowCause cause) const;
  void sweep(Time now);

  EventLoop& loop_;
  GuestSockets& sockets_;
  FlowWatch* watch_ = nullptr;
  std::optional<RefusalRecords> refusals_;  // where somebody watches
  Token token_;
  Duration idle_;
  Slab<Client> clients_;
  std::map<std::pair<std::uint32_t, Endpoint>, Handle> by_peer_;
  std::vector<Handle> turn_;
  std::unique_ptr<std::uint8_t[]> buffer_;  // costs the pages that are used
  Time sweep_at_ = kNever;
  std::uint64_t bytes_to_guest_ = 0;
  std::uint64_t bytes_from_guest_ = 0;
  std::uint64_t clients_seen_ = 0;
};

}  // namespace sf::host
