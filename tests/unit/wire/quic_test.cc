#include "wire/quic.hh"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "unit/support/quic_client.hh"
#include "wire/server_name.hh"

namespace sf::wire {
namespace {

using quic_client::Buffer;
using quic_client::crypto_frame;
using quic_client::hello;
using quic_client::Initial;
using quic_client::seal;

Buffer from_hex(std::string_view text) {
  Buffer out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    out.push_back(static_cast<std::uint8_t>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  return out;
}
template <std::size_t Size>
Buffer of(const std::array<std::uint8_t, Size>& bytes) {
  return {bytes.begin(), bytes.end()};
}

const Buffer kId = from_hex("8394c8f03e515708");

// RFC 9001 appendix A.2.
constexpr std::string_view kInitial1 =
    "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11d242b123dc9bd8bab936b47d92ec"
    "356c0bab7df5976d27cd449f63300099f3991c260ec4c60d17b31f8429157bb35a1282a643a8d2262cad67500cad"
    "b8e7378c8eb7539ec4d4905fed1bee1fc8aafba17c750e2c7ace01e6005f80fcb7df621230c83711b39343fa028c"
    "ea7f7fb5ff89eac2308249a02252155e2347b63d58c5457afd84d05dfffdb20392844ae812154682e9cf012f9021"
    "a6f0be17ddd0c2084dce25ff9b06cde535d0f920a2db1bf362c23e596d11a4f5a6cf3948838a3aec4e15daf8500a"
    "6ef69ec4e3feb6b1d98e610ac8b7ec3faf6ad760b7bad1db4ba3485e8a94dc250ae3fdb41ed15fb6a8e5eba0fc3d"
    "d60bc8e30c5c4287e53805db059ae0648db2f64264ed5e39be2e20d82df566da8dd5998ccabdae053060ae6c7b43"
    "78e846d29f37ed7b4ea9ec5d82e7961b7f25a9323851f681d582363aa5f89937f5a67258bf63ad6f1a0b1d96dbd4"
    "faddfcefc5266ba6611722395c906556be52afe3f565636ad1b17d508b73d8743eeb524be22b3dcbc2c7468d5411"
    "9c7468449a13d8e3b95811a198f3491de3e7fe942b330407abf82a4ed7c1b311663ac69890f4157015853d91e923"
    "037c227a33cdd5ec281ca3f79c44546b9d90ca00f064c99e3dd97911d39fe9c5d0b23a229a234cb36186c4819e8b"
    "9c5927726632291d6a418211cc2962e20fe47feb3edf330f2c603a9d48c0fcb5699dbfe5896425c5bac4aee82e57"
    "a85aaf4e2513e4f05796b07ba2ee47d80506f8d2c25e50fd14de71e6c418559302f939b0e1abd576f279c4b2e0fe"
    "b85c1f28ff18f58891ffef132eef2fa09346aee33c28eb130ff28f5b766953334113211996d20011a198e3fc433f"
    "9f2541010ae17c1bf202580f6047472fb36857fe843b19f5984009ddc324044e847a4f4a0ab34f719595de37252d"
    "6235365e9b84392b061085349d73203a4a13e96f5432ec0fd4a1ee65accdd5e3904df54c1da510b0ff20dcc0c77f"
    "cb2c0e0eb605cb0504db87632cf3d8b4dae6e705769d1de354270123cb11450efc60ac47683d7b8d0f811365565f"
    "d98c4c8eb936bcab8d069fc33bd801b03adea2e1fbc5aa463d08ca19896d2bf59a071b851e6c239052172f296bfb"
    "5e72404790a2181014f3b94a4e97d117b438130368cc39dbb2d198065ae3986547926cd2162f40a29f0c3c8745c0"
    "f50fba3852e566d44575c29d39a03f0cda721984b6f440591f355e12d439ff150aab7613499dbd49adabc8676eef"
    "023b15b65bfc5ca06948109f23f350db82123535eb8a7433bdabcb909271a6ecbcb58b936a88cd4e8f2e6ff58001"
    "75f113253d8fa9ca8885c2f552e657dc603f252e1a8e308f76f0be79e2fb8f5d5fbbe2e30ecadd220723c8c0aea8"
    "078cdfcb3868263ff8f0940054da48781893a7e49ad5aff4af300cd804a6b6279ab3ff3afb64491c85194aab760d"
    "58a606654f9f4400e8b38591356fbf6425aca26dc85244259ff2b19c41b9f96f3ca9ec1dde434da7d2d392b905dd"
    "f3d1f9af93d1af5950bd493f5aa731b4056df31bd267b6b90a079831aaf579be0a39013137aac6d404f518cfd468"
    "40647e78bfe706ca4cf5e9c5453e9f7cfd2b8b4c8d169a44e55c88d4a9a7f9474241e221af44860018ab0856972e"
    "194cd934";
// RFC 9369 appendix A.2.
constexpr std::string_view kInitial2 =
    "d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485dd04de806071bf03dceebfa162e7"
    "5d6c96058bdbfb127cdfcbf903388e99ad049f9a3dd4425ae4d0992cfff18ecf0fdb5a842d09747052f17ac2053d"
    "21f57c5d250f2c4f0e0202b70785b7946e992e58a59ac52dea6774d4f03b55545243cf1a12834e3f249a78d395e0"
    "d18f4d766004f1a2674802a747eaa901c3f10cda5500cb9122faa9f1df66c392079a1b40f0de1c6054196a11cbea"
    "40afb6ef5253cd6818f6625efce3b6def6ba7e4b37a40f7732e093daa7d52190935b8da58976ff3312ae50b187c1"
    "433c0f028edcc4c2838b6a9bfc226ca4b4530e7a4ccee1bfa2a3d396ae5a3fb512384b2fdd851f784a65e03f2c4f"
    "be11a53c7777c023462239dd6f7521a3f6c7d5dd3ec9b3f233773d4b46d23cc375eb198c63301c21801f6520bcfb"
    "7966fc49b393f0061d974a2706df8c4a9449f11d7f3d2dcbb90c6b877045636e7c0c0fe4eb0f697545460c806910"
    "d2c355f1d253bc9d2452aaa549e27a1fac7cf4ed77f322e8fa894b6a83810a34b361901751a6f5eb65a0326e07de"
    "7c1216ccce2d0193f958bb3850a833f7ae432b65bc5a53975c155aa4bcb4f7b2c4e54df16efaf6ddea94e2c50b4c"
    "d1dfe06017e0e9d02900cffe1935e0491d77ffb4fdf85290fdd893d577b1131a610ef6a5c32b2ee0293617a37cbb"
    "08b847741c3b8017c25ca9052ca1079d8b78aebd47876d330a30f6a8c6d61dd1ab5589329de714d19d61370f8149"
    "748c72f132f0fc99f34d766c6938597040d8f9e2bb522ff99c63a344d6a2ae8aa8e51b7b90a4a806105fcbca3150"
    "6c446151adfeceb51b91abfe43960977c87471cf9ad4074d30e10d6a7f03c63bd5d4317f68ff325ba3bd80bf4dc8"
    "b52a0ba031758022eb025cdd770b44d6d6cf0670f4e990b22347a7db848265e3e5eb72dfe8299ad7481a408322ca"
    "c55786e52f633b2fb6b614eaed18d703dd84045a274ae8bfa73379661388d6991fe39b0d93debb41700b41f90a15"
    "c4d526250235ddcd6776fc77bc97e7a417ebcb31600d01e57f32162a8560cacc7e27a096d37a1a86952ec71bd89a"
    "3e9a30a2a26162984d7740f81193e8238e61f6b5b984d4d3dfa033c1bb7e4f0037febf406d91c0dccf32acf423cf"
    "a1e7071010d3f270121b493ce85054ef58bada42310138fe081adb04e2bd901f2f13458b3d6758158197107c14eb"
    "b193230cd1157380aa79cae1374a7c1e5bbcb80ee23e06ebfde206bfb0fcbc0edc4ebec309661bdd908d532eb0c6"
    "adc38b7ca7331dce8dfce39ab71e7c32d318d136b6100671a1ae6a6600e3899f31f0eed19e3417d134b90c9058f8"
    "632c798d4490da4987307cba922d61c39805d072b589bd52fdf1e86215c2d54e6670e07383a27bbffb5addf47d66"
    "aa85a0c6f9f32e59d85a44dd5d3b22dc2be80919b490437ae4f36a0ae55edf1d0b5cb4e9a3ecabee93dfc6e38d20"
    "9d0fa6536d27a5d6fbb17641cde27525d61093f1b28072d111b2b4ae5f89d5974ee12e5cf7d5da4d6a31123041f3"
    "3e61407e76cffcdcfd7e19ba58cf4b536f4c4938ae79324dc402894b44faf8afbab35282ab659d13c93f70412e85"
    "cb199a37ddec600545473cfb5a05e08d0b209973b2172b4d21fb69745a262ccde96ba18b2faa745b6fe189cf772a"
    "9f84cbfc";

struct Opened {
  std::uint64_t number = 0;
  std::string name;
};
// The name in a datagram's first packet, opened with keys of `id`.
std::optional<Opened> opened(Bytes datagram, Bytes id, std::uint64_t expected = 0) {
  QuicPacketReader reader(datagram);
  const auto packet = reader.next();
  if (!packet || packet->type != QuicPacketType::initial) return std::nullopt;
  Buffer out(packet->whole.size());
  const auto frames = open_quic_initial(*packet, quic_client_keys(packet->version, id), expected, out);
  if (!frames) return std::nullopt;
  Opened result{frames->number, {}};
  const bool good = read_quic_frames(frames->frames, [&](std::uint64_t offset, Bytes data) {
    std::size_t size = 0;
    if (offset == 0) result.name = hello_server_name(data, size).name;
    return true;
  });
  if (!good) return std::nullopt;
  return result;
}

TEST(Quic, KeysOfRfc9001) {
  const QuicKeys keys = quic_client_keys(QuicVersion::v1, kId);
  EXPECT_EQ(of(keys.key), from_hex("1f369613dd76d5467730efcbe3b1a22d"));
  EXPECT_EQ(of(keys.iv), from_hex("fa044b2f42a3fd3b46fb255c"));
  EXPECT_EQ(of(keys.header), from_hex("9f50449e04a0e810283a1e9933adedd2"));
}

TEST(Quic, KeysOfRfc9369) {
  const QuicKeys keys = quic_client_keys(QuicVersion::v2, kId);
  EXPECT_EQ(of(keys.key), from_hex("8b1a0bc121284290a29e0971b5cd045d"));
  EXPECT_EQ(of(keys.iv), from_hex("91f73e2351d8fa91660e909f"));
  EXPECT_EQ(of(keys.header), from_hex("45b95e15235d6f45a6b19cbcb0294ba9"));
}

TEST(Quic, PacketsOfTheRfcs) {
  for (const std::string_view hex : {kInitial1, kInitial2}) {
    const Buffer datagram = from_hex(hex);
    ASSERT_EQ(datagram.size(), 1200U);
    const auto result = opened(datagram, kId);
    ASSERT_TRUE(result);
    EXPECT_EQ(result->number, 2U);
    EXPECT_EQ(result->name, "example.com");
    EXPECT_FALSE(opened(datagram, from_hex("8394c8f03e515709"))) << "another connection's keys";
  }
}

TEST(Quic, NoBitCanBeChanged) {
  const Buffer datagram = from_hex(kInitial1);
  for (std::size_t at = 0; at < datagram.size(); ++at) {
    Buffer changed = datagram;
    changed[at] ^= 0x10;
    EXPECT_FALSE(opened(changed, kId)) << at;
  }
}

TEST(Quic, CutAnywhere) {
  const Buffer datagram = from_hex(kInitial2);
  for (std::size_t length = 0; length < datagram.size(); ++length) {
    Buffer cut(datagram.begin(), datagram.begin() + static_cast<std::ptrdiff_t>(length));
    cut.shrink_to_fit();
    QuicPacketReader reader(cut);
    EXPECT_FALSE(reader.next()) << length;
    EXPECT_EQ(reader.rest_is_unreadable(), length > 0);
  }
}

TEST(Quic, ShortestPacketsAreNotOpened) {
  // Whatever the length says: a sample has to be there.
  for (std::size_t length = 0; length < 40; ++length) {
    Buffer bytes = from_hex("c000000001088394c8f03e5157080000");
    bytes.back() = static_cast<std::uint8_t>(length);
    bytes.resize(bytes.size() + length, 0x77);
    EXPECT_FALSE(opened(bytes, kId));
  }
}

TEST(Quic, PacketNumbers) {
  for (const auto version : {QuicVersion::v1, QuicVersion::v2}) {
    for (const int size : {1, 2, 3, 4}) {
      for (const std::uint64_t number : {0U, 1U, 200U, 255U, 256U, 70000U}) {
        Initial what{.version = version, .number = number, .number_size = size};
        const Buffer datagram = seal(what, crypto_frame(0, hello("a.test")));
        const auto result = opened(datagram, what.destination, number);
        ASSERT_TRUE(result) << size << " " << number;
        EXPECT_EQ(result->number, number);
      }
    }
  }
  // RFC 9000 appendix A.3: the nearest to what is expected.
  const Buffer far = seal({.number = 300, .number_size = 1}, crypto_frame(0, hello("a.test")));
  EXPECT_TRUE(opened(far, Initial{}.destination, 290));
  EXPECT_FALSE(opened(far, Initial{}.destination, 0));
}

TEST(Quic, SeveralPacketsInADatagram) {
  const Buffer first = seal({}, crypto_frame(0, hello("a.test")), 100);
  const Buffer second = seal({.number = 1}, crypto_frame(0, hello("b.test")), 300);
  Buffer handshake = from_hex("e0000000010801020304050607080002");
  handshake.insert(handshake.end(), {1, 2});
  Buffer all = first;
  for (const Buffer& more : {handshake, second, Buffer(20, 0x40)})
    all.insert(all.end(), more.begin(), more.end());
  QuicPacketReader reader(all);
  auto packet = reader.next();
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->whole.size(), first.size());
  packet = reader.next();
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->type, QuicPacketType::handshake);
  packet = reader.next();
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->type, QuicPacketType::initial);
  EXPECT_EQ(packet->whole.size(), second.size());
  EXPECT_FALSE(reader.next());
  EXPECT_EQ(reader.rest().size(), 20U);
  EXPECT_FALSE(reader.rest_is_unreadable());
}

