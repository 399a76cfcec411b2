// The lease table: who gets which address, and what happens when there are none.
#include <gmock/gmock.h>

#include <set>

#include "unit/services/dhcp_fixture.hh"

namespace sf::services {
namespace {

using wire::DhcpType;

const Address kNone = Address::v4(0);
constexpr unsigned kRange = 16;  // 10.0.2.15 to 10.0.2.30

TEST_F(DhcpTest, EachClientGetsItsOwnAddress) {
  std::set<Address> seen;
  for (unsigned client = 1; client <= kRange; ++client) {
    const Address got = lease(client);
    EXPECT_GE(got, network_.dhcp_first);
    EXPECT_LE(got, network_.dhcp_last);
    EXPECT_TRUE(seen.insert(got).second) << got.to_string() << " given twice";
  }
  EXPECT_EQ(server_.bound(now_), kRange);
}

TEST_F(DhcpTest, AClientThatAsksAgainIsOfferedTheSame) {
  const Address first = offer(discover(1));
  EXPECT_NE(offer(discover(2)), first);
  EXPECT_EQ(offer(discover(1)), first);
  EXPECT_EQ(type_of(select(first)), DhcpType::ack);
  EXPECT_EQ(offer(discover(1)), first);
}

TEST_F(DhcpTest, AskingAgainDoesNotShortenALease) {
  const Address held = lease();
  EXPECT_EQ(offer(discover()), held);
  now_ += 61s;
  EXPECT_EQ(server_.bound(now_), 1U);
  EXPECT_EQ(type_of(reboot(held, 2)), DhcpType::nak);
}

TEST_F(DhcpTest, ClientsAreToldApartByIdentifierFirst) {
  auto one = discover(1);
  one.client_id = {0, 1};
  auto two = discover(1);
  two.client_id = {0, 2};
  const Address first = offer(one);
  EXPECT_NE(offer(two), first);
  one.hardware = mac(9);
  EXPECT_EQ(offer(one), first);
}

TEST_F(DhcpTest, AnOfferNotTakenUpIsGivenToOthersInTheEnd) {
  const Address first = offer(discover(1));
  now_ += 59s;
  EXPECT_EQ(type_of(reboot(first, 2)), DhcpType::nak);
  now_ += 1s;
  EXPECT_EQ(type_of(reboot(first, 2)), DhcpType::ack);
}

TEST_F(DhcpTest, TheRequestedAddressIsOfferedWhereItIsFree) {
  auto request = discover(1);
  request.requested_address = address("10.0.2.22");
  EXPECT_EQ(offer(request), address("10.0.2.22"));
  request.hardware = mac(2);
  EXPECT_EQ(offer(request), address("10.0.2.15"));
  request.hardware = mac(3);
  request.requested_address = address("192.168.1.5");
  EXPECT_EQ(offer(request), address("10.0.2.16"));
  request.hardware = mac(4);
  request.requested_address = address("10.0.2.2");
  EXPECT_EQ(offer(request), address("10.0.2.17"));
}

TEST_F(DhcpTest, AReturningClientGetsItsOldAddress) {
  lease(1);
  const Address second = lease(2);
  EXPECT_FALSE(answer(release(second, 2)));
  lease(3);
  EXPECT_EQ(offer(discover(2)), second);
  now_ += 100000s;
  EXPECT_EQ(offer(discover(2)), second) << "after its end, too";
}

TEST_F(DhcpTest, AnOldAddressOfferedAgainIsKeptForItsClient) {
  const Address held = lease(1);
  now_ += 100000s;
  EXPECT_EQ(offer(discover(1)), held);
  EXPECT_EQ(type_of(reboot(held, 2)), DhcpType::nak);
  EXPECT_EQ(server_.bound(now_), 0U) << "offered is not bound";
}

TEST_F(DhcpTest, OfSeveralOldAddressesTheLatestIsOffered) {
  lease(1);
  EXPECT_EQ(type_of(reboot(address("10.0.2.20"), 1)), DhcpType::ack);
  EXPECT_EQ(offer(discover(1)), address("10.0.2.20"));
  now_ += 100000s;
  EXPECT_EQ(offer(discover(1)), address("10.0.2.20"));
}

TEST_F(DhcpTest, NobodyIsOfferedAnythingWhenAllAreTaken) {
  for (unsigned client = 1; client <= kRange; ++client) lease(client);
  EXPECT_FALSE(answer(discover(100)));
  EXPECT_TRUE(answer(discover(1))) << "who has a lease is still served";
}

TEST_F(DhcpTest, TheLeaseThatIsOverForLongestIsUsedAgain) {
  std::vector<Address> held;
  for (unsigned client = 1; client <= kRange; ++client) {
    held.push_back(lease(client));
    now_ += 1s;
  }
  EXPECT_FALSE(answer(release(held[7], 8)));
  now_ += 1s;
  EXPECT_FALSE(answer(release(held[3], 4)));
  EXPECT_EQ(lease(100), held[7]);
  EXPECT_EQ(lease(101), held[3]);
  EXPECT_FALSE(answer(discover(102)));
  now_ += 86400s - 17s + 1s;  // the first one's time is up
  EXPECT_EQ(lease(102), held[0]);
}

TEST_F(DhcpTest, ANewAddressEndsTheOldLease) {
  const Address first = lease(1);
  EXPECT_EQ(type_of(reboot(address("10.0.2.20"), 1)), DhcpType::ack);
  EXPECT_EQ(server_.bound(now_), 1U);
  EXPECT_EQ(type_of(reboot(first, 2)), DhcpType::ack);
}

TEST_F(DhcpTest, RequestsOutsideOfTheRangeAreBounded) {
  for (unsigned i = 0; i < DhcpServer::kMaxRequested; ++i) {
    EXPECT_EQ(type_of(reboot(address("10.0.2.100").plus(i), 100 + i)), DhcpType::ack) << i;
  }
  EXPECT_EQ(type_of(reboot(address("10.0.2.200"), 200)), DhcpType::nak);
  const Address in_range = lease(1);
  EXPECT_NE(in_range, kNone) << "the range is not touched by them";
  EXPECT_FALSE(answer(release(in_range, 1)));
  EXPECT_EQ(type_of(reboot(address("10.0.2.200"), 200)), DhcpType::nak) << "nor they by the range";
  EXPECT_FALSE(answer(release(address("10.0.2.100"), 100)));
  EXPECT_EQ(type_of(reboot(address("10.0.2.200"), 200)), DhcpType::ack);
  EXPECT_EQ(type_of(reboot(address("10.0.2.201"), 201)), DhcpType::nak);
}

TEST_F(DhcpTest, AddressesOutsideOfTheRangeAreNeverChosen) {
  EXPECT_EQ(type_of(reboot(address("10.0.2.100"), 99)), DhcpType::ack);
  EXPECT_FALSE(answer(release(address("10.0.2.100"), 99)));
  for (unsigned client = 1; client <= kRange; ++client) lease(client);
  EXPECT_FALSE(answer(discover(100)));
}

TEST_F(DhcpTest, OurOwnAddressesWithinTheRangeAreSkipped) {
  network_.dhcp_first = address("10.0.2.1");
  network_.dhcp_last = address("10.0.2.4");
  EXPECT_EQ(lease(1), address("10.0.2.1"));
  EXPECT_EQ(lease(2), address("10.0.2.4"));
  EXPECT_FALSE(answer(discover(3)));
}

TEST_F(DhcpTest, ARangeAsLargeAsANetworkIsBounded) {
  network_.prefix4 = *Prefix::parse("10.0.0.0/8");
  network_.dhcp_first = address("10.1.0.0");
  network_.dhcp_last = address("10.9.0.0");
  for (unsigned client = 1; client <= DhcpServer::kMaxRange; ++client)
    ASSERT_NE(lease(client), kNone) << client;
  EXPECT_FALSE(answer(discover(999)));
}

TEST_F(DhcpTest, AnEmptyRangeOffersNothing) {
  network_.dhcp_first = address("10.0.2.40");
  EXPECT_FALSE(answer(discover()));
}

}  // namespace
}  // namespace sf::services
