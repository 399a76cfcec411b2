// The exchange: what each message of a client's is answered with.
#include <gmock/gmock.h>

#include "unit/services/dhcp_fixture.hh"

namespace sf::services {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using wire::DhcpType;

const Address kAny = Address::v4(0);
const Address kAll = Address::v4(0xffffffff);

TEST_F(DhcpTest, OfferNamesTheWholeConfiguration) {
  const auto reply = answer(discover());
  ASSERT_TRUE(reply);
  const wire::DhcpMessage& m = reply->message;
  EXPECT_EQ(m.operation, wire::DhcpMessage::kBootReply);
  EXPECT_EQ(m.type, DhcpType::offer);
  EXPECT_EQ(m.transaction, 0x12345678U);
  EXPECT_EQ(m.hardware, mac(1));
  EXPECT_EQ(m.yours, address("10.0.2.15"));
  EXPECT_EQ(m.client, kAny);
  EXPECT_EQ(m.server_id, address("10.0.2.2"));
  EXPECT_EQ(m.subnet_mask, address("255.255.255.0"));
  EXPECT_EQ(m.broadcast, address("10.0.2.255"));
  EXPECT_THAT(m.routers, ElementsAre(address("10.0.2.2")));
  EXPECT_THAT(m.dns_servers, ElementsAre(address("10.0.2.3")));
  EXPECT_EQ(m.domain_name, "lab.test");
  EXPECT_THAT(m.domain_search, ElementsAre("lab.test", "example.org"));
  EXPECT_EQ(m.mtu, 1500);
  EXPECT_EQ(m.lease_time, std::chrono::seconds{86400});
  EXPECT_EQ(m.renewal_time, std::chrono::seconds{43200});
  EXPECT_EQ(m.rebinding_time, std::chrono::seconds{75600});
}

TEST_F(DhcpTest, WithoutDnsNothingIsSaidOfNames) {
  network_.dns = false;
  const auto reply = answer(discover());
  ASSERT_TRUE(reply);
  EXPECT_THAT(reply->message.dns_servers, IsEmpty());
  EXPECT_THAT(reply->message.domain_search, IsEmpty());
  EXPECT_EQ(reply->message.domain_name, "");
}

TEST_F(DhcpTest, SelectingBindsTheOffer) {
  const Address offered = offer(discover());
  EXPECT_EQ(server_.bound(now_), 0U);
  const auto reply = answer(select(offered));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->message.type, DhcpType::ack);
  EXPECT_EQ(reply->message.yours, offered);
  EXPECT_EQ(server_.bound(now_), 1U);
}

TEST_F(DhcpTest, AnotherServersOfferGivesOursBack) {
  const Address offered = offer(discover());
  auto request = select(address("10.0.2.77"));
  request.server_id = address("10.0.2.9");
  EXPECT_FALSE(answer(request));
  EXPECT_EQ(type_of(reboot(offered, 2)), DhcpType::ack) << "the address is free again";
}

TEST_F(DhcpTest, RebootWithALeaseOfAnEarlierRunIsTakenUp) {
  EXPECT_EQ(type_of(reboot(address("10.0.2.20"))), DhcpType::ack);
  EXPECT_EQ(server_.bound(now_), 1U);
}

TEST_F(DhcpTest, RebootOnAnotherNetworkIsRefused) {
  const auto reply = answer(reboot(address("192.168.1.5")));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->message.type, DhcpType::nak);
  EXPECT_EQ(reply->message.yours, kAny);
  EXPECT_EQ(reply->message.server_id, address("10.0.2.2"));
  EXPECT_FALSE(reply->message.lease_time);
  EXPECT_THAT(reply->message.routers, IsEmpty());
  EXPECT_EQ(reply->message.message, "address not on this network");
}

TEST_F(DhcpTest, AddressesThatNobodyCanHaveAreRefused) {
  for (const char* text : {"10.0.2.0", "10.0.2.2", "10.0.2.3", "10.0.2.255", "127.0.0.1", "224.0.0.1"}) {
    EXPECT_EQ(type_of(reboot(address(text))), DhcpType::nak) << text;
  }
}

