// Router solicitations, and what an advertisement says.
#include <gmock/gmock.h>

#include <array>

#include "services/ndp.hh"
#include "unit/services/network_fixture.hh"
#include "wire/tcp.hh"

namespace sf::services {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class RouterTest : public testing::Test {
 protected:
  tl::expected<std::optional<NdpReply>, wire::DropReason> solicit(const Address& source, bool with_link) {
    std::array<std::uint8_t, 64> buffer{};
    Writer request{buffer};
    wire::RouterSolicitation solicitation;
    if (with_link) solicitation.source_link = kGuestMac;
    solicitation.emit(request, source, wire::kAllRouters);
    wire::IpPacket packet;
    packet.source = source;
    packet.destination = wire::kAllRouters;
    packet.protocol = 58;
    packet.ttl = hop_limit_;
    packet.payload = request.written();
    Writer out{reply_};
    auto result = answer_ndp(packet, kGuestMac, network_, search_, out);
    if (result && *result) check(**result, out);
    return result;
  }
  void check(const NdpReply& reply, const Writer& out) {
    ASSERT_TRUE(out.ok());
    EXPECT_EQ(reply.ip.source, link::kRouterLinkLocal);
    EXPECT_EQ(reply.ip.ttl, 255);
    EXPECT_TRUE(wire::verify_transport_checksum(reply.ip.source, reply.ip.destination, 58, out.written()));
    const auto parsed = wire::RouterAdvertisement::parse(out.written());
    ASSERT_TRUE(parsed);
    advertisement_ = *parsed;
  }

  link::Network network_ = test_network();
  std::vector<std::string> search_{"lab.test", "example.org"};
  std::uint8_t hop_limit_ = 255;
  std::array<std::uint8_t, kMaxNdpMessage> reply_{};
  wire::RouterAdvertisement advertisement_;
};

TEST_F(RouterTest, AdvertisesRouterPrefixMtuAndNameServers) {
  const auto result = solicit(address("fe80::15"), true);
  ASSERT_TRUE(result && *result);
  EXPECT_EQ((*result)->to, kGuestMac);
  EXPECT_EQ((*result)->ip.destination, address("fe80::15"));
  EXPECT_EQ(advertisement_.hop_limit, 64);
  EXPECT_EQ(advertisement_.router_lifetime, std::chrono::seconds{1800});
  EXPECT_FALSE(advertisement_.managed);
  EXPECT_TRUE(advertisement_.other_config);
  EXPECT_EQ(advertisement_.mtu, 1500U);
  EXPECT_EQ(advertisement_.source_link, network_.gateway_mac);
  ASSERT_THAT(advertisement_.prefixes, SizeIs(1));
  const wire::PrefixInformation& prefix = advertisement_.prefixes[0];
  EXPECT_EQ(prefix.prefix, *Prefix::parse("fd00::/64"));
  EXPECT_TRUE(prefix.on_link);
  EXPECT_TRUE(prefix.autonomous);
  EXPECT_EQ(prefix.valid, std::chrono::seconds{86400});
  EXPECT_EQ(prefix.preferred, std::chrono::seconds{14400});
  ASSERT_THAT(advertisement_.dns_servers, SizeIs(1));
  EXPECT_THAT(advertisement_.dns_servers[0].servers, ElementsAre(address("fd00::3")));
  EXPECT_EQ(advertisement_.dns_servers[0].lifetime, std::chrono::seconds{1800});
  ASSERT_THAT(advertisement_.dns_search, SizeIs(1));
  EXPECT_THAT(advertisement_.dns_search[0].domains, ElementsAre("lab.test", "example.org"));
}

TEST_F(RouterTest, AnswersWhoHasNoAddressYetToAll) {
  const auto result = solicit(address("::"), false);
  ASSERT_TRUE(result && *result);
  EXPECT_EQ((*result)->ip.destination, wire::kAllNodes);
  EXPECT_EQ((*result)->to, (MacAddress{{0x33, 0x33, 0, 0, 0, 1}}));
}

TEST_F(RouterTest, NoAddressButALinkOptionIsDiscarded) {
  EXPECT_FALSE(solicit(address("::"), true));
}

TEST_F(RouterTest, ForwardedSolicitationIsDiscarded) {
  hop_limit_ = 64;
  EXPECT_FALSE(solicit(address("fe80::15"), true));
}

TEST_F(RouterTest, SaysNothingOfNameServersWithoutDns) {
  network_.dns = false;
  ASSERT_TRUE(solicit(address("fe80::15"), true));
  EXPECT_THAT(advertisement_.dns_servers, IsEmpty());
  EXPECT_THAT(advertisement_.dns_search, IsEmpty());
  EXPECT_FALSE(advertisement_.other_config);
  EXPECT_THAT(advertisement_.prefixes, SizeIs(1));
}

TEST_F(RouterTest, ASearchListOfAnySizeFitsThePacket) {
  std::string name;
  for (int i = 0; i < 4; ++i) name += std::string(60, static_cast<char>('a' + i)) + ".";
  search_.assign(6, name);
  const auto result = solicit(address("fe80::15"), true);
  ASSERT_TRUE(result && *result);
  ASSERT_THAT(advertisement_.dns_search, SizeIs(1));
  EXPECT_THAT(advertisement_.dns_search[0].domains, SizeIs(2));
}

TEST_F(RouterTest, WithoutSearchListThereIsNoOption) {
  search_ = {"not..a.name"};
  ASSERT_TRUE(solicit(address("fe80::15"), true));
  EXPECT_THAT(advertisement_.dns_search, IsEmpty());
}

TEST_F(RouterTest, UnsolicitedGoesToAll) {
  Writer out{reply_};
  const NdpReply reply = unsolicited_advertisement(network_, search_, out);
  check(reply, out);
  EXPECT_EQ(reply.ip.destination, wire::kAllNodes);
  EXPECT_EQ(reply.to, (MacAddress{{0x33, 0x33, 0, 0, 0, 1}}));
  EXPECT_THAT(advertisement_.prefixes, SizeIs(1));
}

// Without this the guest loses its default route between two advertisements.
TEST_F(RouterTest, LifetimeOutlastsTwoLostAdvertisements) {
  EXPECT_GE(kRouterLifetime, 3 * kAdvertisementInterval);
}

}  // namespace
}  // namespace sf::services
