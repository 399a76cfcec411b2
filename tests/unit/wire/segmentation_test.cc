#include "wire/segmentation.hh"

#include <random>

#include "unit/wire/support.hh"
#include "wire/checksum.hh"
#include "wire/ethernet.hh"
#include "wire/ip.hh"
#include "wire/tcp.hh"
#include "wire/udp.hh"

namespace sf::wire {
namespace {

using namespace test;

// Frames made with scapy 2.5: 250 bytes (1, 2, 3 ...) in pieces of 100, behind headers with timestamps, CWR,
// PSH and FIN. Sequence numbers and identifications wrap on the way.
const char* const kTcp4Pieces[] = {
    "52540012345652550a000202080045000098ffff4000400603c2c63364070a00026400509c40ffffff9c0000004d8090"
    "01f4d2bb00000101080a00000008000000090102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e"
    "1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e"
    "4f505152535455565758595a5b5c5d5e5f6061626364",
    "52540012345652550a00020208004500009800004000400603c2c63364070a00026400509c40000000000000004d8010"
    "01f4373d00000101080a000000080000000965666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182"
    "838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2"
    "b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8",
    "52540012345652550a00020208004500006600014000400603f3c63364070a00026400509c40000000640000004d8019"
    "01f4917500000101080a0000000800000009c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6"
    "e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fa"};
const char* const kTcp6Pieces[] = {
    "52540012345652550a00020286dd600000000084064020010db8000100000000000000000007fd000000000000000000"
    "00000000010000509c40ffffff9c0000004d809001f4dd9800000101080a00000008000000090102030405060708090a"
    "0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a"
    "3b3c3d3e3f404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f6061626364",
    "52540012345652550a00020286dd600000000084064020010db8000100000000000000000007fd000000000000000000"
    "00000000010000509c40000000000000004d801001f4421a00000101080a000000080000000965666768696a6b6c6d6e"
    "6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e"
    "9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8",
    "52540012345652550a00020286dd600000000052064020010db8000100000000000000000007fd000000000000000000"
    "00000000010000509c40000000640000004d801901f49c5200000101080a0000000800000009c9cacbcccdcecfd0d1d2"
    "d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fa"};
const char* const kUdp6Pieces[] = {
    "52540012345652550a00020286dd60000000006c114020010db8000100000000000000000007fd000000000000000000"
    "00000000010001bb9c40006c67590102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122"
    "232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f505152"
    "535455565758595a5b5c5d5e5f6061626364",
    "52540012345652550a00020286dd60000000006c114020010db8000100000000000000000007fd000000000000000000"
    "00000000010001bb9c40006ccbbd65666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f80818283848586"
    "8788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6"
    "b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8",
    "52540012345652550a00020286dd60000000003a114020010db8000100000000000000000007fd000000000000000000"
    "00000000010001bb9c40003a2695c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9ea"
    "ebecedeeeff0f1f2f3f4f5f6f7f8f9fa"};

constexpr std::uint16_t kPiece = 100;

// The super-frame that the pieces came from: the first one's headers with FIN and PSH, and the payload of
// all. Lengths and checksums are left wrong: segmentation must not lean on them.
struct SuperFrame {
  Buffer headers;
  Buffer payload;
  Offload offload;
};

SuperFrame super_frame(std::span<const char* const> pieces, GsoType gso) {
  SuperFrame out;
  const bool v4 = gso == GsoType::tcp4;
  const std::size_t transport = kEthernetHeaderSize + (v4 ? 20U : 40U);
  const std::size_t headers = transport + (gso == GsoType::udp ? 8U : 32U);
  for (const char* text : pieces) {
    const Buffer frame = hex(text);
    const auto middle = frame.begin() + static_cast<std::ptrdiff_t>(headers);
    if (out.headers.empty()) out.headers.assign(frame.begin(), middle);
    out.payload.insert(out.payload.end(), middle, frame.end());
  }
  if (gso != GsoType::udp) out.headers[transport + 13] |= 0x09;
  const bool udp = gso == GsoType::udp;
  out.offload = {.checksum_needed = true,
                 .checksum_start = static_cast<std::uint16_t>(transport),
                 .checksum_offset = static_cast<std::uint16_t>(udp ? kUdpChecksumOffset : kTcpChecksumOffset),
                 .gso = gso,
                 .gso_size = kPiece,
                 .header_length = static_cast<std::uint16_t>(headers)};
  return out;
}

std::optional<std::vector<std::string>> segments(std::span<const Bytes> parts, const Offload& offload,
                                                 std::size_t room = 2048) {
  std::vector<std::string> out;
  Exact scratch(Buffer(room, 0));
  const bool done = segment_frame(parts, offload, scratch.mutable_bytes(), [&](Bytes frame) {
    out.push_back(to_hex(frame));
    return true;
  });
  if (!done) return std::nullopt;
  return out;
}

std::vector<std::string> expected(std::span<const char* const> pieces) {
  return {pieces.begin(), pieces.end()};
}

TEST(Segmentation, TcpOverBothVersionsAsScapyMakesIt) {
  const SuperFrame v4 = super_frame(kTcp4Pieces, GsoType::tcp4);
  EXPECT_EQ(segments(std::array<Bytes, 2>{v4.headers, v4.payload}, v4.offload), expected(kTcp4Pieces));
  const SuperFrame v6 = super_frame(kTcp6Pieces, GsoType::tcp6);
  EXPECT_EQ(segments(std::array<Bytes, 2>{v6.headers, v6.payload}, v6.offload), expected(kTcp6Pieces));
}

TEST(Segmentation, UdpAsScapyMakesIt) {
  const SuperFrame udp = super_frame(kUdp6Pieces, GsoType::udp);
  EXPECT_EQ(segments(std::array<Bytes, 2>{udp.headers, udp.payload}, udp.offload), expected(kUdp6Pieces));
}

TEST(Segmentation, PartsMayBeCutAnywhere) {
  const SuperFrame v4 = super_frame(kTcp4Pieces, GsoType::tcp4);
  Buffer whole = v4.headers;
  whole.insert(whole.end(), v4.payload.begin(), v4.payload.end());
  for (std::size_t cut = 0; cut <= whole.size(); ++cut) {
    const Exact head(Bytes{whole}.first(cut));
    const Exact tail(Bytes{whole}.subspan(cut));
    ASSERT_EQ(segments(std::array<Bytes, 4>{head.bytes(), {}, tail.bytes(), {}}, v4.offload),
              expected(kTcp4Pieces));
  }
}

TEST(Segmentation, PieceSizesAndPayloadLengths) {
  const SuperFrame v4 = super_frame(kTcp4Pieces, GsoType::tcp4);
  for (const std::size_t length : {0U, 1U, 99U, 100U, 101U, 200U, 250U}) {
    const Bytes payload = Bytes{v4.payload}.first(length);
    const auto out = segments(std::array<Bytes, 2>{v4.headers, payload}, v4.offload);
    ASSERT_TRUE(out);
    EXPECT_EQ(out->size(), std::max<std::size_t>(1, (length + 99) / 100));
    std::string joined;
    for (std::size_t i = 0; i < out->size(); ++i) {
      const Buffer frame = hex((*out)[i]);
      const auto ip = parse_ip(Bytes{frame}.subspan(kEthernetHeaderSize));
      ASSERT_TRUE(ip);
      EXPECT_TRUE(verify_transport_checksum(ip->source, ip->destination, ip->protocol, ip->payload));
      const auto segment = TcpSegment::parse(ip->payload).value();
      EXPECT_EQ(segment.flags.cwr, i == 0);
      EXPECT_EQ(segment.flags.fin, i + 1 == out->size());
      EXPECT_EQ(segment.flags.psh, i + 1 == out->size());
      joined += to_hex(segment.payload);
    }
    EXPECT_EQ(joined, to_hex(payload));
  }
}

TEST(Segmentation, ScratchMayBeExactAndNotSmaller) {
  const SuperFrame v4 = super_frame(kTcp4Pieces, GsoType::tcp4);
  const std::array<Bytes, 2> parts{v4.headers, v4.payload};
  const std::size_t needed = v4.headers.size() + kPiece;
  EXPECT_TRUE(segments(parts, v4.offload, needed));
  for (std::size_t room = 0; room < needed; ++room) EXPECT_FALSE(segments(parts, v4.offload, room));
}

TEST(Segmentation, StopsWhereTheReceiverSaysSo) {
  const SuperFrame v4 = super_frame(kTcp4Pieces, GsoType::tcp4);
  const std::array<Bytes, 2> parts{v4.headers, v4.payload};
  Buffer scratch(2048);
  int count = 0;
  EXPECT_FALSE(segment_frame(parts, v4.offload, scratch, [&](Bytes) { return ++count < 2; }));
  EXPECT_EQ(count, 2);
}

TEST(Segmentation, RefusesWhatContradictsItself) {
  const SuperFrame good = super_frame(kTcp4Pieces, GsoType::tcp4);
  const auto refused = [](const SuperFrame& frame) {
    return !segments(std::array<Bytes, 2>{frame.headers, frame.payload}, frame.offload);
  };
  EXPECT_FALSE(refused(good));
  SuperFrame bad = good;
  bad.offload.gso = GsoType::tcp6;
  EXPECT_TRUE(refused(bad));
  bad.offload.gso = GsoType::udp;
  EXPECT_TRUE(refused(bad));
  bad = good;
  bad.offload.gso_size = 0;
  EXPECT_TRUE(refused(bad));
  bad = good;
  bad.offload.checksum_start = 30;
  EXPECT_TRUE(refused(bad));
  bad = good;
  bad.headers[12] = 0x12;  // EtherType
  EXPECT_TRUE(refused(bad));
  bad = good;
  bad.headers[20] |= 0x20;  // a fragment, the first one
  EXPECT_TRUE(refused(bad));
  bad = good;
  bad.headers[46] = 0x40;  // data offset below 5
  EXPECT_TRUE(refused(bad));
}

TEST(Segmentation, HeadersCutOrChangedAnywhere) {
  for (const auto& frame : {super_frame(kTcp4Pieces, GsoType::tcp4), super_frame(kTcp6Pieces, GsoType::tcp6),
                            super_frame(kUdp6Pieces, GsoType::udp)}) {
    const auto parse = [&](Bytes headers) {
      return segments(std::array<Bytes, 1>{headers}, frame.offload).has_value();
    };
    EXPECT_TRUE(lengths_that_parse(frame.headers, parse).empty());
    parse_with_every_byte_changed(frame.headers, parse);
  }
}

TEST(Segmentation, LargestSuperFrame) {
  const SuperFrame v6 = super_frame(kTcp6Pieces, GsoType::tcp6);
  std::mt19937 random(3);
  Buffer payload(65535 - 32);
  for (auto& byte : payload) byte = static_cast<std::uint8_t>(random());
  Offload offload = v6.offload;
  offload.gso_size = 1428;
  const auto out = segments(std::array<Bytes, 2>{v6.headers, payload}, offload);
  ASSERT_TRUE(out);
  std::string joined;
  for (const std::string& text : *out) joined += text.substr(2 * v6.headers.size());
  EXPECT_EQ(joined, to_hex(payload));
}

TEST(Segmentation, PieceThatNoLengthFieldHolds) {
  const SuperFrame v4 = super_frame(kTcp4Pieces, GsoType::tcp4);
  const SuperFrame v6 = super_frame(kTcp6Pieces, GsoType::tcp6);
  const auto count = [](const SuperFrame& frame, std::size_t payload) -> std::size_t {
    Offload offload = frame.offload;
    offload.gso_size = 65535;
    const auto out = segments(std::array<Bytes, 2>{frame.headers, Buffer(payload)}, offload, 70000);
    return out ? out->size() : 0;
  };
  EXPECT_EQ(count(v4, 65535 - 52), 1U);  // 20 of IP, 32 of TCP
  EXPECT_EQ(count(v4, 65535 - 51), 0U);
  EXPECT_EQ(count(v6, 65535 - 32), 1U);
  EXPECT_EQ(count(v6, 65535 - 31), 0U);
}

TEST(Segmentation, UdpPieceWithAChecksumOfZero) {
  SuperFrame udp = super_frame(kUdp6Pieces, GsoType::udp);
  // With a payload of two bytes, these are what the rest sums up to, complemented twice: the checksum comes
  // out as zero.
  udp.payload = {0, 0};
  const auto plain = segments(std::array<Bytes, 2>{udp.headers, udp.payload}, udp.offload).value();
  const Buffer frame = hex(plain.at(0));
  std::copy_n(frame.begin() + 60, 2, udp.payload.begin());
  const auto zero = segments(std::array<Bytes, 2>{udp.headers, udp.payload}, udp.offload).value();
  EXPECT_EQ(zero.at(0).substr(120, 4), "ffff");
}

TEST(Segmentation, CompletesChecksums) {
  for (const auto& [text, transport, offset] :
       {std::tuple{kTcp4Pieces[2], std::size_t{34}, kTcpChecksumOffset},
        std::tuple{kUdp6Pieces[2], std::size_t{54}, kUdpChecksumOffset}}) {
    const Buffer finished = hex(text);
    Buffer partial = finished;
    const auto ip = parse_ip(Bytes{finished}.subspan(kEthernetHeaderSize)).value();
    const auto length = static_cast<std::uint32_t>(ip.payload.size());
    store_be16(&partial[transport + offset],
               checksum_fold(pseudo_header_sum(ip.source, ip.destination, ip.protocol, length)));
    const Offload offload{.checksum_needed = true,
                          .checksum_start = static_cast<std::uint16_t>(transport),
                          .checksum_offset = static_cast<std::uint16_t>(offset)};
    const std::array<Bytes, 2> parts{Bytes{partial}.first(60), Bytes{partial}.subspan(60)};
    EXPECT_EQ(segments(parts, offload), std::vector{to_hex(finished)});
    EXPECT_FALSE(segments(parts, offload, partial.size() - 1));
    Offload beyond = offload;
    beyond.checksum_start = static_cast<std::uint16_t>(partial.size() - offset - 1);
    EXPECT_FALSE(segments(parts, beyond));
    beyond.checksum_start = 65535;
    EXPECT_FALSE(segments(parts, beyond));
  }
}

TEST(Segmentation, UdpChecksumOfZeroIsSentAsOnes) {
  // Source port, destination port, length and checksum that sum up to all ones: the checksum would be zero.
  const Buffer frame = hex("ffff 0000 0000 0000");
  const Offload offload{.checksum_needed = true, .checksum_start = 0, .checksum_offset = kUdpChecksumOffset};
  EXPECT_EQ(segments(std::array<Bytes, 1>{frame}, offload), std::vector<std::string>{"ffff00000000ffff"});
}

TEST(Segmentation, NothingToDoPassesTheFrameItself) {
  const Buffer frame = hex(kTcp4Pieces[0]);
  const std::array<Bytes, 1> parts{frame};
  Bytes seen;
  EXPECT_TRUE(segment_frame(parts, {}, {}, [&](Bytes bytes) {
    seen = bytes;
    return true;
  }));
  EXPECT_EQ(seen.data(), frame.data());
  EXPECT_EQ(seen.size(), frame.size());
  const std::array<Bytes, 2> two{Bytes{frame}.first(20), Bytes{frame}.subspan(20)};
  EXPECT_EQ(segments(two, {}), std::vector{to_hex(frame)});
  EXPECT_FALSE(segments(two, {}, frame.size() - 1));
}

}  // namespace
}  // namespace sf::wire
