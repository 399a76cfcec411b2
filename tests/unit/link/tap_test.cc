#include "link/tap.hh"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "link/to_guest.hh"
#include "unit/link/fake_link.hh"
#include "unit/support/own_namespace.hh"

namespace sf::link {
namespace {

// A Tap on one end of a socket pair that keeps frames apart, as the device does.
struct Pair {
  explicit Pair(bool vnet_header) {
    int fds[2] = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    far.reset(fds[0]);
    tap.emplace(UniqueFd(fds[1]), vnet_header, kAllFeatures);
  }
  std::vector<std::uint8_t> take_far() const {
    std::vector<std::uint8_t> bytes(kMaxFrame);
    const ssize_t count = ::recv(far.get(), bytes.data(), bytes.size(), 0);
    EXPECT_GE(count, 0);
    bytes.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return bytes;
  }
  void put_far(Bytes bytes) const {
    EXPECT_EQ(::send(far.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  }
  UniqueFd far;
  std::optional<Tap> tap;
};

// struct virtio_net_hdr on a little-endian machine, which all that we are tested on are.
std::vector<std::uint8_t> vnet(std::uint8_t flags, std::uint8_t type, std::uint8_t header_length = 0,
                               std::uint16_t gso_size = 0, std::uint8_t start = 0, std::uint8_t offset = 0) {
  return {flags,
          type,
          header_length,
          0,
          static_cast<std::uint8_t>(gso_size),
          static_cast<std::uint8_t>(gso_size >> 8),
          start,
          0,
          offset,
          0,
          0,
          0};
}

std::vector<std::uint8_t> joined(std::vector<std::uint8_t> a, const std::vector<std::uint8_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST(Tap, PutsTheHeaderBeforeFrames) {
  Pair pair(true);
  const auto frame = pattern(100);
  const std::array<Bytes, 3> parts{take(frame, 54), Bytes(frame).subspan(54, 10), drop(frame, 64)};
  ASSERT_EQ(pair.tap->features().udp_gso, true);
  Tap& tap = *pair.tap;
  ASSERT_EQ(tap.send(parts, {}), Status::ok);
  EXPECT_EQ(pair.take_far(), joined(vnet(0, 0), frame));
  wire::Offload offload{
      .checksum_needed = true, .checksum_start = 34, .checksum_offset = 16, .header_length = 54};
  ASSERT_EQ(tap.send(parts, offload), Status::ok);
  EXPECT_EQ(pair.take_far(), joined(vnet(1, 0, 0, 0, 34, 16), frame));
  const std::pair<wire::GsoType, std::uint8_t> types[] = {
      {wire::GsoType::tcp4, 1}, {wire::GsoType::tcp6, 4}, {wire::GsoType::udp, 5}};
  for (const auto& [gso, type] : types) {
    offload.gso = gso;
    offload.gso_size = 1448;
    ASSERT_EQ(tap.send(parts, offload), Status::ok);
    EXPECT_EQ(pair.take_far(), joined(vnet(1, type, 54, 1448, 34, 16), frame));
  }
}

TEST(Tap, ReadsTheHeaderOfFrames) {
  Pair pair(true);
  const auto bytes = pattern(90);
  std::vector<std::uint8_t> buffer(kMaxFrame);
  Frame frame;
  EXPECT_EQ(pair.tap->receive(buffer, frame), Status::empty);
  const std::pair<std::vector<std::uint8_t>, wire::Offload> cases[] = {
      {vnet(0, 0), {}},
      {vnet(2, 0), {.checksum_valid = true}},
      {vnet(1, 0, 0, 0, 34, 6), {.checksum_needed = true, .checksum_start = 34, .checksum_offset = 6}},
      {vnet(1, 1, 54, 1448, 34, 16),
       {.checksum_needed = true,
        .checksum_start = 34,
        .checksum_offset = 16,
        .gso = wire::GsoType::tcp4,
        .gso_size = 1448,
        .header_length = 54}},
      // With the flag for ECN.
      {vnet(0, 0x84, 74, 1428), {.gso = wire::GsoType::tcp6, .gso_size = 1428, .header_length = 74}},
      {vnet(0, 5, 42, 1472), {.gso = wire::GsoType::udp, .gso_size = 1472, .header_length = 42}},
  };
  for (const auto& [header, offload] : cases) {
    pair.put_far(joined(header, bytes));
    ASSERT_EQ(pair.tap->receive(buffer, frame), Status::ok);
    EXPECT_EQ(std::vector<std::uint8_t>(frame.bytes.begin(), frame.bytes.end()), bytes);
    EXPECT_EQ(frame.offload, offload);
  }
}

TEST(Tap, PassesOverWhatItDidNotAskFor) {
  Pair pair(true);
  pair.put_far(joined(vnet(0, 3, 42, 1472), pattern(90)));  // UFO
  pair.put_far(pattern(11));                                // less than a header
  pair.put_far(joined(vnet(0, 0), pattern(60)));
  std::vector<std::uint8_t> buffer(kMaxFrame);
  Frame frame;
  ASSERT_EQ(pair.tap->receive(buffer, frame), Status::ok);
  EXPECT_EQ(frame.bytes.size(), 60U);
  EXPECT_EQ(pair.tap->receive(buffer, frame), Status::empty);
}

TEST(Tap, WorksWithoutTheHeader) {
  Pair pair(false);
  EXPECT_FALSE(pair.tap->features().checksum || pair.tap->features().tcp4_gso ||
               pair.tap->features().udp_gso);
  const auto bytes = pattern(60);
  ASSERT_EQ(pair.tap->send(std::array{Bytes{bytes}}, {}), Status::ok);
  EXPECT_EQ(pair.take_far(), bytes);
  pair.put_far(bytes);
  std::vector<std::uint8_t> buffer(kMaxFrame);
  Frame frame;
  ASSERT_EQ(pair.tap->receive(buffer, frame), Status::ok);
  EXPECT_EQ(frame.bytes.size(), 60U);
  EXPECT_EQ(frame.offload, wire::Offload{});
}

// --- a real device, in a network namespace of a child's
// --------------------------------------------------------------

using test::in_own_namespace;
using test::kSkipped;

// In kernel headers from Linux 6.2 on.
constexpr unsigned kTunUso4 = 0x20, kTunUso6 = 0x40;

int open_tap(ifreq& request) {
  const int fd = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return -1;
  std::strcpy(request.ifr_name, "tap0");
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  int size = Tap::kVnetHeaderSize;
  if (::ioctl(fd, TUNSETIFF, &request) != 0 || ::ioctl(fd, TUNSETVNETHDRSZ, &size) != 0) return -1;
  return fd;
}

TEST(TapDevice, DropsWhileTheInterfaceIsDown) {
  in_own_namespace([] {
    ifreq request{};
    const int fd = open_tap(request);
    if (fd < 0) return kSkipped;
    Tap tap(UniqueFd(fd), true, kAllFeatures);
    std::vector<std::uint8_t> buffer(kMaxFrame);
    Frame frame;
    const auto bytes = pattern(60);
    CHILD_EXPECT(tap.receive(buffer, frame) == Status::empty);
    CHILD_EXPECT((tap.send(std::array{Bytes{bytes}}, {}) == Status::dropped));
    const UniqueFd control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    request.ifr_flags = IFF_UP;
    CHILD_EXPECT(::ioctl(control.get(), SIOCSIFFLAGS, &request) == 0);
    CHILD_EXPECT(tap.send(std::array{Bytes{bytes}}, {}) == Status::ok);
    // A frame that the driver refuses is no reason to give up.
    const wire::Offload nonsense{.checksum_needed = true, .checksum_start = 1000, .checksum_offset = 16};
    CHILD_EXPECT(tap.send(std::array{Bytes{bytes}}, nonsense) == Status::dropped);
    CHILD_EXPECT(tap.send(std::array{Bytes{bytes}}, {}) == Status::ok);
    return 0;
  });
}

TEST(TapDevice, TellsThatItIsGone) {
  in_own_namespace([] {
    ifreq request{};
    const int fd = open_tap(request);
    if (fd < 0) return kSkipped;
    Tap tap(UniqueFd(fd), true, kAllFeatures);
    CHILD_EXPECT(test::shell("ip link delete tap0"));
    std::vector<std::uint8_t> buffer(kMaxFrame);
    Frame frame;
    const auto bytes = pattern(60);
    CHILD_EXPECT(tap.receive(buffer, frame) == Status::gone);
    CHILD_EXPECT(tap.send(std::array{Bytes{bytes}}, {}) == Status::gone);
    return 0;
  });
}

// The kernel of the guest takes what ToGuest makes of datagrams: whole ones, super-frames, and fragments.
TEST(TapDevice, DeliversDatagramsToTheGuest) {
  in_own_namespace([] {
    ifreq request{};
    const int fd = open_tap(request);
    if (fd < 0) return kSkipped;
    const unsigned wanted = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | kTunUso4 | kTunUso6;
    if (::ioctl(fd, TUNSETOFFLOAD, wanted) != 0) return kSkipped;  // before Linux 6.2
    Tap tap(UniqueFd(fd), true, kAllFeatures);
    CHILD_EXPECT(test::shell(
        "ip link set tap0 address 02:00:00:00:00:01 up && ip addr add 10.0.2.100/24 dev tap0 && "
        "ip addr add fd00::100/64 dev tap0 nodad && ip route add default via 10.0.2.2 dev tap0 && "
        "ip route add default via fd00::2 dev tap0"));
    ToGuest to_guest(tap, MacAddress{{2, 0, 0, 0, 0, 2}}, 1500);
    const MacAddress guest{{2, 0, 0, 0, 0, 1}};
    for (const bool v4 : {true, false}) {
      const UniqueFd socket(::socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      const timeval limit{.tv_sec = 5, .tv_usec = 0};
      const int room = 4'000'000;
      ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
      ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
      sockaddr_in6 any{};
      any.sin6_family = v4 ? AF_INET : AF_INET6;
      any.sin6_port = htons(4000);
      const socklen_t any_size = v4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
      CHILD_EXPECT(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&any), any_size) == 0);
      wire::IpHeader ip;
      ip.source = *Address::parse(v4 ? "198.51.100.7" : "2001:db8::7");
      ip.destination = *Address::parse(v4 ? "10.0.2.100" : "fd00::100");
      const std::pair<std::size_t, std::uint16_t> cases[] = {
          {1400, 0},        {64 * 900, 900}, {130 * 100 + 1, 100}, {40 * 1400 + 7, 1400},
          {3 * 3000, 3000}, {65507, 0}};
      for (const auto& [size, segment] : cases) {
        const auto data = pattern(size);
        CHILD_EXPECT(to_guest.send_udp(guest, ip, 53, 4000, data, segment) == Status::ok);
        for (Bytes left = data; !left.empty();) {
          const Bytes expected = take(left, segment != 0 ? segment : size);
          std::vector<std::uint8_t> one(65536);
          const ssize_t count = ::recv(socket.get(), one.data(), one.size(), 0);
          CHILD_EXPECT(count == static_cast<ssize_t>(expected.size()));
          CHILD_EXPECT(std::equal(expected.begin(), expected.end(), one.begin()));
          left = drop(left, expected.size());
        }
      }
    }
    CHILD_EXPECT(to_guest.counters().dropped == 0);
    return 0;
  });
}

}  // namespace
}  // namespace sf::link
