// Messages of a DHCP client, and a server on the default network.
#pragma once

#include <gtest/gtest.h>

#include <array>

#include "services/dhcp.hh"
#include "unit/services/network_fixture.hh"

namespace sf::services {

class DhcpTest : public testing::Test {
 protected:
  static MacAddress mac(unsigned client) {
    return MacAddress{
        {2, 0, 0, 0, static_cast<std::uint8_t>(client >> 8), static_cast<std::uint8_t>(client)}};
  }
  static wire::DhcpMessage message(wire::DhcpType type, unsigned client = 1) {
    wire::DhcpMessage request;
    request.transaction = 0x12345678;
    request.hardware = mac(client);
    request.type = type;
    return request;
  }
  static wire::DhcpMessage discover(unsigned client = 1) { return message(wire::DhcpType::discover, client); }
  // Selecting: the answer to an offer of ours.
  static wire::DhcpMessage select(const Address& offered, unsigned client = 1) {
    auto request = message(wire::DhcpType::request, client);
    request.requested_address = offered;
    request.server_id = address("10.0.2.2");
    return request;
  }
  static wire::DhcpMessage reboot(const Address& previous, unsigned client = 1) {
    auto request = message(wire::DhcpType::request, client);
    request.requested_address = previous;
    return request;
  }
  static wire::DhcpMessage renew(const Address& held, unsigned client = 1) {
    auto request = message(wire::DhcpType::request, client);
    request.client = held;
    return request;
  }
  static wire::DhcpMessage release(const Address& held, unsigned client = 1) {
    auto request = message(wire::DhcpType::release, client);
    request.client = held;
    request.server_id = address("10.0.2.2");
    return request;
  }
  static wire::DhcpMessage decline(const Address& taken, unsigned client = 1) {
    auto request = message(wire::DhcpType::decline, client);
    request.requested_address = taken;
    request.server_id = address("10.0.2.2");
    return request;
  }

  // Every reply is put on the wire and read back, as a client sees it.
  std::optional<DhcpReply> answer(const wire::DhcpMessage& request) {
    auto reply = server_.answer(request, search_, now_);
    if (reply) {
      std::array<std::uint8_t, wire::kDhcpMaxSize> buffer{};
      Writer out{buffer};
      reply->message.emit(out);
      EXPECT_TRUE(out.ok()) << "does not fit";
      EXPECT_EQ(wire::DhcpMessage::parse(out.written()), reply->message);
    }
    return reply;
  }
  std::optional<wire::DhcpType> type_of(const wire::DhcpMessage& request) {
    const auto reply = answer(request);
    return reply ? reply->message.type : std::nullopt;
  }
  // The address offered, or 0.0.0.0.
  Address offer(const wire::DhcpMessage& request) {
    const auto reply = answer(request);
    if (!reply || reply->message.type != wire::DhcpType::offer) return Address::v4(0);
    return reply->message.yours;
  }
  // Discovers and requests; the address got.
  Address lease(unsigned client = 1) {
    const Address offered = offer(discover(client));
    EXPECT_EQ(type_of(select(offered, client)), wire::DhcpType::ack);
    return offered;
  }

  link::Network network_ = test_network();
  DhcpServer server_{network_};
  std::vector<std::string> search_{"lab.test", "example.org"};
  Time now_ = Time{} + 1000s;
};

}  // namespace sf::services
