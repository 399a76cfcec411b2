// What an egress policy that checks server names has to see of UDP port 443: QUIC's beginnings.
//
// A datagram passes by the name that its connection's ClientHello has (policy/quic_names.hh). While that is
// not whole, its datagrams are held, so that no byte of a refused one leaves; whatever is not QUIC of a
// known version, or belongs to no connection that has begun between the same two ends, names no server, and
// passes only where a rule about the address lets it.
//
//     Initial ── name ──┬─ allowed ─> leaves, what is held before it; the flow remembers the name
//        │              └─ refused ─> ICMP
//        └─ more to come: held                  short header, Handshake: by the name that is remembered
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/address.hh"
#include "base/bytes.hh"
#include "base/time.hh"
#include "engine/flow_table.hh"
#include "policy/gate.hh"
#include "policy/quic_names.hh"
#include "udp/translator.hh"
#include "wire/ip.hh"

namespace sf::engine {

class QuicFlows {
 public:
  enum class Verdict : std::uint8_t { passes, held, refused };

  static constexpr std::size_t kMaxHeld = 16384;  // bytes, between the same two ends
  static constexpr std::size_t kMaxPairs = 64;    // of ends; the oldest one's go
  static constexpr Duration kHeldFor = 10s;

  // A datagram of the guest's, or a super-frame of `segment`-byte ones (0: it is none).
  struct Datagram {
    MacAddress from;
    const wire::IpPacket& packet;
    Bytes payload;
    std::uint16_t segment = 0;
  };
  struct Held {
    MacAddress from;
    std::vector<std::uint8_t> packet;
    std::uint16_t segment = 0;
    bool reassembled = false;
  };

  explicit QuicFlows(SipKey key) : names_(key) {}

  // Nothing in there can begin a connection: to be asked of flows of which something has passed already.
  [[nodiscard]] static bool begins_nothing(Bytes payload, std::uint16_t segment);
  // `flow`: of the guest's end, or null. `name` becomes the server's where one is named, `audited` true where
  // an audit lets it pass. Held datagrams are copied, and stay until take_held() or until others need their
  // place.
  [[nodiscard]] Verdict judge(policy::Gate& gate, const FlowKey& key, const Address& address,
                              const Datagram& datagram, const udp::Flow* flow, std::string& name,
                              bool& audited, Time now);
  // What waits between these ends, the oldest first: to be judged once more, now that a name is known.
  [[nodiscard]] std::vector<Held> take_held(const FlowKey& key, Time now);

 private:
  struct Pair {
    FlowKey key;
    Time since{};
    std::size_t bytes = 0;
    std::vector<Held> datagrams;
  };

  // `waits`: something between these ends waits for a name, and so does what follows it.
  [[nodiscard]] Verdict judge_one(policy::Gate& gate, const FlowKey& key, const Address& address,
                                  Bytes payload, const udp::Flow* flow, bool waits, std::string& name,
                                  bool& audited, Time now);
  [[nodiscard]] bool holds(const FlowKey& key, Time now) const;
  [[nodiscard]] bool hold(const FlowKey& key, const Datagram& datagram, Time now);

  policy::QuicNames names_;
  std::vector<Pair> held_;  // the oldest first
};

}  // namespace sf::engine
