#include "policy/gate.hh"

#include <gtest/gtest.h>

#include <thread>

#include "wire/dns_records.hh"

namespace sf::policy {
namespace {

constexpr SipKey kKey{1, 2};
const Address kAddress = Address::v4(192, 0, 2, 1);
const Endpoint kWeb{kAddress, 443};

std::shared_ptr<const Policy> make(std::initializer_list<std::string_view> texts,
                                   const Settings& settings = {}) {
  std::vector<Rule> rules;
  for (const std::string_view text : texts) {
    const bool allow = text.starts_with("allow ");
    rules.push_back(*parse_rule(allow ? Action::allow : Action::deny, text.substr(allow ? 6 : 5)));
  }
  rules.push_back(deny_all());
  return std::make_shared<const Policy>(std::move(rules), settings);
}

std::vector<std::uint8_t> answer(std::string_view name, const Address& address, std::uint32_t ttl) {
  std::vector<std::uint8_t> bytes(512);
  Writer out(bytes);
  wire::DnsHeader header;
  header.response = true;
  header.questions = header.answers = 1;
  header.emit(out);
  wire::DnsQuestion{std::string(name), wire::dns_type::kA, 1}.emit(out);
  wire::write_dns_name(out, name);
  out.u16(address.is_v4() ? wire::dns_type::kA : wire::dns_type::kAaaa);
  out.u16(1);
  out.u32(ttl);
  out.u16(static_cast<std::uint16_t>(address.wire_bytes().size()));
  out.bytes(address.wire_bytes());
  bytes.resize(out.offset());
  return bytes;
}

class GateTest : public testing::Test {
 protected:
  bool admits(Protocol protocol = Protocol::tcp, const Endpoint& to = kWeb) {
    return gate_.admits(protocol, to, to.address, now_);
  }
  bool learn(std::string_view name, std::uint32_t ttl, const Address& address = kAddress) {
    return gate_.learn(answer(name, address, ttl), now_);
  }
  void use(std::initializer_list<std::string_view> texts, const Settings& settings = {}) {
    gate_.replace(make(texts, settings));
  }