TEST(Quic, TypesAndVersions) {
  const auto type = [](const char* hex) {
    const Buffer bytes = from_hex(std::string(hex) + "0800000000000000000000" + std::string(40, '0'));
    QuicPacketReader reader(bytes);
    const auto packet = reader.next();
    return packet ? static_cast<int>(packet->type) : -1;
  };
  EXPECT_EQ(type("c000000001"), static_cast<int>(QuicPacketType::initial));
  EXPECT_EQ(type("d000000001"), static_cast<int>(QuicPacketType::zero_rtt));
  EXPECT_EQ(type("e000000001"), static_cast<int>(QuicPacketType::handshake));
  EXPECT_EQ(type("f000000001"), static_cast<int>(QuicPacketType::retry));
  EXPECT_EQ(type("d06b3343cf"), static_cast<int>(QuicPacketType::initial));
  EXPECT_EQ(type("e06b3343cf"), static_cast<int>(QuicPacketType::zero_rtt));
  EXPECT_EQ(type("f06b3343cf"), static_cast<int>(QuicPacketType::handshake));
  EXPECT_EQ(type("c06b3343cf"), static_cast<int>(QuicPacketType::retry));
  for (const char* unknown : {"c000000000", "c0ff00001d", "ca1a2a3a4a", "4000000001"})
    EXPECT_EQ(type(unknown), -1);
}