TEST_F(DhcpTest, AnAddressInUseIsRefused) {
  const Address taken = lease(1);
  const auto reply = answer(reboot(taken, 2));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->message.type, DhcpType::nak);
  EXPECT_EQ(reply->message.message, "address in use");
  EXPECT_EQ(type_of(select(taken, 2)), DhcpType::nak);
  EXPECT_EQ(type_of(renew(taken, 2)), DhcpType::nak);
}

TEST_F(DhcpTest, TheConfiguredAddressMayBeAskedFor) {
  auto request = discover();
  request.requested_address = network_.guest4;
  EXPECT_EQ(offer(request), network_.guest4);
  EXPECT_EQ(type_of(select(network_.guest4)), DhcpType::ack);
}

TEST_F(DhcpTest, RenewingExtendsTheLease) {
  const Address held = lease();
  now_ += 80000s;
  const auto reply = answer(renew(held));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->message.type, DhcpType::ack);
  EXPECT_EQ(reply->message.client, held);
  EXPECT_EQ(reply->message.yours, held);
  now_ += 80000s;
  EXPECT_EQ(server_.bound(now_), 1U);
  now_ += 7000s;
  EXPECT_EQ(server_.bound(now_), 0U);
}

TEST_F(DhcpTest, TheAddressInUseCountsForMoreThanTheOneAskedFor) {
  const Address held = lease();
  auto request = renew(held);
  request.requested_address = address("10.0.2.20");
  const auto reply = answer(request);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->message.yours, held);
}

TEST_F(DhcpTest, ARequestWithoutAnyAddressIsIgnored) {
  EXPECT_FALSE(answer(message(DhcpType::request)));
}

TEST_F(DhcpTest, ReleaseFreesTheAddress) {
  const Address held = lease();
  EXPECT_FALSE(answer(release(held)));
  EXPECT_EQ(server_.bound(now_), 0U);
  EXPECT_EQ(type_of(reboot(held, 2)), DhcpType::ack);
}

TEST_F(DhcpTest, ReleaseOfAnotherClientsLeaseIsIgnored) {
  const Address held = lease(1);
  EXPECT_FALSE(answer(release(held, 2)));
  EXPECT_EQ(server_.bound(now_), 1U);
}

TEST_F(DhcpTest, DeclinedAddressesAreKeptOutForAWhile) {
  const Address held = lease();
  EXPECT_FALSE(answer(decline(held)));
  EXPECT_EQ(server_.bound(now_), 0U);
  EXPECT_NE(offer(discover()), held);
  EXPECT_EQ(type_of(reboot(held)), DhcpType::nak);
  now_ += 601s;
  EXPECT_EQ(type_of(reboot(held)), DhcpType::ack);
}

TEST_F(DhcpTest, DeclineOfAnotherClientsLeaseIsIgnored) {
  const Address held = lease(1);
  EXPECT_FALSE(answer(decline(held, 2)));
  EXPECT_EQ(server_.bound(now_), 1U);
}

TEST_F(DhcpTest, InformGetsTheConfigurationWithoutALease) {
  auto request = message(DhcpType::inform);
  request.client = address("10.0.2.77");
  const auto reply = answer(request);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->message.type, DhcpType::ack);
  EXPECT_EQ(reply->message.yours, kAny);
  EXPECT_EQ(reply->message.client, address("10.0.2.77"));
  EXPECT_FALSE(reply->message.lease_time);
  EXPECT_FALSE(reply->message.renewal_time);
  EXPECT_FALSE(reply->message.rebinding_time);
  EXPECT_THAT(reply->message.dns_servers, ElementsAre(address("10.0.2.3")));
  EXPECT_EQ(reply->destination, address("10.0.2.77"));
  EXPECT_EQ(reply->to, mac(1));
  EXPECT_EQ(server_.bound(now_), 0U);
}

