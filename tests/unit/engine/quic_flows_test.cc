// UDP port 443 under a policy that checks server names, through a whole shard.
#include "engine/quic_flows.hh"

#include "policy/gate.hh"
#include "unit/engine/shard_fixture.hh"
#include "unit/support/quic_client.hh"

namespace sf::engine {
namespace {

using quic_client::Buffer;
using quic_client::crypto_frame;
using quic_client::first_datagram;
using quic_client::hello;
using quic_client::seal;
using wire::IcmpError;

constexpr std::uint16_t kHttps = 443;

class QuicFlowsTest : public ShardTest {
 protected:
  ~QuicFlowsTest() override { shard_.reset(); }
  QuicFlowsTest() {
    config_.gate = &gate_;
    use("allow *.ok.test");
    learn("a.ok.test");
  }
  void use(std::string_view rules, bool check_sni = true) {
    std::vector<policy::Rule> parsed;
    while (!rules.empty()) {
      const std::string_view rule = rules.substr(0, rules.find(';'));
      rules.remove_prefix(std::min(rules.size(), rule.size() + 1));
      const bool allow = rule.starts_with("allow ");
      parsed.push_back(*policy::parse_rule(allow ? policy::Action::allow : policy::Action::deny,
                                           rule.substr(rule.find(' ') + 1)));
    }
    parsed.push_back(policy::deny_all());
    gate_.replace(
        std::make_shared<const policy::Policy>(std::move(parsed), policy::Settings{.check_sni = check_sni}));
  }
  // remote() is what the guest was told for the name.
  void learn(std::string_view name) {
    std::array<std::uint8_t, 512> bytes{};
    Writer out(bytes);
    const std::uint16_t type = v4() ? 1 : 28;
    wire::DnsHeader header;
    header.response = true;
    header.questions = header.answers = 1;
    header.emit(out);
    wire::DnsQuestion{std::string(name), type, 1}.emit(out);
    wire::write_dns_name(out, name);
    out.u16(type);
    out.u16(1);
    out.u32(60);
    out.u16(static_cast<std::uint16_t>(remote().wire_bytes().size()));
    out.bytes(remote().wire_bytes());
    ASSERT_TRUE(gate_.learn(out.written(), now_));
  }
  void send(const Buffer& payload) {
    frame(udp_frame(ip_to(remote(), wire::IpProtocol::udp), kHttps, payload));
  }
  void send_segments(const Buffer& payload, std::size_t size) {
    link::FakeLink all{link::kAllFeatures};
    link::ToGuest out{all, kGuestMac, 65000};
    EXPECT_EQ(out.send_udp(kGatewayMac, ip_to(remote(), wire::IpProtocol::udp), 5000, kHttps, payload,
                           static_cast<std::uint16_t>(size)),
              link::Status::ok);
    frame(all.sent.at(0).bytes, all.sent.at(0).offload);
  }
  std::size_t left() const { return host_.datagrams.size(); }
  void expect_refused(std::uint64_t times = 1) {
    EXPECT_EQ(drops(DropReason::policy_refused), times);
    expect_error(IcmpError::admin_prohibited, remote());
    link_.sent.clear();
  }

