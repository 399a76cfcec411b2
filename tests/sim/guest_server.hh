// What listens inside, for clients of published ports: a TCP that only answers, and a UDP echo. It sends its
// reply and its FIN once the client has said all; until they are acknowledged, they are sent again.
#pragma once

#include <map>
#include <memory>

#include "sim/guest.hh"

namespace sf::sim {

class GuestServer {
 public:
  static constexpr std::uint16_t kAnswers = 8080;
  static constexpr std::uint16_t kMute = 8081;    // a SYN is never answered
  static constexpr std::uint16_t kClosed = 8082;  // refused
  static constexpr std::uint16_t kStops = 8083;   // opens, and says nothing more
  static constexpr std::uint16_t kEchoes = 8084;  // UDP
  static constexpr std::uint32_t kReply = 700;    // bytes

  GuestServer(World& world, Guest& guest, const link::Network& network)
      : world_(world), guest_(guest), network_(network) {}
  GuestServer(const GuestServer&) = delete;
  GuestServer& operator=(const GuestServer&) = delete;

  // A client that will come, known by `ledger.plan.server`.
  void expect(Ledger& ledger) { ledgers_[ledger.plan.server] = &ledger; }
  // True: it was for one of the ports.
  bool on_frame(const ParsedFrame& frame);
  void lose_power() { connections_.clear(); }

 private:
  struct Connection {
    Endpoint local;
    Endpoint remote;
    Ledger* ledger = nullptr;
    std::uint32_t iss = 0;
    std::uint32_t next = 0;  // from the client
    std::uint64_t received = 0;
    bool replying = false;
    std::uint64_t serial = 0;
  };
  using Key = std::pair<Endpoint, Endpoint>;

  bool on_tcp(const ParsedFrame& frame);
  bool on_udp(const ParsedFrame& frame);
  void open(const Endpoint& local, const Endpoint& remote, const wire::TcpSegment& syn);
  void take(Connection& connection, const wire::TcpSegment& segment);
  void reply(Connection& connection);
  void answer(const Connection& connection, wire::TcpSegment segment, Bytes payload);

  World& world_;
  Guest& guest_;
  const link::Network& network_;
  std::map<Endpoint, Ledger*> ledgers_;
  std::map<Key, Connection> connections_;
  std::uint64_t next_serial_ = 1;
};

}  // namespace sf::sim
