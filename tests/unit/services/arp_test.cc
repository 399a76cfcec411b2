#include "services/arp.hh"

#include <gtest/gtest.h>

#include "unit/services/network_fixture.hh"

namespace sf::services {
namespace {

wire::ArpPacket request(const char* sender, const char* target) {
  wire::ArpPacket packet;
  packet.operation = wire::ArpPacket::kRequest;
  packet.sender_mac = kGuestMac;
  packet.sender = address(sender);
  packet.target = address(target);
  return packet;
}

bool answered(const char* sender, const char* target) {
  return answer_arp(request(sender, target), test_network()).has_value();
}

TEST(Arp, RepliesForTheGatewayWithItsMac) {
  const auto reply = answer_arp(request("10.0.2.15", "10.0.2.2"), test_network());
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->operation, wire::ArpPacket::kReply);
  EXPECT_EQ(reply->sender_mac, test_network().gateway_mac);
  EXPECT_EQ(reply->sender, address("10.0.2.2"));
  EXPECT_EQ(reply->target_mac, kGuestMac);
  EXPECT_EQ(reply->target, address("10.0.2.15"));
}

TEST(Arp, RepliesForTheNameServer) {
  EXPECT_TRUE(answered("10.0.2.15", "10.0.2.3"));
}

TEST(Arp, RepliesForAnyAddressOffTheLink) {
  EXPECT_TRUE(answered("10.0.2.15", "198.51.100.2"));
  EXPECT_TRUE(answered("10.0.2.15", "10.0.3.1"));
  EXPECT_TRUE(answered("10.0.2.15", "10.0.1.255"));
  EXPECT_TRUE(answered("10.0.2.15", "8.8.8.8"));
}

TEST(Arp, LeavesOtherAddressesOfTheLinkAlone) {
  EXPECT_FALSE(answered("10.0.2.15", "10.0.2.16"));
  EXPECT_FALSE(answered("10.0.2.15", "10.0.2.100"));
  EXPECT_FALSE(answered("10.0.2.15", "10.0.2.255"));
  EXPECT_FALSE(answered("10.0.2.15", "10.0.2.0"));
}

TEST(Arp, LeavesWhatIsNoUnicastAddressAlone) {
  EXPECT_FALSE(answered("10.0.2.15", "224.0.0.1"));
  EXPECT_FALSE(answered("10.0.2.15", "255.255.255.255"));
  EXPECT_FALSE(answered("10.0.2.15", "127.0.0.1"));
  EXPECT_FALSE(answered("10.0.2.15", "0.0.0.0"));
}

TEST(Arp, ProbesFindOnlyOurAddressesTaken) {
  EXPECT_TRUE(answered("0.0.0.0", "10.0.2.2"));
  EXPECT_TRUE(answered("0.0.0.0", "10.0.2.3"));
  EXPECT_FALSE(answered("0.0.0.0", "10.0.2.15"));
  EXPECT_FALSE(answered("0.0.0.0", "169.254.7.9"));
  EXPECT_FALSE(answered("0.0.0.0", "192.0.2.1"));
}

TEST(Arp, AnnouncementsAreNotAnswered) {
  EXPECT_FALSE(answered("10.0.2.15", "10.0.2.15"));
  EXPECT_FALSE(answered("192.0.2.1", "192.0.2.1"));
}

TEST(Arp, OnlyRequestsAreAnswered) {
  auto packet = request("10.0.2.15", "10.0.2.2");
  packet.operation = wire::ArpPacket::kReply;
  EXPECT_FALSE(answer_arp(packet, test_network()));
  packet.operation = 8;
  EXPECT_FALSE(answer_arp(packet, test_network()));
}

TEST(Arp, NeitherAGroupNorTheGatewayItselfIsAnswered) {
  auto packet = request("10.0.2.15", "10.0.2.2");
  packet.sender_mac = kBroadcastMac;
  EXPECT_FALSE(answer_arp(packet, test_network()));
  packet.sender_mac = test_network().gateway_mac;
  EXPECT_FALSE(answer_arp(packet, test_network()));
}

}  // namespace
}  // namespace sf::services
