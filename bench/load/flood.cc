// What a hostile guest sends as fast as it can: SYNs, segments of no connection (ack), datagrams or
// fragments, from and to whatever numbers. It needs a raw socket, which the guest's root has. It ends after
// --seconds, or when it is told to (SIGTERM).
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "common.hh"

namespace sf::load {
namespace {

constexpr std::size_t kBatch = 64;
constexpr std::size_t kIpHeader = 20;
constexpr std::size_t kTcpHeader = 20;
constexpr std::size_t kUdpHeader = 8;
constexpr std::size_t kPayload = 16;

using Packet = std::array<std::uint8_t, kIpHeader + kTcpHeader + kPayload>;

void put16(std::uint8_t* at, std::uint32_t value) {
  at[0] = static_cast<std::uint8_t>(value >> 8);
  at[1] = static_cast<std::uint8_t>(value);
}
void put32(std::uint8_t* at, std::uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value);
}

volatile sig_atomic_t told_to_end = 0;

class Flood {
 public:
  explicit Flood(const Options& options)
      : kind_(options.text("kind", "syn")),
        from_(number_of(options.text("from", "10.0.2.100"))),
        network_(number_of(options.text("to"))),
        spread_(static_cast<std::uint32_t>(options.number("spread", 1))),
        port_(static_cast<std::uint32_t>(options.number("port", 0))),
        rate_(options.number("rate", 0)),
        duration_(static_cast<std::int64_t>(options.real("seconds", 1) * 1e9)),
        socket_(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW)) {
    check(socket_, "open a raw socket");
    if (kind_ != "syn" && kind_ != "ack" && kind_ != "udp" && kind_ != "fragments")
      give_up("a flood is of syn, ack, udp or fragments");
  }

  int run() {
    const std::int64_t begin = now();
    std::uint64_t sent = 0;
    std::uint64_t refused = 0;
    while (now() < begin + duration_ && told_to_end == 0) {
      if (rate_ > 0 && static_cast<std::int64_t>(sent) > rate_ * (now() - begin) / kSecond) {
        const timespec nap{.tv_sec = 0, .tv_nsec = kMillisecond};
        nanosleep(&nap, nullptr);
        continue;
      }
      for (std::size_t i = 0; i < kBatch; ++i) fill(i);
      const int done = sendmmsg(socket_, messages_.data(), kBatch, 0);
      if (done > 0) sent += static_cast<std::uint64_t>(done);
      // A full queue of the device, and what came back about an earlier packet.
      if (done < 0) ++refused;
    }
    const double seconds = static_cast<double>(now() - begin) / 1e9;
    std::printf("{\"rate\": %.0f, \"count\": %llu, \"refused\": %llu}\n", static_cast<double>(sent) / seconds,
                static_cast<unsigned long long>(sent), static_cast<unsigned long long>(refused));
    return 0;
  }

 private:
  static std::uint32_t number_of(const std::string& text) {
    in_addr address{};
    if (inet_pton(AF_INET, text.c_str(), &address) != 1) give_up("not an IPv4 address: " + text);
    return ntohl(address.s_addr);
  }
  std::uint32_t any() { return static_cast<std::uint32_t>(random_()); }
  std::uint32_t any_port() { return 1024 + any() % 64000; }

  void fill(std::size_t i) {
    Packet& packet = packets_[i];
    packet.fill(0);
    const std::uint32_t to = network_ + any() % spread_;
    std::size_t size = kIpHeader;
    packet[0] = 0x45;
    put16(&packet[4], any());
    packet[8] = 64;
    put32(&packet[12], from_);
    put32(&packet[16], to);
    if (kind_ == "syn" || kind_ == "ack") {
      packet[9] = IPPROTO_TCP;
      fill_syn(packet, to);
      size += kTcpHeader;
    } else {
      packet[9] = IPPROTO_UDP;
      put16(&packet[20], any_port());
      put16(&packet[22], port_ != 0 ? port_ : any_port());
      put16(&packet[24], kUdpHeader + kPayload);  // without a checksum
      size += kUdpHeader + kPayload;
      // First ones and later ones, none of which ever become a whole.
      if (kind_ == "fragments") put16(&packet[6], 0x2000 | (any() % 2) * (1 + any() % 1000));
    }
    put16(&packet[2], static_cast<std::uint32_t>(size));
    parts_[i] = {packet.data(), size};
    names_[i].sin_family = AF_INET;
    names_[i].sin_addr.s_addr = htonl(to);
    messages_[i].msg_hdr = {};
    messages_[i].msg_hdr.msg_name = &names_[i];
    messages_[i].msg_hdr.msg_namelen = sizeof(names_[i]);
    messages_[i].msg_hdr.msg_iov = &parts_[i];
    messages_[i].msg_hdr.msg_iovlen = 1;
  }

  void fill_syn(Packet& packet, std::uint32_t to) {
    std::uint8_t* tcp = &packet[kIpHeader];
    put16(tcp, any_port());
    put16(tcp + 2, port_ != 0 ? port_ : any_port());
    put32(tcp + 4, any());
    tcp[12] = 0x50;
    tcp[13] = kind_ == "syn" ? 0x02 : 0x10;  // SYN, ACK
    put16(tcp + 14, 64240);
    std::uint32_t sum =
        (from_ >> 16) + (from_ & 0xffff) + (to >> 16) + (to & 0xffff) + IPPROTO_TCP + kTcpHeader;
    for (std::size_t at = 0; at < kTcpHeader; at += 2)
      sum += static_cast<std::uint32_t>(tcp[at] << 8 | tcp[at + 1]);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    put16(tcp + 16, ~sum);
  }

  std::string kind_;
  std::uint32_t from_;
  std::uint32_t network_;
  std::uint32_t spread_;
  std::uint32_t port_;
  std::int64_t rate_;
  std::int64_t duration_;
  int socket_;
  std::minstd_rand random_{1};
  std::array<Packet, kBatch> packets_{};
  std::array<iovec, kBatch> parts_{};
  std::array<sockaddr_in, kBatch> names_{};
  std::array<mmsghdr, kBatch> messages_{};
};

}  // namespace

int flood(const Options& options) {
  signal(SIGTERM, [](int) { told_to_end = 1; });
  return Flood(options).run();
}

}  // namespace sf::load