TEST_F(DhcpTest, InformFromNowhereIsIgnored) {
  auto request = message(DhcpType::inform);
  for (const char* text : {"0.0.0.0", "10.0.2.2", "198.51.100.2", "10.0.2.255"}) {
    request.client = address(text);
    EXPECT_FALSE(answer(request)) << text;
  }
}

TEST_F(DhcpTest, WhatIsNoClientsMessageIsIgnored) {
  for (const DhcpType type : {DhcpType::offer, DhcpType::ack, DhcpType::nak, DhcpType{99}}) {
    EXPECT_FALSE(answer(message(type)));
  }
  auto request = discover();
  request.type.reset();
  EXPECT_FALSE(answer(request)) << "BOOTP";
  request = discover();
  request.operation = wire::DhcpMessage::kBootReply;
  EXPECT_FALSE(answer(request));
  request = discover();
  request.gateway = address("10.0.2.50");
  EXPECT_FALSE(answer(request)) << "a relay";
  request = discover();
  request.hardware = kBroadcastMac;
  EXPECT_FALSE(answer(request));
}

// --- where replies go: RFC 2131 section 4.1
// -------------------------------------------------------------------------

TEST_F(DhcpTest, RepliesToWhoHasNoAddressGoToTheNewOne) {
  const auto reply = answer(discover());
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->destination, address("10.0.2.15"));
  EXPECT_EQ(reply->to, mac(1));
}

TEST_F(DhcpTest, OffersAreNotSentToWhateverADiscoverSaysIsItsAddress) {
  auto request = discover();
  request.client = address("198.51.100.7");
  const auto reply = answer(request);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->message.client, kAny);
  EXPECT_EQ(reply->destination, address("10.0.2.15"));
}

TEST_F(DhcpTest, RepliesAreBroadcastWhereTheClientWantsIt) {
  auto request = discover();
  request.broadcast_flag = true;
  const auto reply = answer(request);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->destination, kAll);
  EXPECT_EQ(reply->to, kBroadcastMac);
  EXPECT_TRUE(reply->message.broadcast_flag);
}

TEST_F(DhcpTest, RenewalsAreAnsweredToTheClientsAddress) {
  const Address held = lease();
  auto request = renew(held);
  request.broadcast_flag = true;
  const auto reply = answer(request);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->destination, held);
  EXPECT_EQ(reply->to, mac(1));
}

TEST_F(DhcpTest, RefusalsAreBroadcast) {
  const auto reply = answer(renew(address("192.168.1.5")));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->message.type, DhcpType::nak);
  EXPECT_EQ(reply->message.client, kAny);
  EXPECT_EQ(reply->destination, kAll);
  EXPECT_EQ(reply->to, kBroadcastMac);
}

// --- size
// -----------------------------------------------------------------------------------------------------------

TEST_F(DhcpTest, LongSearchListsAndClientIdentifiersAreShortened) {
  std::string name;
  for (int i = 0; i < 4; ++i) name += std::string(60, static_cast<char>('a' + i)) + ".";
  search_.assign(6, name);
  auto request = discover();
  request.client_id.assign(255, 7);
  const auto reply = answer(request);  // checks that it fits
  ASSERT_TRUE(reply);
  EXPECT_THAT(reply->message.dns_servers, ElementsAre(address("10.0.2.3")));
  EXPECT_TRUE(reply->message.lease_time);
}

TEST_F(DhcpTest, NamesAreLeftOutBeforeTheClientIdentifier) {
  std::string name;
  for (int i = 0; i < 4; ++i) name += std::string(60, static_cast<char>('a' + i)) + ".";
  search_ = {name};
  auto request = discover();
  request.client_id.assign(150, 7);
  const auto reply = answer(request);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->message.domain_name, "");
  EXPECT_EQ(reply->message.client_id, request.client_id);
}

TEST_F(DhcpTest, ClientIdentifiersAreRepeated) {
  auto request = discover();
  request.client_id = {0, 1, 2, 3};
  const auto reply = answer(request);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->message.client_id, request.client_id);
}

}  // namespace
}  // namespace sf::services
