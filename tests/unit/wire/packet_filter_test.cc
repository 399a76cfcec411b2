// The filter's machine beside libpcap's own, over what libpcap compiles; and programs that it never would.
#include "wire/packet_filter.hh"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pcap/pcap.h>

#include <random>
#include <span>

#include "wire/pcapng.hh"

namespace sf::wire {
namespace {

using testing::HasSubstr;

using Frame = std::vector<std::uint8_t>;

// Compiled by libpcap, run by both.
class Both {
 public:
  explicit Both(const std::string& text) {
    pcap_t* handle = ::pcap_open_dead(DLT_EN10MB, 262144);
    EXPECT_EQ(::pcap_compile(handle, &program_, text.c_str(), 1, PCAP_NETMASK_UNKNOWN), 0)
        << text << ": " << ::pcap_geterr(handle);
    ::pcap_close(handle);
    std::string printed = fmt::format("{}\n", program_.bf_len);
    for (const bpf_insn& one : std::span(program_.bf_insns, program_.bf_len))
      printed += fmt::format("{} {} {} {}\n", one.code, one.jt, one.jf, one.k);
    auto parsed = PacketFilter::parse(printed);
    EXPECT_TRUE(parsed) << text << ": " << (parsed ? "" : parsed.error().message);
    if (parsed) ours_ = *std::move(parsed);
  }
  ~Both() { ::pcap_freecode(&program_); }
  Both(const Both&) = delete;
  Both& operator=(const Both&) = delete;

  // What ours says, once it is the same as libpcap's.
  [[nodiscard]] bool accepts(const Frame& frame, std::size_t size) const {
    const bool theirs = ::bpf_filter(program_.bf_insns, frame.data(), static_cast<u_int>(size),
                                     static_cast<u_int>(frame.size())) != 0;
    EXPECT_EQ(ours_.accepts(frame, size), theirs);
    return theirs;
  }

