// The guest's device for the engine target: frames that the input says, and every frame of the engine's
// checked.
#pragma once

#include <deque>
#include <map>
#include <optional>

#include "link/link.hh"
#include "link/network.hh"
#include "sim/frames.hh"

namespace sf::fuzz {

class FuzzLink final : public link::Link {
 public:
  FuzzLink(const link::Network& network, link::Features features) : network_(network), features_(features) {}

  [[nodiscard]] link::Status receive(MutBytes buffer, link::Frame& frame) override;
  [[nodiscard]] link::Status send(std::span<const Bytes> parts, const wire::Offload& offload) override;
  [[nodiscard]] link::Features features() const override { return features_; }

  // What a TCP of the guest's knows about one connection.
  struct Peer {
    std::uint32_t next = 0;   // sequence number that the engine comes to next
    std::uint32_t acked = 0;  // of the guest's
  };
  using PeerKey = std::pair<Endpoint, Endpoint>;  // guest's, other one

  std::deque<sim::Frame> to_receive;
  std::map<PeerKey, Peer> peers;
  std::vector<PeerKey> spoken;  // in the order in which the engine first spoke
  std::size_t refuse_next = 0;  // frames that the device does not take
  bool gone = false;
  std::size_t received = 0;

 private:
  void check_ip(const sim::Frame& frame);
  void check_wire_frame(Bytes frame) const;
  void learn(const sim::ParsedFrame& frame);

  const link::Network& network_;
  link::Features features_;
};

}  // namespace sf::fuzz
