// Neighbour solicitations: which addresses are answered for.
#include "services/ndp.hh"

#include <gtest/gtest.h>

#include <array>

#include "unit/services/network_fixture.hh"
#include "wire/icmp.hh"
#include "wire/tcp.hh"

namespace sf::services {
namespace {

const Address kGuest = *Address::parse("fe80::15");
const Address kNobody = *Address::parse("::");

class NeighborTest : public testing::Test {
 protected:
  // Asks for `target` as a kernel does; the answer's message is in advertisement_.
  tl::expected<std::optional<NdpReply>, wire::DropReason> solicit(const Address& source,
                                                                  const Address& target) {
    wire::NeighborSolicitation solicitation;
    solicitation.target = target;
    if (!source.is_unspecified()) solicitation.source_link = kGuestMac;
    return send(source, wire::solicited_node(target), solicitation);
  }
  tl::expected<std::optional<NdpReply>, wire::DropReason> send(
      const Address& source, const Address& destination, const wire::NeighborSolicitation& solicitation) {
    Writer request{request_};
    solicitation.emit(request, source, destination);
    packet_.source = source;
    packet_.destination = destination;
    packet_.protocol = 58;
    packet_.ttl = hop_limit_;
    packet_.payload = request.written();
    Writer out{reply_};
    auto result = answer_ndp(packet_, kGuestMac, network_, {}, out);
    advertisement_ = wire::NeighborAdvertisement::parse(out.written());
    if (result && *result) {
      EXPECT_TRUE(out.ok());
      EXPECT_TRUE(wire::verify_transport_checksum((*result)->ip.source, (*result)->ip.destination, 58,
                                                  out.written()));
    } else {
      EXPECT_EQ(out.offset(), 0U);
    }
    return result;
  }
  bool answered(const char* source, const char* target) {
    const auto result = solicit(address(source), address(target));
    return result && result->has_value();
  }

