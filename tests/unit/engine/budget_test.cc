// What moving data costs in calls of the system and in allocations, counted: no timing, so no excuse. Each
// limit has the figure of today beside it; whoever makes one worse has to say so here.
//
// Each call of Link and Host is one system call on Linux, and each turn of the loop one more (epoll_wait).
#include <cstdlib>
#include <new>

#include "unit/engine/shard_fixture.hh"
#include "unit/support/scripted_host.hh"

namespace {
std::uint64_t allocations = 0;
}

// The sanitizers have theirs: what is counted here is the release build's.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
#endif

namespace sf::engine {
namespace {

using wire::IpProtocol;

// A kernel's worth of offloads; frames of the guest's come from `frames`, one after the other. Keeps only the
// head of the last frame that was sent.
class CountingLink final : public link::Link {
 public:
  link::Status receive(MutBytes buffer, link::Frame& frame) override {
    ++calls;
    if (next == frames.size() || next == until) return link::Status::empty;
    const link::SentFrame& source = frames[next++];
    std::copy(source.bytes.begin(), source.bytes.end(), buffer.begin());
    frame.bytes = buffer.first(source.bytes.size());
    frame.offload = source.offload;
    return link::Status::ok;
  }
  link::Status send(std::span<const Bytes> parts, const wire::Offload&) override {
    ++calls;
    ++sent;
    head_size = std::min(parts[0].size(), head.size());
    std::copy_n(parts[0].begin(), head_size, head.begin());
    payload = 0;
    for (const Bytes part : parts.subspan(1)) payload += part.size();
    return link::Status::ok;
  }
  [[nodiscard]] link::Features features() const override {
    return {.checksum = true, .tcp4_gso = true, .tcp6_gso = true, .big_tcp = true, .udp_gso = true};
  }

  std::vector<link::SentFrame> frames;
  std::size_t next = 0;
  std::size_t until = ~std::size_t{0};
  std::array<std::uint8_t, 128> head{};
  std::size_t head_size = 0;
  std::size_t payload = 0;
  std::uint64_t calls = 0;
  std::uint64_t sent = 0;
};

class CountingHost final : public host::ScriptedHost {
 public:
  tl::expected<host::SocketId, host::HostError> connect_stream(const Endpoint&, host::Token t) override {
    ++calls;
    token = t;
    return host::SocketId{1};
  }
  host::HostError finish_connect(host::SocketId) override {
    ++calls;
    return host::HostError::none;
  }
  host::IoResult send(host::SocketId, std::span<const Bytes> pieces) override {
    ++calls;
    host::IoResult result;
    for (const Bytes piece : pieces) result.bytes += piece.size();
    taken += result.bytes;
    return result;
  }
  host::IoResult receive(host::SocketId, std::span<const MutBytes> into) override {
    ++calls;
    host::IoResult result;
    for (const MutBytes part : into) result.bytes += std::min(part.size(), incoming - result.bytes);
    incoming -= result.bytes;
    if (result.bytes == 0 && !ended) result.error = host::HostError::would_block;
    return result;
  }
  void shutdown_send(host::SocketId) override { ++calls; }
  void abort(host::SocketId) override { ++calls; }
  void close(host::SocketId) override { ++calls; }
  tl::expected<host::SocketId, host::HostError> open_datagram(host::DatagramKind, bool,
                                                              host::Token t) override {
    token = t;
    return host::SocketId{2};
  }
  host::DatagramsSent send_datagrams(host::SocketId,
                                     std::span<const host::OutgoingDatagram> datagrams) override {
    ++calls;
    taken += datagrams.size();
    return {datagrams.size(), host::HostError::none};
  }
  std::span<const host::ReceivedDatagram> receive_datagrams(host::SocketId) override {
    ++calls;
    return std::exchange(arrived, {});
  }

  host::Token token = 0;
  std::size_t taken = 0;
  std::size_t incoming = 0;
  bool ended = false;
  std::span<const host::ReceivedDatagram> arrived;
  std::uint64_t calls = 0;
};

class Budget : public ShardTest {
 protected:
  static constexpr std::size_t kUnit = 65536;

  Budget() : shard2_(config_, link2_, host2_, log_) { turn2(); }

  // As the event loop: one wait, events, and turns until nothing is left.
  void turn2(host::Readiness readiness = {}) {
    ++waits_;
    if (readiness.readable || readiness.writable) shard2_.on_socket_event(host2_.token, readiness, now_);
    shard2_.on_link_readable(now_);
    while (shard2_.end_turn(now_) <= now_) ++waits_;
  }
  [[nodiscard]] std::uint64_t calls() const { return link2_.calls + host2_.calls + waits_; }

