// The guest: its network device's other end, its connections, its datagram sockets and its pings.
#pragma once

#include <map>
#include <memory>

#include "sim/frames.hh"
#include "sim/guest_datagrams.hh"
#include "sim/guest_tcp.hh"
#include "sim/sim_link.hh"

namespace sf::sim {

inline constexpr MacAddress kGuestMac{{0x52, 0x55, 0x0a, 0x00, 0x02, 0x64}};

class Guest {
 public:
  Guest(World& world, const Plan& plan, SimLink& link);
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;

  // A connection that begins at its plan's time.
  void add_flow(Ledger& ledger);
  // Loses all that it knows of connections, without a word to anybody. Those that were under way.
  std::vector<Ledger*> lose_power();
  // Of this connection it says not another word.
  void fall_silent(const Endpoint& guest, const Endpoint& server);
  // For what comes to ports that it listens at; true: it was for one of them. Datagrams as well.
  using Listening = std::function<bool(const ParsedFrame& frame)>;
  void listen(Listening listening) { listening_ = std::move(listening); }
  // A segment or datagram of a listening port's.
  void send(Frame frame) { link_.from_guest(std::move(frame)); }
  // Takes the plan's datagrams, pings and queries up; those of the plan before are over.
  void begin_datagrams(const Plan& plan);
  void on_frame(Frame frame, bool damaged);
  // No connection, datagram or ping is still to come or under way.
  [[nodiscard]] bool idle() const;
  [[nodiscard]] const GuestDatagrams& datagrams() const { return *datagrams_; }

 private:
  [[nodiscard]] Addressing addressing(const Address& from, const Address& to) const {
    return {kGuestMac, plan_.network.gateway_mac, from, to};
  }
  void on_tcp(const ParsedFrame& frame);
  void on_fragment(const wire::IpPacket& ip);
  void on_upper_layer(const wire::IpPacket& ip, Bytes packet);
  void on_icmp(const wire::IpPacket& ip, Bytes packet);
  void refuse(const ParsedFrame& frame);

  struct Pieces {
    std::map<std::uint32_t, FrameBytes> parts;
    std::optional<std::size_t> length;
  };

  World& world_;
  const Plan& plan_;
  SimLink& link_;
  std::map<std::pair<Endpoint, Endpoint>, std::unique_ptr<GuestTcp>> connections_;
  std::size_t flows_to_start_ = 0;
  std::map<std::pair<Address, std::uint32_t>, Pieces> reassembly_;
  std::unique_ptr<GuestDatagrams> datagrams_;
  Listening listening_;
  // Over, but the world's events may still refer to them.
  std::vector<std::unique_ptr<GuestTcp>> past_connections_;
  std::vector<std::unique_ptr<GuestDatagrams>> past_datagrams_;
};

}  // namespace sf::sim