  link::Network network_ = test_network();
  wire::IpPacket packet_;
  std::uint8_t hop_limit_ = 255;
  std::array<std::uint8_t, 256> request_{};
  std::array<std::uint8_t, kMaxNdpMessage> reply_{};
  std::optional<wire::NeighborAdvertisement> advertisement_;
};

TEST_F(NeighborTest, AdvertisesTheRouter) {
  const auto result = solicit(kGuest, link::kRouterLinkLocal);
  ASSERT_TRUE(result && *result);
  EXPECT_EQ((*result)->to, kGuestMac);
  EXPECT_EQ((*result)->ip.source, link::kRouterLinkLocal);
  EXPECT_EQ((*result)->ip.destination, kGuest);
  EXPECT_EQ((*result)->ip.ttl, 255);
  EXPECT_EQ((*result)->ip.protocol, 58);
  ASSERT_TRUE(advertisement_);
  EXPECT_EQ(advertisement_->target, link::kRouterLinkLocal);
  EXPECT_EQ(advertisement_->target_link, network_.gateway_mac);
  EXPECT_TRUE(advertisement_->router);
  EXPECT_TRUE(advertisement_->solicited);
  EXPECT_TRUE(advertisement_->override_cache);
}

TEST_F(NeighborTest, AnswersForOurAddresses) {
  EXPECT_TRUE(answered("fe80::15", "fd00::2"));
  EXPECT_TRUE(answered("fe80::15", "fd00::3"));
}

TEST_F(NeighborTest, AnswersForAddressesOffTheLinkAsAProxy) {
  EXPECT_TRUE(answered("fd00::15", "2001:db8:1::2"));
  ASSERT_TRUE(advertisement_);
  EXPECT_FALSE(advertisement_->override_cache);
  EXPECT_TRUE(advertisement_->solicited);
  EXPECT_TRUE(answered("fd00::15", "fd00:0:0:1::2"));
}

TEST_F(NeighborTest, LeavesOtherAddressesOfTheLinkAlone) {
  EXPECT_FALSE(answered("fe80::15", "fd00::15"));
  EXPECT_FALSE(answered("fe80::15", "fd00::100"));
  EXPECT_FALSE(answered("fe80::15", "fe80::3"));
  EXPECT_FALSE(answered("fe80::15", "::1"));
  EXPECT_FALSE(answered("fe80::15", "::"));
}

TEST_F(NeighborTest, DuplicateDetectionOfOursIsAnsweredToAll) {
  const auto result = solicit(kNobody, link::kRouterLinkLocal);
  ASSERT_TRUE(result && *result);
  EXPECT_EQ((*result)->ip.destination, wire::kAllNodes);
  EXPECT_EQ((*result)->to, (MacAddress{{0x33, 0x33, 0, 0, 0, 1}}));
  ASSERT_TRUE(advertisement_);
  EXPECT_FALSE(advertisement_->solicited);
  EXPECT_TRUE(advertisement_->override_cache);
}

TEST_F(NeighborTest, DuplicateDetectionOfOthersFindsThemFree) {
  EXPECT_FALSE(answered("::", "fd00::15"));
  EXPECT_FALSE(answered("::", "fe80::15"));
  EXPECT_FALSE(answered("::", "2001:db8:1::2"));
}

TEST_F(NeighborTest, MalformedDuplicateDetectionIsDiscarded) {
  wire::NeighborSolicitation solicitation;
  solicitation.target = link::kRouterLinkLocal;
  const auto elsewhere = send(kNobody, wire::kAllNodes, solicitation);
  ASSERT_FALSE(elsewhere);
  EXPECT_EQ(elsewhere.error(), wire::DropReason::malformed_service);
  solicitation.source_link = kGuestMac;
  EXPECT_FALSE(send(kNobody, wire::solicited_node(solicitation.target), solicitation));
}

TEST_F(NeighborTest, ForwardedPacketsAreDiscarded) {
  hop_limit_ = 254;
  const auto result = solicit(kGuest, link::kRouterLinkLocal);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error(), wire::DropReason::malformed_service);
}

TEST_F(NeighborTest, FragmentsAreDiscarded) {
  packet_.fragment = wire::Fragment{};
  EXPECT_FALSE(solicit(kGuest, link::kRouterLinkLocal));
}

TEST_F(NeighborTest, OurOwnAddressesAreNoGuests) {
  const auto result = solicit(link::kRouterLinkLocal, address("fd00::3"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error(), wire::DropReason::bad_address);
}

TEST_F(NeighborTest, TruncatedAtEveryLengthIsDiscarded) {
  ASSERT_TRUE(answered("fe80::15", "fd00::2"));
  const std::vector<std::uint8_t> whole(packet_.payload.begin(), packet_.payload.end());
  // At 24 bytes the option is gone, and the rest is whole.
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const std::vector<std::uint8_t> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    packet_.payload = cut;
    Writer out{reply_};
    EXPECT_EQ(answer_ndp(packet_, kGuestMac, network_, {}, out).has_value(), length == 24) << length;
  }
}

TEST_F(NeighborTest, AdvertisementsAndRedirectsAreSilentlyTaken) {
  for (const std::uint8_t type :
       {wire::ndp::kRouterAdvertisement, wire::ndp::kNeighborAdvertisement, wire::ndp::kRedirect}) {
    const std::array<std::uint8_t, 40> message{type};
    packet_.source = kGuest;
    packet_.ttl = 255;
    packet_.payload = message;
    Writer out{reply_};
    const auto result = answer_ndp(packet_, kGuestMac, network_, {}, out);
    ASSERT_TRUE(result);
    EXPECT_FALSE(*result);
  }
}

TEST_F(NeighborTest, SilentWithoutIpv6) {
  network_.ipv6 = false;
  EXPECT_FALSE(answered("fe80::15", "fd00::2"));
  EXPECT_FALSE(answered("fe80::15", "2001:db8::1"));
}

TEST(Ndp, KnowsItsTypes) {
  EXPECT_FALSE(is_ndp(132));
  EXPECT_TRUE(is_ndp(133));
  EXPECT_TRUE(is_ndp(137));
  EXPECT_FALSE(is_ndp(138));
}

}  // namespace
}  // namespace sf::services