TEST(Quic, Frames) {
  std::string seen;
  const auto read = [&](const Buffer& frames) {
    seen.clear();
    return read_quic_frames(frames, [&](std::uint64_t offset, Bytes data) {
      seen += std::to_string(offset) + ":" + std::to_string(data.size()) + " ";
      return offset != 9;
    });
  };
  EXPECT_TRUE(read({0, 1, 2, 5, 0, 1, 0,    3, 4, 6, 0,    2, 7, 7, 3, 5, 0,
                    0, 1, 1, 2, 3, 6, 0x40, 7, 1, 7, 0x1c, 1, 2, 1, 9, 0}));
  EXPECT_EQ(seen, "0:2 7:1 ");
  EXPECT_FALSE(read({})) << "no frame at all";
  EXPECT_FALSE(read({6, 9, 0})) << "the caller's word";
  EXPECT_FALSE(read({6, 0, 2, 7})) << "cut short";
  EXPECT_FALSE(read(
      {6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}));
  EXPECT_FALSE(read({2, 5, 0, 0xbf, 0xff, 0xff, 0xff, 0})) << "more ranges than there are";
  for (const std::uint8_t other : Buffer{4, 5, 7, 8, 0x0f, 0x10, 0x1d, 0x1e, 0x30, 0x40})
    EXPECT_FALSE(read({other, 0, 0, 0, 0, 0, 0, 0, 0}));
}

}  // namespace
}  // namespace sf::wire