 private:
  bpf_program program_{};
  PacketFilter ours_;
};

Frame ipv4_frame(std::uint8_t protocol, std::uint16_t from, std::uint16_t to, std::size_t payload,
                 std::size_t option_words = 0) {
  Frame frame(14 + 20 + 4 * option_words + 20 + payload);
  frame[12] = 0x08;
  frame[14] = static_cast<std::uint8_t>(0x45 + option_words);
  store_be16(&frame[16], static_cast<std::uint16_t>(frame.size() - 14));
  frame[23] = protocol;
  store_be32(&frame[26], 0x0a000264);  // 10.0.2.100
  store_be32(&frame[30], 0xc0000201);  // 192.0.2.1
  std::uint8_t* transport = &frame[34 + 4 * option_words];
  store_be16(transport, from);
  store_be16(transport + 2, to);
  transport[12] = 0x50;
  transport[13] = 0x12;  // SYN, ACK
  if (payload >= 4) store_be32(transport + 20, 0x47455420);
  return frame;
}

Frame ipv6_frame(std::uint8_t next, std::uint16_t from, std::uint16_t to) {
  Frame frame(14 + 40 + 20);
  frame[12] = 0x86;
  frame[13] = 0xdd;
  frame[14] = 0x60;
  frame[20] = next;
  frame[22] = 0xfd;
  frame[38] = 0x20;
  store_be16(&frame[54], from);
  store_be16(&frame[56], to);
  return frame;
}

constexpr std::array kFilters{
    "tcp",
    "udp port 53",
    "port 80 or port 443",
    "host 192.0.2.1",
    "net 10.0.0.0/8 and not icmp",
    "src host 10.0.2.100 and dst port 80",
    "ip6",
    "ip6 and tcp port 443",
    "icmp6",
    "arp",
    "ether host 02:00:00:00:00:01",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420",
    "greater 100",
    "less 70",
    "len > 60 and len < 1500",
    "vlan and host 192.0.2.1",
    "portrange 1000-2000",
    "ip[2:2] - ip[0] * 4 / 3 > 17",
    "ip[8] % 7 = 3 or ip[9] ^ 3 = 5 or -ip[1] > 4",
    "ip[0] << 3 > 100 or ip[0] >> ip[9] = 1",
    "ip[ip[0] & 3] = 69",
    "multicast or broadcast",
    "ip[6:2] & 0x1fff != 0",
    "ether[65535] = 1",
    "icmp[icmptype] = icmp-echo",
    "greater 5000",
    "not (tcp port 22)",
};

TEST(PacketFilter, says_what_libpcap_says) {
  const std::array frames{ipv4_frame(6, 40000, 80, 100),
                          ipv4_frame(6, 443, 1500, 3, 5),
                          ipv4_frame(17, 40000, 53, 40),
                          ipv4_frame(1, 0x0800, 0, 8),
                          ipv6_frame(6, 50000, 443),
                          ipv6_frame(58, 0x8700, 0),
                          Frame(42),
                          Frame{},
                          Frame(3, 0xff)};
  std::mt19937 random(1);
  for (const char* text : kFilters) {
    SCOPED_TRACE(text);
    const Both both(text);
    for (const Frame& whole : frames) {
      for (std::size_t size = 0; size <= whole.size(); ++size)
        static_cast<void>(
            both.accepts(Frame(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)), size));
      static_cast<void>(both.accepts(whole, 260'000));
      for (int change = 0; change < 200 && !whole.empty(); ++change) {
        Frame changed = whole;
        for (int i = 0; i < 3; ++i) changed[random() % changed.size()] = static_cast<std::uint8_t>(random());
        static_cast<void>(both.accepts(changed, changed.size() + random() % 2 * 60000));
      }
    }
  }
}

TEST(PacketFilter, accepts_and_refuses) {
  const Frame web = ipv4_frame(6, 40000, 80, 100);
  const Frame dns = ipv4_frame(17, 40000, 53, 40);
  EXPECT_TRUE(Both("tcp port 80").accepts(web, web.size()));
  EXPECT_FALSE(Both("tcp port 80").accepts(dns, dns.size()));
  EXPECT_TRUE(Both("udp port 53").accepts(dns, dns.size()));
  EXPECT_TRUE(Both("tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420").accepts(web, web.size()));
  EXPECT_TRUE(Both("greater 5000").accepts(web, 5000));  // the whole frame's size counts
  EXPECT_FALSE(Both("greater 5000").accepts(web, web.size()));
  EXPECT_TRUE(PacketFilter().accepts(dns, dns.size()));
}

// Whatever the program is: no byte beyond the frame, no endless loop, and the same as libpcap's machine.
TEST(PacketFilter, random_programs) {
  constexpr std::array<std::uint16_t, 44> kCodes{
      0x00, 0x01, 0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x60, 0x61, 0x80, 0x81, 0xb1, 0x02, 0x03,
      0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c, 0x44, 0x4c, 0x54, 0x5c, 0x64, 0x6c, 0x74,
      0x7c, 0x84, 0x94, 0x9c, 0xa4, 0xac, 0x05, 0x15, 0x1d, 0x25, 0x35, 0x45, 0x07, 0x87};
  std::mt19937 random(2);
  const Frame frame = ipv4_frame(6, 40000, 80, 100);
  int accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::vector<bpf_insn> program(2 + random() % 12);
    for (std::size_t i = 0; i < program.size(); ++i) {
      bpf_insn& one = program[i];
      const std::size_t behind = program.size() - i - 1;
      one.code = kCodes[random() % kCodes.size()];
      one.jt = static_cast<u_char>(random() % std::max<std::size_t>(behind, 1));
      one.jf = static_cast<u_char>(random() % std::max<std::size_t>(behind, 1));
      const bool jumps = (one.code & 7) == 5;
      one.k = jumps               ? one.jt
              : random() % 8 == 0 ? static_cast<u_int>(random())
                                  : static_cast<u_int>(random() % 16);
      const bool computes = (one.code & 7) == 4 && (one.code & 8) == 0;
      if (computes && one.k == 0) one.k = 1;
      // Shifts by 32 bits and more are not defined in libpcap's.
      if (computes && (one.code == 0x64 || one.code == 0x74)) one.k %= 32;
      const bool memory = one.code == 0x60 || one.code == 0x61 || one.code == 0x02 || one.code == 0x03;
      if (memory) one.k %= 16;
    }
    // libpcap's machine does not clear its memory.
    std::vector<bpf_insn> whole;
    for (u_int word = 0; word < 16; ++word) whole.push_back({0x02, 0, 0, word});
    whole.insert(whole.end(), program.begin(), program.end());
    whole.back() = {static_cast<u_short>(random() % 2 == 0 ? 0x06 : 0x16), 0, 0,
                    static_cast<u_int>(random() % 2)};
    std::string text = fmt::format("{}", whole.size());
    for (const bpf_insn& one : whole) text += fmt::format(" {} {} {} {}", one.code, one.jt, one.jf, one.k);
    const auto filter = PacketFilter::parse(text);
    ASSERT_TRUE(filter) << text << "\n" << filter.error().message;
    const auto size = static_cast<u_int>(frame.size());
    const bool theirs = ::bpf_filter(whole.data(), frame.data(), size, size) != 0;
    ASSERT_EQ(filter->accepts(frame, frame.size()), theirs) << text;
    accepted += theirs ? 1 : 0;
  }
  EXPECT_GT(accepted, 1000);
}

TEST(PacketFilter, what_is_no_program) {
  const auto why = [](std::string_view text) {
    const auto filter = PacketFilter::parse(text);
    return filter ? std::string("taken") : filter.error().message;
  };
  EXPECT_EQ(why("1\n6 0 0 262144\n"), "taken");
  EXPECT_EQ(why(" 2 40 0 0 12  6 0 0 1 "), "taken");
  for (const char* text : {"", "0", "x", "-1", "1x 6 0 0 1", "99999999999999999999999 6 0 0 1"})
    EXPECT_THAT(why(text), HasSubstr("tcpdump -ddd")) << text;
  EXPECT_THAT(why("2049 6 0 0 1"), HasSubstr("2049 instructions, of which there may be 2048"));
  EXPECT_THAT(why("1 6 0 0 1 6"), HasSubstr("more behind"));
  for (const char* text : {
           "1",                   // missing
           "1 6 0 0",             // half
           "1 6 0 0 x",           // no number
           "1 6 256 0 1",         // more than a byte
           "1 6 0 0 4294967296",  // more than a word
           "1 65536 0 0 1",       // no code
           "1 40 0 0 12",         // runs off the end
           "2 5 0 0 1 6 0 0 1",   // jumps to behind the end
           "2 5 0 0 4294967295 6 0 0 1",
           "2 5 0 0 4294967274 6 0 0 1",  // backwards, as for "protochain": that could go on for ever
           "2 21 1 0 1 6 0 0 1",          // the same where it holds
           "2 21 0 1 1 6 0 0 1",          // and where it does not
           "2 2 0 0 16 6 0 0 1",          // stores out of bounds
           "2 3 0 0 4294967295 6 0 0 1",
           "2 96 0 0 16 6 0 0 1",  // loads from there
           "2 97 0 0 16 6 0 0 1",
           "2 52 0 0 0 6 0 0 1",  // divides by 0
           "2 148 0 0 0 6 0 0 1",
           "2 56 0 0 0 6 0 0 1",   // no such size
           "2 224 0 0 0 6 0 0 1",  // no such mode
           "2 180 0 0 0 6 0 0 1",  // no such operation
           "2 85 0 0 0 6 0 0 1",   // no such condition
           "2 41 0 0 0 6 0 0 1",   // an index is not loaded from a frame
           "2 160 0 0 0 6 0 0 1",  // a header's length is for the index alone
           "1 14 0 0 0",           // no such return
           "2 15 0 0 0 6 0 0 1",   // no such move
           "2 32768 0 0 0 6 0 0 1",
       })
    EXPECT_THAT(why(text), HasSubstr("instruction 1 of the filter")) << text;
}

TEST(PacketFilter, division_by_the_index_register) {
  const Frame frame(20, 1);
  // A / X with X = 0, A % X: not wanted, instead of a fault.
  EXPECT_FALSE(PacketFilter::parse("3 1 0 0 0 60 0 0 0 6 0 0 1")->accepts(frame, 20));
  EXPECT_FALSE(PacketFilter::parse("3 1 0 0 0 156 0 0 0 6 0 0 1")->accepts(frame, 20));
  // Shifted out.
  EXPECT_FALSE(PacketFilter::parse("4 0 0 0 7 1 0 0 32 108 0 0 0 22 0 0 0")->accepts(frame, 20));
  // x + k beyond 32 bits is beyond the frame, not at its beginning.
  EXPECT_FALSE(PacketFilter::parse("3 1 0 0 4294967295 80 0 0 1 6 0 0 1")->accepts(frame, 20));
}

}  // namespace
}  // namespace sf::wire
