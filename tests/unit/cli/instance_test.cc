#include "cli/instance.hh"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/publish_syntax.hh"
#include "unit/engine/shard_fixture.hh"

namespace sf::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class FakeLoopback final : public host::Loopback {
 public:
  tl::expected<host::LoopbackPort, host::ListenError> add(const host::LoopbackRule& rule) override {
    if (refuses) return tl::unexpected(host::ListenError{host::HostError::in_use, {Address::v4(0), 80}});
    ports.push_back({next++, rule, 7});
    return ports.back();
  }
  bool remove(host::LoopbackId id) override {
    return std::erase_if(ports, [id](const auto& port) { return port.id == id; }) > 0;
  }
  std::vector<host::LoopbackPort> list() const override { return ports; }
  std::vector<host::LoopbackFlow> flows() override {
    return {
        {true, {Address::v4(127, 0, 0, 1), 80}, {Address::v4(127, 0, 0, 1), 4000}, "ESTABLISHED", 10, 20}};
  }
  host::LoopbackTotals totals() override { return {5, 100, 200, 1}; }

  std::vector<host::LoopbackPort> ports;
  host::LoopbackId next = 1;
  bool refuses = false;
};

class InstanceTest : public engine::ShardTest {
 protected:
  static engine::PublishRule rule(const char* text, bool loopback) {
    engine::PublishRule rule = control::parse_publish(text)->front();
    rule.loopback = loopback;
    return rule;
  }
  std::vector<engine::PublishId> ids() const {
    std::vector<engine::PublishId> all;
    for (const auto& port : instance_.published()) all.push_back(port.id);
    return all;
  }

  const bool started_ = (start(), true);  // makes the shard
  FakeLoopback loopback_;
  Config options_;
  const Log quiet_{LogLevel::error, [](LogLevel, std::string_view) {}};
  PolicyControl policy_{options_.policy, [] { return Result<std::string>{}; }, {}, SipKey{}, quiet_};
  OneShard shards_{*shard_};
  ShardInstance instance_{shards_, loopback_, policy_, options_, "1", [] { return Time{}; }};
};

// There is no process inside that could make the sockets.
TEST_P(InstanceTest, NoLoopbackPortsAsSlirp4netns) {
  options_.slirp4netns = true;
  const auto refused = instance_.publish(rule("80:80", true));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("slirp-forwarder attach"));
  EXPECT_TRUE(loopback_.ports.empty());
  EXPECT_TRUE(instance_.publish(rule("80:80", false)));
}

// The kinds have numbers of their own, which say nothing here.
TEST_P(InstanceTest, PortsOfBothKindsShareOneRowOfNumbers) {
  EXPECT_EQ(instance_.publish(rule("80:80", true))->id, 1U);
  EXPECT_EQ(instance_.publish(rule("81:80", false))->id, 2U);
  EXPECT_EQ(instance_.publish(rule("82:80", true))->id, 3U);
  EXPECT_THAT(ids(), ElementsAre(1, 2, 3));
  const auto published = instance_.published();
  EXPECT_TRUE(published[0].rule.loopback);
  EXPECT_FALSE(published[1].rule.loopback);
  EXPECT_EQ(published[1].rule.host_port, 81);
  EXPECT_EQ(published[2].rule.host_port, 82);
  EXPECT_EQ(published[2].accepted, 7U);

  EXPECT_TRUE(instance_.unpublish(2));
  EXPECT_FALSE(instance_.unpublish(2));
  EXPECT_EQ(loopback_.ports.size(), 2U);
  EXPECT_TRUE(instance_.unpublish(3));
  ASSERT_EQ(loopback_.ports.size(), 1U);
  EXPECT_EQ(loopback_.ports[0].rule.host_port, 80);
  EXPECT_THAT(ids(), ElementsAre(1));
  EXPECT_EQ(instance_.publish(rule("83:80", false))->id, 4U) << "a number is used once";
}

TEST_P(InstanceTest, ARefusedPortHasNoNumberAndAReason) {
  loopback_.refuses = true;
  const auto refused = instance_.publish(rule("80:80", true));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("TCP port 80 on 0.0.0.0"));
  EXPECT_THAT(refused.error().message, HasSubstr("choose another port"));
  loopback_.refuses = false;
  EXPECT_EQ(instance_.publish(rule("80:80", true))->id, 1U);
}

TEST_P(InstanceTest, AnIpv6PortWithoutIpv6InsideIsForTheLoopbackAlone) {
  options_.ipv6 = false;
  EXPECT_FALSE(instance_.publish(rule("[::1]:80:80", false)));
  EXPECT_TRUE(instance_.publish(rule("[::1]:80:80", true)));
}

TEST_P(InstanceTest, FlowsAndSumsHaveBoth) {
  const auto flows = instance_.flows(1000).flows;
  ASSERT_EQ(flows.size(), 1U);
  EXPECT_TRUE(flows[0].inbound);
  EXPECT_EQ(flows[0].bytes_to_guest, 20U);
  const engine::Totals totals = instance_.totals();
  EXPECT_EQ(totals.tcp_opened, 5U);
  EXPECT_EQ(totals.bytes_from_guest, 100U);
  EXPECT_EQ(totals.bytes_to_guest, 200U);
  EXPECT_EQ(totals.flows, 1U);
}

// The shard's link shows frames to somebody while there is somebody.
TEST_P(InstanceTest, CapturesAreOfAllShards) {
  EXPECT_FALSE(instance_.capture({})) << "there is nobody to take it";
  control::Captures captures("tap0", {.unix_time = [] { return std::chrono::nanoseconds(1); },
                                      .wake = [] {},
                                      .use =
                                          [&](bool used) {
                                            shards_.visit_all([&](unsigned, engine::Shard& shard) {
                                              shard.set_onlooker(used ? &captures : nullptr);
                                            });
                                          }});
  instance_.set_captures(&captures);
  std::vector<std::unique_ptr<control::Stream>> streams;
  for (std::size_t i = 0; i < control::Captures::kMaxCaptures; ++i) {
    auto stream = instance_.capture({});
    ASSERT_TRUE(stream);
    streams.push_back(*std::move(stream));
  }
  const auto refused = instance_.capture({});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("4 captures of this instance are running"));
  std::vector<std::uint8_t> before;
  streams[0]->take(before);
  link_.to_receive.emplace_back(std::vector<std::uint8_t>(60, 1), wire::Offload{});
  shard_->on_link_readable(Time{});
  static_cast<void>(shard_->end_turn(Time{}));
  std::vector<std::uint8_t> after;
  streams[0]->take(after);
  EXPECT_GT(after.size(), 60U);
  streams.clear();
  link_.to_receive.emplace_back(std::vector<std::uint8_t>(60, 1), wire::Offload{});
  shard_->on_link_readable(Time{});
  static_cast<void>(shard_->end_turn(Time{}));
}

INSTANTIATE_TEST_SUITE_P(Version, InstanceTest, testing::Values(true),
                         [](const auto& version) { return version.param ? "v4" : "v6"; });

}  // namespace
}  // namespace sf::cli
