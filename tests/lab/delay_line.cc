// A user-space delay line between two network namespaces, for kernels without netem.
//
//   namespace A, TAP  ->  [queue of one BDP, rate limit]  ->  [fixed delay]  ->  namespace B, TAP      (and
//   back)
//
// With offloads (the default) a frame is up to 64 KiB and stays one frame: fast enough for a thousand Mbit/s.
// With
// --loss the offloads are off, so that a loss hits one packet and not forty. Linux only; needs root in its
// world.
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
// The TAP's default prefix of a frame. <linux/virtio_net.h> has a field named `class`, which C++ cannot read.
struct VnetHeader {
  std::uint8_t flags, gso_type;
  std::uint16_t hdr_len, gso_size, csum_start, csum_offset;
};
constexpr std::size_t kVnetHeader = sizeof(VnetHeader);
static_assert(kVnetHeader == 10);
constexpr std::size_t kMaxFrame = kVnetHeader + 65536 + 64;
// Per packet on a real Ethernet besides what the TAP shows: preamble, FCS and the gap between frames.
constexpr std::int64_t kWireOverhead = 24;

struct Options {
  std::string left, right;  // "NETNS-PATH,TAP-NAME"
  std::int64_t delay = 20'000'000;
  double rate_mbit = 0;  // 0: no limit
  double loss = 0;
  std::uint64_t seed = 1;
};

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "delay_line: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

std::int64_t now() {
  timespec ts{};
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return ts.tv_sec * kSecond + ts.tv_nsec;
}

int open_tap(const std::string& where, bool offloads) {
  const auto comma = where.find(',');
  if (comma == std::string::npos) {
    errno = EINVAL;
    fail("an end is NETNS-PATH,TAP-NAME, not '" + where + "'");
  }
  const int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  const int target = open(where.substr(0, comma).c_str(), O_RDONLY | O_CLOEXEC);
  if (target < 0 || setns(target, CLONE_NEWNET) != 0) fail("enter " + where);
  const int tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (tap < 0) fail("open /dev/net/tun");
  ifreq request{};
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  where.substr(comma + 1).copy(request.ifr_name, IFNAMSIZ - 1);
  if (ioctl(tap, TUNSETIFF, &request) != 0) fail("create the TAP of " + where);
  const unsigned flags = offloads ? TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 : 0;
  if (ioctl(tap, TUNSETOFFLOAD, flags) != 0) fail("set the offloads of " + where);
  if (setns(home, CLONE_NEWNET) != 0) fail("return to the own namespace");
  close(home);
  close(target);
  return tap;
}

// What the frame would take on the wire, had it been cut into packets.
std::int64_t wire_bytes(const std::vector<std::uint8_t>& frame) {
  VnetHeader header{};
  std::memcpy(&header, frame.data(), sizeof(header));
  const auto bytes = static_cast<std::int64_t>(frame.size() - kVnetHeader);
  if (header.gso_type == 0 || header.gso_size == 0) return bytes + kWireOverhead;
  const std::int64_t headers = header.hdr_len;
  const std::int64_t packets = (bytes - headers + header.gso_size - 1) / header.gso_size;
  return bytes + (packets - 1) * headers + packets * kWireOverhead;
}

class Direction {
 public:
  Direction(int from, int to, const Options& options)
      : from_(from), to_(to), delay_(options.delay), loss_(options.loss), random_(options.seed) {
    if (options.rate_mbit > 0) {
      nanoseconds_per_byte_ = 8000.0 / options.rate_mbit;
      queue_limit_ = 2 * options.delay;  // a bandwidth-delay product, expressed as time
    }
  }

  void take(std::int64_t time) {
    for (int i = 0; i < 64; ++i) {
      buffer_.resize(kMaxFrame);
      const ssize_t got = read(from_, buffer_.data(), buffer_.size());
      if (got < 0) return;
      buffer_.resize(static_cast<std::size_t>(got));
      if (loss_ > 0 && std::uniform_real_distribution<>(0, 1)(random_) < loss_) continue;
      std::int64_t leaves = time;
      if (nanoseconds_per_byte_ > 0) {
        if (free_at_ - time > queue_limit_) continue;  // tail drop
        free_at_ =
            std::max(free_at_, time) +
            static_cast<std::int64_t>(static_cast<double>(wire_bytes(buffer_)) * nanoseconds_per_byte_);
        leaves = free_at_;
      }
      in_flight_.push_back({leaves + delay_, buffer_});
    }
  }

  void give(std::int64_t time) {
    while (!in_flight_.empty() && in_flight_.front().at <= time) {
      const auto& frame = in_flight_.front().bytes;
      const ssize_t sent = write(to_, frame.data(), frame.size());
      static_cast<void>(sent);  // an end that is down loses frames, as a cable does
      in_flight_.pop_front();
    }
  }

  std::int64_t next() const { return in_flight_.empty() ? -1 : in_flight_.front().at; }

 private:
  struct Frame {
    std::int64_t at;
    std::vector<std::uint8_t> bytes;
  };
  int from_, to_;
  std::int64_t delay_, queue_limit_ = 0, free_at_ = 0;
  double nanoseconds_per_byte_ = 0, loss_;
  std::mt19937_64 random_;
  std::deque<Frame> in_flight_;
  std::vector<std::uint8_t> buffer_;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const auto equals = word.find('=');
    const auto key = word.substr(0, equals);
    const std::string value(equals == std::string_view::npos ? "" : word.substr(equals + 1));
    if (key == "--left")
      options.left = value;
    else if (key == "--right")
      options.right = value;
    else if (key == "--delay-ms")
      options.delay = static_cast<std::int64_t>(std::atof(value.c_str()) * 1e6);
    else if (key == "--rate-mbit")
      options.rate_mbit = std::atof(value.c_str());
    else if (key == "--loss")
      options.loss = std::atof(value.c_str());
    else if (key == "--seed")
      options.seed = static_cast<std::uint64_t>(std::atoll(value.c_str()));
    else {
      std::fprintf(stderr, "delay_line: no such option: %s\n", argv[i]);
      std::exit(2);
    }
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  const bool offloads = options.loss <= 0;
  const int left = open_tap(options.left, offloads);
  const int right = open_tap(options.right, offloads);
  Direction onward(left, right, options);
  Direction back(right, left, options);
  std::puts("ready");
  std::fflush(stdout);
  while (true) {
    std::int64_t next = onward.next();
    if (next < 0 || (back.next() >= 0 && back.next() < next)) next = back.next();
    timespec wait{};
    if (next >= 0) {
      const std::int64_t left_over = std::max<std::int64_t>(0, next - now());
      wait = {left_over / kSecond, left_over % kSecond};
    }
    pollfd ends[2] = {{left, POLLIN, 0}, {right, POLLIN, 0}};
    if (ppoll(ends, 2, next < 0 ? nullptr : &wait, nullptr) < 0 && errno != EINTR) fail("wait for frames");
    const std::int64_t time = now();
    if (ends[0].revents != 0) onward.take(time);
    if (ends[1].revents != 0) back.take(time);
    onward.give(now());
    back.give(now());
  }
}
