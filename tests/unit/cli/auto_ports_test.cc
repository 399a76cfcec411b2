#include "cli/auto_ports.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/publish_syntax.hh"
#include "unit/control/fake_instance.hh"

namespace sf::cli {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class AutoPortsTest : public testing::Test {
 protected:
  void listen(const std::string& listeners) { ports_.on_listeners(setup::parse_listeners(listeners)); }
  std::vector<std::string> published() {
    std::vector<std::string> all;
    for (const auto& port : instance_.ports) {
      EXPECT_TRUE(port.rule.loopback);
      all.push_back(control::format_publish(port.rule));
    }
    return all;
  }

  control::FakeInstance instance_;
  std::vector<std::string> said_;
  Log log_{LogLevel::info, [this](LogLevel, std::string_view text) { said_.emplace_back(text); }};
  AutoPorts ports_{instance_, log_};
};

TEST_F(AutoPortsTest, WhatListensIsPublishedOnTheHostsLoopback) {
  listen("tcp 80 127.0.0.1\ntcp 81 ::1\nudp 53 0.0.0.0\ntcp+ 82 ::\n");
  EXPECT_THAT(published(),
              testing::UnorderedElementsAre("tcp/127.0.0.1:80:80", "tcp/[::1]:81:81", "udp/127.0.0.1:53:53",
                                            "tcp/[::1]:82:82", "tcp/127.0.0.1:82:82"));
}

TEST_F(AutoPortsTest, WhatIsThereAlreadyStaysAsItIs) {
  listen("tcp 80 127.0.0.1\n");
  const auto id = instance_.ports.at(0).id;
  listen("tcp 80 127.0.0.1\ntcp 81 127.0.0.1\n");
  ASSERT_EQ(instance_.ports.size(), 2U);
  EXPECT_EQ(instance_.ports.at(0).id, id);
  listen("tcp 81 127.0.0.1\n");
  EXPECT_THAT(published(), ElementsAre("tcp/127.0.0.1:81:81"));
  listen("");
  EXPECT_THAT(published(), IsEmpty());
}

TEST_F(AutoPortsTest, AnotherAddressInsideIsNamed) {
  listen("tcp 80 10.0.2.100\n");
  ASSERT_EQ(instance_.ports.size(), 1U);
  EXPECT_EQ(instance_.ports[0].rule.guest_address, Address::v4(10, 0, 2, 100));
  EXPECT_EQ(instance_.ports[0].rule.host_address, Address::v4(127, 0, 0, 1));
}

TEST_F(AutoPortsTest, TheLoopbackComesBeforeAnyOtherAddress) {
  for (const char* both :
       {"tcp 80 10.0.2.100\ntcp 80 127.0.0.1\n", "tcp 80 127.0.0.1\ntcp 80 10.0.2.100\n"}) {
    listen(both);
    ASSERT_EQ(instance_.ports.size(), 1U);
    EXPECT_FALSE(instance_.ports[0].rule.guest_address);
    listen("");
  }
}

TEST_F(AutoPortsTest, AChangeOfAddressPublishesAnew) {
  listen("tcp 80 127.0.0.1\n");
  listen("tcp 80 10.0.2.100\n");
  ASSERT_EQ(instance_.ports.size(), 1U);
  EXPECT_TRUE(instance_.ports[0].rule.guest_address);
}

TEST_F(AutoPortsTest, NotLinkLocalAddressesAndGroups) {
  listen("udp 5353 224.0.0.251\ntcp 80 fe80::1\nudp 547 ff02::1:2\ntcp 81 169.254.0.1\n");
  EXPECT_THAT(published(), IsEmpty());
}

TEST_F(AutoPortsTest, ARefusedPortIsSaidOnceAndTriedAgain) {
  listen("tcp 999 127.0.0.1\n");
  listen("tcp 80 127.0.0.1\ntcp 999 127.0.0.1\n");
  EXPECT_EQ(said_.size(), 1U);
  EXPECT_THAT(published(), ElementsAre("tcp/127.0.0.1:80:80"));
  listen("");
  listen("tcp 999 127.0.0.1\n");
  EXPECT_EQ(said_.size(), 1U) << "whoever listens inside cannot fill the log";
}

TEST_F(AutoPortsTest, APortThatWasAskedForIsLeftAlone) {
  engine::PublishRule rule = control::parse_publish("80:8000")->front();
  rule.loopback = true;
  static_cast<void>(instance_.publish(rule));
  listen("tcp 80 127.0.0.1\nudp 80 127.0.0.1\n");
  EXPECT_THAT(published(), ElementsAre("tcp/80:8000", "udp/127.0.0.1:80:80"));
  listen("");
  EXPECT_THAT(published(), ElementsAre("tcp/80:8000"));
  EXPECT_THAT(said_, IsEmpty());
}

}  // namespace
}  // namespace sf::cli