  // A frame of the guest's; with more payload than a segment has, a super-frame.
  link::SentFrame guest_frame(const wire::TcpSegment& segment, Bytes payload = {}) {
    EXPECT_EQ(
        super_.send_tcp(kGatewayMac, ip_to(remote(), IpProtocol::tcp), segment, std::array{payload}, 1400),
        link::Status::ok);
    link::SentFrame frame = std::move(super_link_.sent.back());
    super_link_.sent.clear();
    return frame;
  }
  wire::TcpSegment data(std::uint32_t sequence, std::uint32_t acknowledgment) const {
    wire::TcpSegment s = syn();
    s.source_port = port_;
    s.flags = {};
    s.flags.ack = true;
    s.sequence = sequence;
    s.acknowledgment = acknowledgment;
    return s;
  }
  // Sequence number behind what was sent last.
  [[nodiscard]] std::uint32_t heard_end() const {
    const std::size_t ip = wire::kEthernetHeaderSize;
    const std::size_t tcp = ip + (v4() ? 20U : link2_.head[ip + 6] == 0 ? 48U : 40U);
    const bool bit = (link2_.head[tcp + 13] & 0x03) != 0;  // SYN or FIN
    return load_be32(&link2_.head[tcp + 4]) + static_cast<std::uint32_t>(link2_.payload) + (bit ? 1 : 0);
  }
  void hear(link::SentFrame frame, host::Readiness readiness = {}) {
    const std::uint64_t before = allocations;
    link2_.frames.clear();
    link2_.next = 0;
    link2_.frames.push_back(std::move(frame));
    allocations = before;
    turn2(readiness);
  }
  void connect() {
    wire::TcpSegment first = syn();
    first.source_port = port_;
    first.options.window_scale = 7;
    hear(guest_frame(first));
    turn2({.writable = true});
    theirs_ = heard_end();
    hear(guest_frame(data(1001, theirs_)));
  }