  std::vector<std::string> lines_;
  const Log log_{LogLevel::info, [this](LogLevel, std::string_view line) { lines_.emplace_back(line); }};
  Gate gate_{nullptr, kKey, log_};
  Time now_{1h};
};

TEST_F(GateTest, WithoutAPolicyEverythingPasses) {
  EXPECT_FALSE(gate_.active());
  EXPECT_TRUE(admits());
  EXPECT_EQ(gate_.ask({}, {"any.test", 1, 1}), Gate::Question::passes);
}

TEST_F(GateTest, AnAddressIsOpenWhileAnAnswerIsFresh) {
  use({"allow a.test:443"}, {.ttl_floor = 30});
  EXPECT_FALSE(admits());
  EXPECT_TRUE(learn("A.test", 100));
  EXPECT_TRUE(admits());
  EXPECT_FALSE(admits(Protocol::tcp, {kAddress, 444}));
  now_ += 99s;
  EXPECT_TRUE(admits());
  now_ += 1s;
  EXPECT_FALSE(admits());
  learn("a.test", 1);
  now_ += 29s;
  EXPECT_TRUE(admits()) << "the floor";
  now_ += 1s;
  EXPECT_FALSE(admits());
  learn("a.test", 0x7fffffff);
  now_ += Gate::kMaxTtl;
  EXPECT_FALSE(admits());
  learn("a.test", 100);
  learn("a.test", 40);
  now_ += 50s;
  EXPECT_TRUE(admits()) << "the longer answer counts";
}

TEST_F(GateTest, OnlyAllowedNamesAreLearnt) {
  use({"deny b.test", "allow a.test", "allow internet:80"});
  learn("c.test", 100);
  EXPECT_FALSE(admits());
  learn("b.test", 100);
  EXPECT_FALSE(admits());
}

// Where the gateway leads there, it would else be open for whoever has a name that is allowed.
TEST_F(GateTest, NoNameLeadsToTheHostsLoopback) {
  use({"allow a.test", "allow loopback:80"});
  for (const char* text : {"127.0.0.1", "::1", "127.0.0.53"}) {
    const Address loopback = *Address::parse(text);
    EXPECT_TRUE(learn("a.test", 60, loopback));
    EXPECT_FALSE(admits(Protocol::tcp, {loopback, 443})) << text;
    EXPECT_TRUE(admits(Protocol::tcp, {loopback, 80})) << text;
  }
}

TEST_F(GateTest, AnotherPolicyJudgesWhatWasLearnt) {
  use({"allow a.test", "allow b.test:443"});
  learn("a.test", 100);
  const std::uint32_t before = gate_.generation();
  use({"allow b.test"});
  EXPECT_NE(gate_.generation(), before);
  EXPECT_FALSE(admits());
  use({"allow x.test", "allow y.test", "allow a.test"});
  EXPECT_TRUE(admits());
}

TEST_F(GateTest, ServerNamesAreWantedOf) {
  EXPECT_FALSE(gate_.wants_server_name(Protocol::tcp, 443));
  use({"allow a.test"});
  EXPECT_FALSE(gate_.wants_server_name(Protocol::tcp, 443));
  use({"allow a.test"}, {.check_sni = true});
  EXPECT_TRUE(gate_.wants_server_name(Protocol::tcp, 443));
  EXPECT_TRUE(gate_.wants_server_name(Protocol::tcp, 80));
  EXPECT_TRUE(gate_.wants_server_name(Protocol::udp, 443));
  EXPECT_FALSE(gate_.wants_server_name(Protocol::udp, 80));
  EXPECT_FALSE(gate_.wants_server_name(Protocol::tcp, 8443));
  EXPECT_FALSE(gate_.wants_server_name(Protocol::icmp, 443));
}

TEST_F(GateTest, ServerNamesAreJudgedByThemselves) {
  use({"allow a.test", "allow b.test:80", "allow tcp/c.test", "allow 192.0.2.9"}, {.check_sni = true});
  learn("a.test", 100);
  using State = wire::ServerName::State;
  for (const Protocol protocol : {Protocol::tcp, Protocol::udp}) {
    EXPECT_TRUE(gate_.admits_server(protocol, kWeb, kAddress, {State::named, "A.TEST"}));
    EXPECT_FALSE(gate_.admits_server(protocol, kWeb, kAddress, {State::named, "b.test"}));
    EXPECT_EQ(gate_.admits_server(protocol, kWeb, kAddress, {State::named, "c.test"}),
              protocol == Protocol::tcp);
    EXPECT_FALSE(gate_.admits_server(protocol, kWeb, kAddress, {State::unnamed, ""}));
    EXPECT_FALSE(gate_.admits_server(protocol, kWeb, kAddress, {State::foreign, ""}));
    const Endpoint named{Address::v4(192, 0, 2, 9), 443};
    EXPECT_TRUE(gate_.admits_server(protocol, named, named.address, {State::unnamed, ""}));
  }
  const std::string before = "policy: refused udp 192.0.2.1:443 (";
  EXPECT_EQ(lines_.back(), before + "server name unknown)");
  EXPECT_EQ(*(lines_.end() - 2), before + "no server name)");
}

TEST_F(GateTest, RefusalsAreSaidOnceAndCounted) {
  use({"allow a.test"});
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(admits());
  ASSERT_EQ(lines_.size(), 2U);
  EXPECT_EQ(lines_[0], "policy: refused tcp 192.0.2.1:443");
  EXPECT_EQ(lines_[1], "policy: refused tcp 192.0.2.1:443, 10 times by now");
  for (std::uint32_t i = 0; i < 5000; ++i) EXPECT_FALSE(admits(Protocol::udp, {Address::v4(i + 1), 9}));
  EXPECT_LE(lines_.size(), Refusals::kMaxTargets + 3);
  EXPECT_EQ(gate_.refusals(), 5010U);
  EXPECT_EQ(gate_.refused(1),
            (std::vector<std::pair<std::string, std::uint64_t>>{{"tcp 192.0.2.1:443", 10}}));
}

TEST_F(GateTest, AuditLetsPass) {
  use({"allow a.test"}, {.audit = true});
  EXPECT_TRUE(admits());
  EXPECT_EQ(gate_.ask({}, {"b.test", 1, 1}), Gate::Question::passes);
  EXPECT_EQ(lines_, (std::vector<std::string>{"policy: would refuse tcp 192.0.2.1:443",
                                              "policy: would refuse dns b.test"}));
}

TEST_F(GateTest, OnlyPlainQuestionsAreAsked) {
  use({"allow a.test"});
  wire::DnsHeader update;
  update.opcode = 5;
  EXPECT_EQ(gate_.ask({}, {"a.test", 16, 1}), Gate::Question::passes);
  EXPECT_EQ(gate_.ask({}, {"b.test", 1, 1}), Gate::Question::no_such_name);
  EXPECT_EQ(gate_.ask(update, {"a.test", 1, 1}), Gate::Question::refused);
  EXPECT_EQ(gate_.ask({}, {"a.test", 16, 3}), Gate::Question::refused) << "CHAOS";
  use({"allow a.test"}, {.refuse_with_refused = true});
  EXPECT_EQ(gate_.ask({}, {"b.test", 1, 1}), Gate::Question::refused);
}

TEST_F(GateTest, WhatIsLearntIsBounded) {
  LearnedNames learned(kKey);
  const auto policy = make({"allow *.test"});
  for (std::uint32_t i = 0; i < LearnedNames::kMaxAddresses + 1000; ++i) {
    learned.learn(Address::v4(i), "a.test", *policy, now_ + 60s, now_);
  }
  EXPECT_EQ(learned.size(), LearnedNames::kMaxAddresses);
  for (int i = 0; i < 100; ++i)
    learned.learn(kAddress, fmt::format("n{}.test", i), *policy, now_ + 60s, now_);
  EXPECT_EQ(learned.find(kAddress, *policy, now_).size(), LearnedNames::kMaxNames);
  now_ += 61s;
  learned.learn(Address::v4(7, 7, 7, 7), "a.test", *policy, now_ + 60s, now_);
  EXPECT_EQ(learned.size(), 1U) << "what has expired goes first";
}

TEST_F(GateTest, ThreadsShareIt) {
  use({"allow a.test"});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (std::uint32_t i = 0; i < 2000; ++i) {
        const Address address = Address::v4(static_cast<std::uint32_t>(t) << 16 | i);
        if (!gate_.learn(answer("a.test", address, 60), now_) ||
            !gate_.admits(Protocol::tcp, {address, 80}, address, now_)) {
          ADD_FAILURE();
        }
        if (i % 500 == 0) use({"allow a.test"});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace sf::policy
