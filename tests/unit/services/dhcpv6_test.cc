#include "services/dhcpv6.hh"

#include <gmock/gmock.h>

#include <array>

#include "unit/services/network_fixture.hh"

namespace sf::services {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using wire::Dhcpv6Message;
using wire::Dhcpv6Status;
using wire::Dhcpv6Type;

const std::vector<std::uint8_t> kClient{0, 1, 2, 3, 4};
const std::vector<std::string> kSearch{"lab.test", "bad..name", "example.org"};

Dhcpv6Message message(Dhcpv6Type type) {
  Dhcpv6Message request;
  request.type = type;
  request.transaction = 0xabcdef;
  request.client_id = kClient;
  return request;
}
std::vector<std::uint8_t> our_id() {
  return wire::duid_from(test_network().gateway_mac);
}

std::optional<Dhcpv6Message> answer(const Dhcpv6Message& request) {
  auto reply = answer_dhcpv6(request, test_network(), kSearch);
  if (reply) {
    std::array<std::uint8_t, 1232> buffer{};
    Writer out{buffer};
    reply->emit(out);
    EXPECT_TRUE(out.ok());
    EXPECT_EQ(Dhcpv6Message::parse(out.written()), reply);
  }
  return reply;
}

TEST(Dhcpv6, InformationRequestGetsNameServers) {
  const auto reply = answer(message(Dhcpv6Type::information_request));
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->type, Dhcpv6Type::reply);
  EXPECT_EQ(reply->transaction, 0xabcdefU);
  EXPECT_EQ(reply->client_id, kClient);
  EXPECT_EQ(reply->server_id, our_id());
  EXPECT_THAT(reply->dns_servers, ElementsAre(address("fd00::3")));
  EXPECT_THAT(reply->domain_search, ElementsAre("lab.test", "example.org"));
  EXPECT_FALSE(reply->status);
}

TEST(Dhcpv6, InformationRequestMayBeAnonymous) {
  auto request = message(Dhcpv6Type::information_request);
  request.client_id.clear();
  const auto reply = answer(request);
  ASSERT_TRUE(reply);
  EXPECT_THAT(reply->client_id, IsEmpty());
}

TEST(Dhcpv6, InformationRequestForAnotherServerOrWithAddressesIsDiscarded) {
  auto request = message(Dhcpv6Type::information_request);
  request.server_id = {9, 9, 9};
  EXPECT_FALSE(answer(request));
  request.server_id = our_id();
  EXPECT_TRUE(answer(request));
  request.associations.emplace_back();
  EXPECT_FALSE(answer(request));
}

TEST(Dhcpv6, SolicitIsToldAtOnceThatThereAreNoAddresses) {
  auto request = message(Dhcpv6Type::solicit);
  request.rapid_commit = true;
  request.associations = {{wire::dhcpv6_option::kIaNa, 7, {}}, {wire::dhcpv6_option::kIaPd, 8, {}}};
  const auto reply = answer(request);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->type, Dhcpv6Type::advertise);
  EXPECT_FALSE(reply->rapid_commit);
  ASSERT_THAT(reply->associations, SizeIs(2));
  EXPECT_EQ(reply->associations[0].id, 7U);
  EXPECT_EQ(reply->associations[0].option, wire::dhcpv6_option::kIaNa);
  ASSERT_TRUE(reply->associations[0].status);
  EXPECT_EQ(reply->associations[0].status->code, Dhcpv6Status::no_addresses);
  ASSERT_TRUE(reply->associations[1].status);
  EXPECT_EQ(reply->associations[1].status->code, Dhcpv6Status::no_prefixes);
  EXPECT_THAT(reply->dns_servers, ElementsAre(address("fd00::3")));
}

TEST(Dhcpv6, SolicitWithoutAssociationsGetsAStatusOfItsOwn) {
  const auto reply = answer(message(Dhcpv6Type::solicit));
  ASSERT_TRUE(reply && reply->status);
  EXPECT_EQ(reply->status->code, Dhcpv6Status::no_addresses);
}

TEST(Dhcpv6, SolicitNeedsAClientAndNoServer) {
  auto request = message(Dhcpv6Type::solicit);
  request.server_id = our_id();
  EXPECT_FALSE(answer(request));
  request.server_id.clear();
  EXPECT_TRUE(answer(request));
  request.client_id.clear();
  EXPECT_FALSE(answer(request));
}

TEST(Dhcpv6, RequestIsRefusedWithAReply) {
  auto request = message(Dhcpv6Type::request);
  request.associations = {{wire::dhcpv6_option::kIaNa, 7, {}}};
  EXPECT_FALSE(answer(request)) << "not addressed to us";
  request.server_id = our_id();
  const auto reply = answer(request);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->type, Dhcpv6Type::reply);
  ASSERT_THAT(reply->associations, SizeIs(1));
  ASSERT_TRUE(reply->associations[0].status);
  EXPECT_EQ(reply->associations[0].status->code, Dhcpv6Status::no_addresses);
}

TEST(Dhcpv6, RenewAndReleaseFindNoBinding) {
  for (const Dhcpv6Type type : {Dhcpv6Type::renew, Dhcpv6Type::release, Dhcpv6Type::decline}) {
    auto request = message(type);
    request.server_id = our_id();
    request.associations = {{wire::dhcpv6_option::kIaNa, 7, {}}};
    const auto reply = answer(request);
    ASSERT_TRUE(reply);
    ASSERT_THAT(reply->associations, SizeIs(1));
    ASSERT_TRUE(reply->associations[0].status);
    EXPECT_EQ(reply->associations[0].status->code, Dhcpv6Status::no_binding);
    EXPECT_EQ(reply->status.has_value(), type != Dhcpv6Type::renew);
  }
}

TEST(Dhcpv6, WhatIsNoClientsOrCannotBeToldIsNotAnswered) {
  for (const Dhcpv6Type type : {Dhcpv6Type::confirm, Dhcpv6Type::advertise, Dhcpv6Type::reply,
                                Dhcpv6Type::reconfigure, Dhcpv6Type{200}}) {
    EXPECT_FALSE(answer(message(type))) << static_cast<int>(type);
  }
}

TEST(Dhcpv6, ManyAssociationsAreNotAnswered) {
  auto request = message(Dhcpv6Type::solicit);
  request.associations.resize(8);
  EXPECT_TRUE(answer(request));
  request.associations.resize(9);
  EXPECT_FALSE(answer(request));
}

TEST(Dhcpv6, WithoutDnsOrIpv6) {
  link::Network network = test_network();
  network.dns = false;
  const auto reply = answer_dhcpv6(message(Dhcpv6Type::information_request), network, kSearch);
  ASSERT_TRUE(reply);
  EXPECT_THAT(reply->dns_servers, IsEmpty());
  EXPECT_THAT(reply->domain_search, IsEmpty());
  network.ipv6 = false;
  EXPECT_FALSE(answer_dhcpv6(message(Dhcpv6Type::information_request), network, kSearch));
}

}  // namespace
}  // namespace sf::services