  CountingLink link2_;
  CountingHost host2_;
  Shard shard2_;
  link::FakeLink super_link_{link::kAllFeatures};
  link::ToGuest super_{super_link_, kGuestMac, 1500};
  std::uint64_t waits_ = 0;
  std::uint16_t port_ = 40000;
  std::uint32_t theirs_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Versions, Budget, testing::Bool(), version_name);

TEST_P(Budget, TcpFromTheGuest) {
  connect();
  // 8 super-frames per turn: half of the window that we offer.
  constexpr std::size_t kPayload = 46 * 1400;
  constexpr std::size_t kPerTurn = 8;
  const auto payload = link::pattern(kPayload);
  link2_.frames.clear();
  link2_.next = 0;
  for (std::size_t i = 0; i <= 20 * kPerTurn; ++i) {
    link2_.frames.push_back(
        guest_frame(data(static_cast<std::uint32_t>(1001 + i * kPayload), theirs_), payload));
  }
  std::uint64_t calls_before = 0;
  std::uint64_t allocations_before = 0;
  for (std::size_t turn = 0; turn < 20; ++turn) {
    if (turn == 4) {  // what there is to grow has grown
      calls_before = calls();
      allocations_before = allocations;
      host2_.taken = 0;
    }
    link2_.until = 1 + turn * kPerTurn;  // a window that is not scaled yet comes first
    turn2();
  }
  EXPECT_EQ(host2_.taken, 16 * kPerTurn * kPayload);
  EXPECT_EQ(allocations - allocations_before, 0U);
  const double units = static_cast<double>(host2_.taken) / kUnit;
  const double each = static_cast<double>(calls() - calls_before) / units;
  RecordProperty("calls_per_64KiB", std::to_string(each));
  EXPECT_LE(each,
            2.56);  // 2.55: per frame one read, one send; per turn of 8 one empty read, one wait, 2 ACKs
}

TEST_P(Budget, TcpToTheGuest) {
  connect();
  const auto ack = [&] {
    return guest_frame([&] {
      wire::TcpSegment s = data(1001, heard_end());
      s.window = 0x4000;  // 2 MiB
      return s;
    }());
  };
  hear(ack());
  host2_.incoming = std::size_t{1} << 30;
  turn2({.readable = true});
  std::uint64_t calls_before = 0;
  std::uint64_t allocated = 0;
  std::size_t incoming_before = 0;
  for (int turn = 0; turn < 40; ++turn) {
    if (turn == 20) {
      calls_before = calls();
      incoming_before = host2_.incoming;
      allocated = 0;
    }
    link::SentFrame frame = ack();
    const std::uint64_t before = allocations;
    hear(std::move(frame));
    allocated += allocations - before;
  }
  EXPECT_EQ(allocated, 0U);
  const double units = static_cast<double>(incoming_before - host2_.incoming) / kUnit;
  ASSERT_GT(units, 20);
  const double each = static_cast<double>(calls() - calls_before) / units;
  RecordProperty("calls_per_64KiB", std::to_string(each));
  EXPECT_LE(each, 1.0);  // 0.94
}

TEST_P(Budget, UdpFromTheGuest) {
  const auto payload = link::pattern(1400);
  for (std::size_t i = 0; i < 32 * 6; ++i) {
    ASSERT_EQ(super_.send_udp(kGatewayMac, ip_to(remote(), IpProtocol::udp), 5000, 9, payload),
              link::Status::ok);
  }
  link2_.frames = std::move(super_link_.sent);
  std::uint64_t calls_before = 0;
  std::uint64_t allocations_before = 0;
  for (std::size_t turn = 0; turn < 6; ++turn) {
    if (turn == 2) {
      calls_before = calls();
      allocations_before = allocations;
    }
    link2_.until = (turn + 1) * 32;
    turn2();
  }
  EXPECT_EQ(host2_.taken, 6U * 32);
  EXPECT_EQ(allocations - allocations_before, 0U);
  // 32 frames, that there is no more, one send, two waits (the turn's budget has ended once).
  EXPECT_LE(calls() - calls_before, 4U * 36);
}

TEST_P(Budget, UdpToTheGuest) {
  hear([&] {
    EXPECT_EQ(super_.send_udp(kGatewayMac, ip_to(remote(), IpProtocol::udp), 5000, 9, {}), link::Status::ok);
    return std::move(super_link_.sent.back());
  }());
  const auto payload = link::pattern(1400);
  std::vector<host::ReceivedDatagram> arrived(host::Host::kDatagramBatch);
  for (host::ReceivedDatagram& one : arrived) {
    one.from = {remote(), 9};
    one.payload = payload;
  }
  std::uint64_t calls_before = 0;
  std::uint64_t allocations_before = 0;
  for (int turn = 0; turn < 6; ++turn) {
    if (turn == 2) {
      calls_before = calls();
      allocations_before = allocations;
    }
    host2_.arrived = arrived;
    turn2({.readable = true});
  }
  EXPECT_EQ(link2_.payload, 16U * 1400);
  EXPECT_EQ(allocations - allocations_before, 0U);
  // The datagrams, that there are no more, one super-frame, the frame that is not there, one wait.
  EXPECT_LE(calls() - calls_before, 4U * 5);
}

// A connection with a request and an answer, from its SYN to the end.
TEST_P(Budget, AConnection) {
  const auto request = link::pattern(200);
  std::uint64_t calls_before = 0;
  std::uint64_t allocated = 0;
  for (int i = 0; i < 24; ++i) {
    if (i == 8) {
      calls_before = calls();
      allocated = 0;
    }
    ++port_;
    const std::uint64_t before = allocations;
    std::uint64_t own = 0;
    const auto built = [&](const wire::TcpSegment& segment, Bytes payload = {}) {
      const std::uint64_t start = allocations;
      link::SentFrame frame = guest_frame(segment, payload);
      own += allocations - start;
      return frame;
    };
    wire::TcpSegment first = syn();
    first.source_port = port_;
    first.options.window_scale = 7;
    hear(built(first));
    turn2({.writable = true});
    theirs_ = heard_end();
    hear(built(data(1001, theirs_)));
    hear(built(data(1001, theirs_), request));
    host2_.incoming = 1000;
    host2_.ended = true;
    turn2({.readable = true, .read_closed = true});
    host2_.ended = false;
    wire::TcpSegment last = data(1201, heard_end());
    last.flags.fin = true;
    hear(built(last));
    now_ += tcp::Connection::kTimeWait;
    turn2();
    EXPECT_EQ(shard2_.flow_count(), 0U) << i;
    allocated += allocations - before - own;
  }
  RecordProperty("calls", std::to_string(static_cast<double>(calls() - calls_before) / 16));
  RecordProperty("allocations", std::to_string(static_cast<double>(allocated) / 16));
  EXPECT_LE(calls() - calls_before, 16U * 30);  // 30
  EXPECT_EQ(allocated, 0U);
}

// Each takes the place of an older datagram, and its memory.
TEST(Budget, AFloodOfFragmentsAllocatesNothing) {
  Reassembly reassembly;
  const std::array<std::uint8_t, 24> payload{};
  wire::IpPacket packet;
  packet.source = Address::v4(10, 0, 2, 100);
  packet.destination = Address::v4(192, 0, 2, 1);
  packet.protocol = 17;
  packet.payload = packet.whole = payload;
  std::uint64_t before = 0;
  for (std::uint32_t id = 0; id < 1000; ++id) {
    if (id == Reassembly::kSlots) before = allocations;
    packet.fragment = wire::Fragment{id, id % 2 * 1480, true};
    static_cast<void>(reassembly.add(packet, {}, Time(1000s)));
  }
  EXPECT_EQ(allocations - before, 0U);
}

}  // namespace
}  // namespace sf::engine