  std::vector<std::string> lines_;
  const Log gate_log_{LogLevel::info, [this](LogLevel, std::string_view line) { lines_.emplace_back(line); }};
  policy::Gate gate_{nullptr, SipKey{3, 4}, gate_log_};
};

INSTANTIATE_TEST_SUITE_P(Version, QuicFlowsTest, testing::Bool(), version_name);

const Buffer kShort{0x40, 1, 2, 3, 4};
const Buffer kHandshake{0xe0, 0, 0, 0, 1, 1, 7, 1, 7, 2, 9, 9};

TEST_P(QuicFlowsTest, AnAllowedNamePasses) {
  start();
  const Buffer first = first_datagram("a.ok.test");
  send(first);
  ASSERT_EQ(left(), 1U);
  EXPECT_EQ(host_.datagrams[0].second, first);
  send(kHandshake);
  send(kShort);
  EXPECT_EQ(left(), 3U);
  EXPECT_EQ(gate_.refusals(), 0U);
  EXPECT_TRUE(link_.sent.empty());
}

TEST_P(QuicFlowsTest, AnotherNameIsRefused) {
  start();
  send(first_datagram("b.bad.test"));
  expect_refused();
  send(first_datagram("b.bad.test"));
  expect_refused(2);
  EXPECT_EQ(left(), 0U);
  EXPECT_EQ(shard_->flow_count(), 0U);
  EXPECT_EQ(lines_,
            (std::vector<std::string>{"policy: refused udp " + Endpoint{remote(), kHttps}.to_string() +
                                      " (server name b.bad.test)"}));
}

TEST_P(QuicFlowsTest, NothingPassesThatNamesNoServer) {
  start();
  std::uint64_t refusals = 0;
  for (const Buffer& payload :
       {first_datagram(""), kShort, kHandshake, Buffer{0xc0, 0xff, 0, 0, 0x1d, 1, 1, 1},
        Buffer{22, 0xfe, 0xfd, 0, 0}, Buffer{}}) {
    send(payload);
    expect_refused(++refusals);
  }
  EXPECT_EQ(left(), 0U);
}

TEST_P(QuicFlowsTest, AnAddressThatIsAllowedPassesWithoutAName) {
  use("deny bad.test;allow " + std::string(v4() ? "198.51.100.0/24" : "[2001:db8:1::/64]"));
  start();
  for (const Buffer& payload : {first_datagram(""), kShort, kHandshake, Buffer{22, 0xfe, 0xfd, 0, 0}})
    send(payload);
  EXPECT_EQ(left(), 4U);
  send(first_datagram("bad.test", {.destination = {9, 9, 9, 9}}));
  expect_refused();
  EXPECT_EQ(left(), 4U) << "a name that is refused before it";
}

TEST_P(QuicFlowsTest, PiecesAreHeldUntilTheNameIsThere) {
  start();
  const Buffer whole = hello("a.ok.test", 1500);
  const Bytes bytes = whole;
  const Buffer second = seal({.number = 1}, crypto_frame(900, base::drop(bytes, 900)));
  const Buffer first = seal({.number = 0}, crypto_frame(0, base::take(bytes, 900)));
  send(second);
  const Buffer early{0xd0, 0, 0, 0, 1, 1, 7, 1, 7, 2, 9, 9};  // 0-RTT
  send(early);
  EXPECT_EQ(left(), 0U);
  EXPECT_TRUE(link_.sent.empty());
  send(first);
  ASSERT_EQ(left(), 3U);
  EXPECT_EQ(host_.datagrams[0].second, second) << "in the guest's order";
  EXPECT_EQ(host_.datagrams[1].second, early);
  EXPECT_EQ(host_.datagrams[2].second, first);
  EXPECT_EQ(host_.datagrams[0].first, (Endpoint{remote(), kHttps}));
}

TEST_P(QuicFlowsTest, NoPieceOfARefusedNameLeaves) {
  start();
  const Buffer whole = hello("bad.test", 1500);
  const Bytes bytes = whole;
  send(seal({.number = 1}, crypto_frame(900, base::drop(bytes, 900))));
  send(seal({.number = 0}, crypto_frame(0, base::take(bytes, 900))));
  expect_refused();
  send(first_datagram("a.ok.test", {.destination = {9, 9, 9, 9}}));
  EXPECT_EQ(left(), 1U) << "the allowed connection, and nothing of the other one";
}

TEST_P(QuicFlowsTest, AnotherConnectionFromTheSamePortIsJudged) {
  start();
  send(first_datagram("a.ok.test"));
  send(kShort);
  EXPECT_EQ(left(), 2U);
  send(first_datagram("bad.test", {.destination = {9, 9, 9, 9}}));
  expect_refused();
  send(Buffer{22, 0xfe, 0xfd, 0, 0});
  expect_refused(2);
  send(Buffer{0xc0, 0xff, 0, 0, 0x1d, 1, 1, 1});
  expect_refused(3);
  send(kShort);
  EXPECT_EQ(left(), 3U) << "the first one goes on";
}

TEST_P(QuicFlowsTest, WhatIsHeldIsBounded) {
  start();
  const auto piece = [](std::uint64_t number) {
    return seal({.number = number}, crypto_frame(4000 + number, Buffer{1}), 1150);
  };
  for (std::uint64_t i = 0; i < 13; ++i) send(piece(i));
  EXPECT_EQ(gate_.refusals(), 0U);
  send(piece(13));
  expect_refused();
  // What has waited for too long does not leave late.
  now_ += QuicFlows::kHeldFor;
  const Buffer whole = hello("a.ok.test", 6000);
  send(seal({.destination = {9, 9, 9, 9}}, crypto_frame(0, base::take(whole, 500))));
  EXPECT_EQ(left(), 0U);
  send(first_datagram("a.ok.test", {.destination = {8, 8, 8, 8}}));
  EXPECT_EQ(left(), 1U);
}

TEST_P(QuicFlowsTest, WhatIsHeldForTooLongHoldsNothingElse) {
  start();
  const Buffer whole = hello("a.ok.test", 1500);
  send(seal({.number = 0}, crypto_frame(0, base::take(whole, 900))));
  now_ += QuicFlows::kHeldFor - 1ms;
  send(kHandshake);
  EXPECT_EQ(gate_.refusals(), 0U) << "held too";
  now_ += 1ms;
  send(kHandshake);
  expect_refused();
  EXPECT_EQ(left(), 0U);
}

TEST_P(QuicFlowsTest, ASuperFrame) {
  start();
  const Buffer whole = hello("a.ok.test", 1500);
  const Bytes bytes = whole;
  Buffer both = seal({.number = 0}, crypto_frame(0, base::take(bytes, 900)));
  const std::size_t size = both.size();
  const Buffer second = seal({.number = 1}, crypto_frame(900, base::drop(bytes, 900)));
  both.insert(both.end(), second.begin(), second.end());
  ASSERT_EQ(both.size(), 2U * size);
  send_segments(both, size);
  ASSERT_EQ(left(), 1U);
  EXPECT_EQ(host_.datagrams[0].second, both);
  EXPECT_EQ(host_.options[0].segment_size, size);
  // A refused name in the last one of several.
  const Buffer bad = seal({.destination = {9, 9, 9, 9}}, crypto_frame(0, hello("bad.test")), 300);
  Buffer wrong(size, 0x40);
  wrong.insert(wrong.end(), bad.begin(), bad.end());
  send_segments(wrong, size);
  expect_refused();
  Buffer mixed = first_datagram("a.ok.test", {.destination = {7, 7, 7, 7}});
  const std::size_t each = mixed.size();
  mixed.insert(mixed.end(), bad.begin(), bad.end());
  send_segments(mixed, each);
  expect_refused(2);
  EXPECT_EQ(left(), 1U);
}

TEST_P(QuicFlowsTest, ASuperFrameThatBeginsAConnectionHasEarlyDataToo) {
  start();
  const Buffer early{0xd0, 0, 0, 0, 1, 1, 7, 1, 7, 2, 9, 9};  // 0-RTT
  Buffer both = first_datagram("a.ok.test");
  const std::size_t size = both.size();
  both.insert(both.end(), early.begin(), early.end());
  send_segments(both, size);
  ASSERT_EQ(left(), 1U);
  EXPECT_EQ(host_.datagrams[0].second, both);
  Buffer wrong = first_datagram("a.ok.test", {.destination = {9, 9, 9, 9}});
  const Buffer dtls{22, 0xfe, 0xfd, 0, 0};
  wrong.insert(wrong.end(), dtls.begin(), dtls.end());
  send_segments(wrong, first_datagram("a.ok.test", {.destination = {9, 9, 9, 9}}).size());
  expect_refused();
}

TEST_P(QuicFlowsTest, ASuperFrameWithPartOfAHelloWaitsWithItsEarlyData) {
  const Buffer early{0xd0, 0, 0, 0, 1, 1, 7, 1, 7, 2, 9, 9};  // 0-RTT
  for (const std::string_view name : {"a.ok.test", "bad.test"}) {
    start();
    link_.sent.clear();
    const Buffer whole = hello(name, 1500);
    const Bytes bytes = whole;
    Buffer both = seal({.number = 0}, crypto_frame(0, base::take(bytes, 900)));
    const std::size_t size = both.size();
    both.insert(both.end(), early.begin(), early.end());
    send_segments(both, size);
    EXPECT_EQ(left(), 0U);
    EXPECT_TRUE(link_.sent.empty()) << "held, as they are apart";
    send(seal({.number = 1}, crypto_frame(900, base::drop(bytes, 900))));
    if (name == "a.ok.test") {
      ASSERT_EQ(left(), 2U);
      EXPECT_EQ(host_.datagrams[0].second, both);
      EXPECT_EQ(host_.options[0].segment_size, size);
    } else {
      expect_refused();
      EXPECT_EQ(left(), 0U);
    }
    host_.datagrams.clear();
    host_.options.clear();
  }
}

// Early data that comes first belongs to nothing, as it does apart.
TEST_P(QuicFlowsTest, ASuperFrameWithEarlyDataBeforeTheHelloIsRefused) {
  start();
  const Buffer whole = hello("a.ok.test", 1500);
  Buffer both = seal({.number = 0}, crypto_frame(0, base::take(whole, 900)));
  const std::size_t size = both.size();
  Buffer early{0xd0, 0, 0, 0, 1, 1, 7, 1, 7, 2, 9, 9};
  early.resize(size, 9);
  early.insert(early.end(), both.begin(), both.end());
  send_segments(early, size);
  expect_refused();
  EXPECT_EQ(left(), 0U);
}

TEST_P(QuicFlowsTest, AnotherPolicyJudgesTheNameThatIsRemembered) {
  start();
  send(first_datagram("a.ok.test"));
  use("allow a.ok.test;allow other.test");
  send(kShort);
  EXPECT_EQ(left(), 2U);
  use("allow b.ok.test;allow a.ok.test:80");
  send(kShort);
  expect_refused();
}

TEST_P(QuicFlowsTest, WithoutTheCheckNothingIsLookedAt) {
  use("allow *.ok.test", false);
  start();
  send(first_datagram("bad.test"));
  send(kShort);
  EXPECT_EQ(left(), 2U);
}

}  // namespace
}  // namespace sf::engine
