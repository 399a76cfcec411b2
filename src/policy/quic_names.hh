// The server names in what clients send to begin QUIC connections.
//
// Theory of operation. A client's ClientHello comes in pieces, in CRYPTO frames of Initial packets, in any
// order and more than once, and the keys of those packets follow from the connection ID that the first one is
// sent to (RFC 9001 section 5.2). So a connection is remembered by that ID, and each of its Initial packets
// is opened, also those that follow later to the ID that the server has chosen.
//
// Nothing here can know which datagrams the server has got. Hence all that a client says must agree: a piece
// that differs from what was said for the same place before makes the whole connection foreign, and so does
// a second hello (after a HelloRetryRequest) with another name. Then it does not matter what is lost.
//
// Pure, bounded; memory is allocated for a connection, not for a packet.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/address.hh"
#include "base/bytes.hh"
#include "base/flow_key.hh"
#include "base/siphash.hh"
#include "base/time.hh"
#include "wire/quic.hh"
#include "wire/server_name.hh"

namespace sf::policy {

// One connection, as far as its client's Initial packets tell.
class QuicConnection {
 public:
  // Of the client's handshake bytes: two hellos with keys of post-quantum size have 4 KiB.
  static constexpr std::size_t kMaxHandshake = 8192;
  // What a connection takes at most, with what a growing vector has left over.
  static constexpr std::size_t kMaxMemory = 4 * kMaxHandshake;

  QuicConnection(wire::QuicVersion version, Bytes id, std::uint64_t serial);

  [[nodiscard]] std::uint64_t serial() const { return serial_; }  // no other connection's
  [[nodiscard]] bool has(Bytes id) const;
  // A packet that was made with this connection's keys. `out`: as open_quic_initial() has it. The version may
  // change on the way (RFC 9368).
  [[nodiscard]] std::optional<wire::QuicFrames> open(const wire::QuicPacket& packet, MutBytes out);
  void take(const wire::QuicFrames& frames, Time now);
  // What its hellos say together; `more` where one is not whole.
  [[nodiscard]] wire::ServerName name() const;
  [[nodiscard]] Time last_seen() const { return last_seen_; }
  [[nodiscard]] std::size_t memory() const;

 private:
  // False: it contradicts what was said before, or does not fit.
  [[nodiscard]] bool take_piece(std::uint64_t offset, Bytes data);
  void read_hellos();

  std::array<std::uint8_t, wire::kMaxQuicId> id_{};
  std::uint8_t id_size_ = 0;
  std::uint64_t serial_;
  std::array<std::optional<wire::QuicKeys>, 2> keys_;  // by version, made when needed
  std::uint64_t next_number_ = 0;
  std::vector<std::uint8_t> handshake_;
  std::vector<bool> known_;  // which bytes of it
  std::size_t whole_ = 0;    // so many from the front
  std::size_t read_ = 0;     // hellos that were read end here
  wire::ServerName name_;
  Time last_seen_{};
};

class QuicNames {
 public:
  static constexpr std::size_t kMaxConnections = 8;  // between the same two ends
  static constexpr std::size_t kMaxMemory = std::size_t{4} << 20;
  // Without an Initial packet for so long, a connection is forgotten. Servers give up one that does not get
  // on within half of it.
  static constexpr Duration kKept = 60s;

  explicit QuicNames(SipKey key) : pairs_(64, Hash{key}) {}

  // What a datagram of the guest's says. Absent: it has no Initial packet, and so nothing to say; all else is
  // about the connection that it belongs to: `more` where the hello is not whole yet. `foreign` is also what
  // cannot be read, or not remembered.
  [[nodiscard]] std::optional<wire::ServerName> read(const Endpoint& guest, const Endpoint& remote,
                                                     Bytes datagram, Time now);
  [[nodiscard]] std::size_t memory() const { return memory_; }

 private:
  struct Hash {
    SipKey key;
    std::size_t operator()(const FlowKey& ends) const { return hash_of(key, ends); }
  };

  // The connection of `packet`, and its frames in buffer_. Null: it is none's, or not only one's.
  [[nodiscard]] QuicConnection* connection_of(const FlowKey& pair, const wire::QuicPacket& packet,
                                              wire::QuicFrames& frames, Time now);
  // Null: there is no room.
  [[nodiscard]] QuicConnection* remember(const FlowKey& pair, QuicConnection&& fresh, Time now);
  void forget_old(Time now);

  std::unordered_map<FlowKey, std::vector<QuicConnection>, Hash> pairs_;
  std::size_t memory_ = 0;
  std::uint64_t made_ = 0;
  Time forgot_{};
  std::vector<std::uint8_t> buffer_;
};

}  // namespace sf::policy
