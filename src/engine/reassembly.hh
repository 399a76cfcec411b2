// Fragments of the guest's, put together (RFC 791 section 3.2, RFC 8200 section 4.5), in bounded memory.
//
// Up to kSlots datagrams are collected at once. Each has a buffer for the largest datagram there is and a
// bitmap of its 8-byte units, allocated with its first fragment; one buffer is kept for the next datagram,
// and given back when none has come for a while. So the most memory is (kSlots + 1) * 66 KiB, and none while
// idle.
//
//   add() ── free ── collecting ──┬─ all units there ─→ the packet; free
//                        │        ├─ overlap, contradiction ─→ discarded ── kTimeout ─→ free
//                        │        └─ a 17th datagram comes: the oldest goes ─→ free
//                        └─ kTimeout ─→ expired (time exceeded, where the first fragment is there); free
//
// Overlapping fragments take the whole datagram down, with those still to come (RFC 5722 section 4), in IPv4
// as well: honest senders make none. A fragment that says what is known already is a duplicate, and ignored.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/address.hh"
#include "base/time.hh"
#include "wire/ip.hh"

namespace sf::engine {

class Reassembly {
 public:
  static constexpr std::size_t kSlots = 16;
  // From the first fragment on. RFC 1122 section 3.3.2 says 60 to 120 s, RFC 8200 60 s; at today's speeds 30
  // s, as Linux does for IPv4, already waits for nothing.
  static constexpr Duration kTimeout = 30s;

  struct Outcome {
    // The datagram that the fragment has completed: without `fragment`, `whole` with a header without
    // options. A view until the next call.
    std::optional<wire::IpPacket> packet;
    // What to count: bad_fragment or bad_header (this fragment, and maybe its datagram, is discarded),
    // fragment_limit (an older datagram had to go for this one), out_of_memory.
    std::optional<wire::DropReason> drop;
  };
  // `fragment.fragment` must be set, and `fragment` come from wire::parse_ip. `from`: its sender's MAC.
  [[nodiscard]] Outcome add(const wire::IpPacket& fragment, const MacAddress& from, Time now);

  // A datagram that timed out with its first fragment there: what ICMP "fragment reassembly time exceeded"
  // quotes, and to whom it goes. A view until the next call.
  struct Expired {
    MacAddress from;
    wire::IpPacket quoted;
  };
  // Gives up what is due by `now`. To be called until it returns nothing.
  [[nodiscard]] std::optional<Expired> expire(Time now);
  // When to call expire(); kNever while there is nothing to wait for.
  [[nodiscard]] Time deadline() const;

  // Datagrams that are being collected.
  [[nodiscard]] std::size_t collecting() const;
  // Memory held for payloads, in bytes.
  [[nodiscard]] std::size_t memory() const;

 private:
  struct Buffer;
  struct BufferDeleter {
    void operator()(Buffer* buffer) const;
  };
  using BufferPtr = std::unique_ptr<Buffer, BufferDeleter>;

  struct Key {
    Address source;
    Address destination;
    std::uint32_t id = 0;
    // IPv4's alone: in IPv6 only the first fragment's counts, and the others' may differ (RFC 8200
    // section 4.5).
    std::uint8_t protocol = 0;

    bool operator==(const Key&) const = default;
  };
  enum class State : std::uint8_t { free, collecting, discarded };
  struct Slot {
    State state = State::free;
    bool has_first = false;
    bool congestion_experienced = false;  // on any fragment (RFC 3168 section 5.3)
    std::uint8_t protocol = 0;            // this and the next two: the first fragment's
    std::uint8_t ttl = 0;
    std::uint8_t traffic_class = 0;
    MacAddress from;
    Key key;
    Time started{};
    std::uint32_t first_length = 0;
    std::uint32_t total = 0;        // payload bytes; 0 until the last fragment is there
    std::uint32_t highest_end = 0;  // of all fragments
    std::uint32_t units = 0;        // how many are there
    BufferPtr buffer;
  };

  [[nodiscard]] static Key key_of(const wire::IpPacket& fragment);
  // The datagram's slot, or a new one; nullptr where there is no memory.
  [[nodiscard]] Slot* slot_for(const Key& key, Time now, Outcome& outcome);
  [[nodiscard]] Slot& oldest();
  [[nodiscard]] BufferPtr take_buffer();
  // False where the fragment contradicts what is there.
  [[nodiscard]] static bool insert(Slot& slot, const wire::IpPacket& fragment);
  void complete(Slot& slot, Outcome& outcome, Time now);
  void keep_buffer(Slot& slot, Time now);
  static void release(Slot& slot);
  static void discard(Slot& slot);
  [[nodiscard]] static wire::IpPacket view(Slot& slot, bool first_fragment);

  std::array<Slot, kSlots> slots_;
  BufferPtr spare_;  // also holds what was returned last
  Time spare_since_{};
};

}  // namespace sf::engine
