// What is to happen in a run, drawn from its seed before it starts (scenario.cc) and then carried out by the
// guest, the link and the host.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/address.hh"
#include "base/time.hh"
#include "link/link.hh"
#include "link/network.hh"

namespace sf::sim {

struct LinkPlan {
  link::Features features;         // what the stack under test may ask of the link
  bool checksum_partial = false;   // the guest leaves checksums to the link, as a kernel's TAP does
  bool guest_gso = false;          // the guest sends super-frames; needs checksum_partial
  bool deliver_gso_whole = false;  // the guest takes super-frames as they are
  std::uint32_t mtu = 1500;
  // Chances per frame, either way, until faults_end.
  double loss = 0;
  double duplicate = 0;
  double reorder = 0;
  double corrupt = 0;
  double drop_send = 0;  // the device refuses a frame of the stack's: Status::dropped
  Duration delay{20us};
  Duration jitter{0};
  Duration reorder_delay{2ms};
  Duration faults_end{60s};  // from the start of the run
  Duration gone_at{0};       // not 0: the device vanishes then
};

enum class GuestClose : std::uint8_t {
  after_send,             // FIN when all is sent
  after_peer_fin,         // FIN when all is sent and the peer's FIN has come
  abort,                  // RST once `close_at` bytes have passed, both ways together
  vanish,                 // not another word once `close_at` bytes have passed
  never_answer,           // a SYN and nothing more: half-open for good
  vanish_after_peer_fin,  // acknowledges the peer's FIN, sends none, and says not another word
};

struct GuestPlan {
  std::uint64_t send_bytes = 0;
  std::uint64_t write_chunk = 0;  // the application writes this much every write_interval; 0: all at once
  Duration write_interval{0};
  GuestClose close = GuestClose::after_send;
  std::uint64_t close_at = 0;
  std::uint32_t receive_buffer = 65536;
  std::uint64_t read_chunk = 0;  // the application reads this much every read_interval; 0: all at once
  Duration read_interval{0};
  std::uint64_t pause_at = 0;  // not 0: after so many bytes it does not read for `pause`
  Duration pause{0};
  bool offer_scale = true;
  std::uint8_t scale = 7;
  bool offer_timestamps = true;
  bool offer_sack = true;
  std::uint16_t mss = 1460;
  bool delayed_ack = true;
  bool nagle = true;
  bool no_updates = false;  // as if every window update were lost: the stack has to probe
  bool reneges = false;     // now and then throws away what it had reported by SACK (RFC 2018 section 8)
  bool odd_sizes = false;   // segments of any size, and retransmissions cut elsewhere than the first time
  double forged =
      0;  // chance, per segment with data that comes, that somebody else sends one in its name (RFC 5961)
  Duration keep_alive{0};  // not 0: probes this often
  Duration fin_wait{0};    // not 0: for so long it waits for the peer's FIN after its own, as a kernel does
  std::uint32_t isn = 0;
  std::uint32_t timestamp_offset = 0;
};

enum class ConnectOutcome : std::uint8_t {
  accept,
  refused,
  net_unreachable,
  host_unreachable,
  timed_out,
  silent,          // no answer, until the host's kernel gives up
  failed_at_once,  // connect_stream() itself says host_unreachable
  no_descriptors,  // connect_stream() itself says so
};

enum class PeerClose : std::uint8_t {
  after_send,       // FIN when all is sent
  after_guest_fin,  // FIN when all is sent and the guest's FIN has come
  reset,            // RST once `close_at` bytes have passed, both ways together
  never,            // no FIN
};

// The server behind one host socket.
struct PeerPlan {
  ConnectOutcome outcome = ConnectOutcome::accept;
  Duration connect_delay{1ms};
  std::uint64_t send_bytes = 0;
  std::uint64_t send_chunk = 0;  // arrives in such pieces every send_interval; 0: as fast as there is room
  Duration send_interval{0};
  PeerClose close = PeerClose::after_send;
  std::uint64_t close_at = 0;
  std::uint32_t send_capacity = 65536;     // of the socket's send buffer
  std::uint32_t receive_capacity = 65536;  // of the socket's receive buffer
  std::uint64_t read_chunk = 0;            // reads this much every read_interval; 0: all at once
  Duration read_interval{0};
  std::uint64_t vanish_at = 0;  // not 0: once it has read and sent so many bytes, nothing more is heard
};

struct FlowPlan {
  Endpoint guest;
  Endpoint server;
  Duration start{0};
  GuestPlan from;
  PeerPlan peer;
  std::uint64_t key = 0;  // of the patterns: `key` from the guest, ~key to it

  // Both sides are to end in good order with every byte delivered.
  [[nodiscard]] bool clean() const {
    return peer.outcome == ConnectOutcome::accept && peer.close != PeerClose::reset &&
           (from.close == GuestClose::after_send || from.close == GuestClose::after_peer_fin);
  }
};

enum class DatagramService : std::uint8_t { echo, black_hole, refuse, name_server };

struct DatagramServer {
  Endpoint at;
  DatagramService service = DatagramService::echo;
};

// One guest socket that sends datagrams to one server or to several in turn.
struct DatagramPlan {
  Endpoint guest;
  std::vector<std::size_t> servers;  // indices into Plan::datagram_servers
  Duration start{0};
  std::uint32_t count = 10;
  std::uint32_t size = 100;  // at most; each draws its own
  bool equal_sizes = false;
  Duration interval{1ms};
};

struct PingPlan {
  Address guest;
  Address server;
  std::uint16_t id = 0;
  Duration start{0};
  std::uint32_t count = 3;
  std::uint32_t size = 56;
};

// The guest's ports from here on are the noise's; the plans use lower ones.
inline constexpr std::uint16_t kNoisePorts = 50000;

struct NoisePlan {
  std::uint32_t malformed = 0;  // frames made from valid ones by chance
  std::uint32_t chaos = 0;      // well-formed TCP segments of no connection, with any flags
  std::uint32_t services = 0;   // ARP, neighbour and router solicitations, DHCP
  std::uint32_t queries = 0;    // DNS
  Duration period{10s};         // all of it is spread over this time
};

struct HostPlan {
  double spurious = 0;       // chance per turn of an event that says nothing new
  double datagram_loss = 0;  // by the network behind the host
  double datagram_full = 0;  // send_datagram() says would_block
  std::uint32_t max_sockets = 100000;
};

// Of the stack under test.
struct StackPlan {
  std::size_t half_open = 4096;
  std::size_t pieces = 4096;  // of payload memory

  // So little memory that a run may use it up.
  [[nodiscard]] bool scarce_memory() const { return pieces < 1024; }
};

struct Plan {
  std::uint64_t seed = 0;
  std::vector<std::uint8_t> choices;  // of the run: a fuzzer's, before the seed's
  std::string summary;
  link::Network network;
  LinkPlan link;
  HostPlan host;
  StackPlan stack;
  std::vector<FlowPlan> flows;
  std::vector<DatagramServer> datagram_servers;
  std::vector<DatagramPlan> datagrams;
  std::vector<PingPlan> pings;
  NoisePlan noise;
};

}  // namespace sf::sim
