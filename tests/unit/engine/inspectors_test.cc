#include "engine/inspectors.hh"

#include <gtest/gtest.h>

#include "unit/support/quic_client.hh"
#include "wire/dns.hh"

namespace sf::engine {
namespace {

using quic_client::Buffer;
using quic_client::put;

const Address kAddress = Address::v4(192, 0, 2, 1);

Buffer text(std::string_view of) {
  return {of.begin(), of.end()};
}
Buffer operator+(Buffer a, const Buffer& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
Buffer record(std::uint8_t type, const Buffer& body) {
  Buffer out{type, 3, 1};
  put(out, body.size(), 2);
  return out + body;
}
Buffer hello(std::string_view name) {
  return record(22, quic_client::hello(name));
}
Buffer server_hello(bool retry) {
  Buffer body{2, 0, 0, 40, 3, 3};
  if (retry) {
    for (const std::uint64_t part :
         {0xcf21ad74e59a6111U, 0xbe1d8c021e65b891U, 0xc2a211167abb8c5eU, 0x079e09e2c8a8339cU})
      put(body, part, 8);
  } else {
    body.resize(body.size() + 32, 7);
  }
  body.resize(44, 0);
  return record(22, body);
}

class InspectorTest : public testing::Test {
 protected:
  InspectorTest() {
    std::vector<policy::Rule> rules{*policy::parse_rule(policy::Action::allow, "*.ok.test"),
                                    policy::deny_all()};
    gate_.replace(
        std::make_shared<const policy::Policy>(std::move(rules), policy::Settings{.check_sni = true}));
  }
  // What becomes of it, in a word.
  static std::string show(tcp::Inspector& inspector, const Buffer& waiting) {
    const auto verdict = inspector.from_guest(waiting, Time{1h});
    if (verdict.refused) return "refused";
    return verdict.done ? "done" : fmt::format("{} pass", verdict.passes);
  }
  ServerNameInspector server(std::uint16_t port = 443) { return {gate_, {kAddress, port}, kAddress}; }

  const Log log_{LogLevel::error, [](LogLevel, std::string_view) {}};
  policy::Gate gate_{nullptr, SipKey{1, 2}, log_};
};

TEST_F(InspectorTest, BytesWaitForTheName) {
  auto inspector = server();
  const Buffer whole = hello("a.ok.test");
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_EQ(show(inspector, {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)}), "0 pass");
  EXPECT_EQ(inspector.server_name(), "");
  EXPECT_EQ(show(inspector, whole), fmt::format("{} pass", whole.size()));
  EXPECT_EQ(inspector.server_name(), "a.ok.test");
}

TEST_F(InspectorTest, AnotherNameIsRefused) {
  for (const Buffer& wrong : {hello("bad.test"), hello(""), hello("ok.test"), text("SSH-2.0-x\r\n")}) {
    auto inspector = server();
    EXPECT_EQ(show(inspector, wrong), "refused");
  }
  auto http = server(80);
  EXPECT_EQ(show(http, text("GET / HTTP/1.1\r\nHost: bad.test\r\n\r\n")), "refused");
}

TEST_F(InspectorTest, HttpIsOverWithTheFirstHeader) {
  auto http = server(80);
  EXPECT_EQ(show(http, text("GET / HTTP/1.1\r\nHost: a.ok.test\r\n")), "0 pass");
  EXPECT_EQ(show(http, text("GET / HTTP/1.1\r\nHost: a.ok.test\r\n\r\nbody")), "done");
  EXPECT_EQ(http.server_name(), "a.ok.test");
}

TEST_F(InspectorTest, WhatFollowsTheHelloWaitsForTheAnswer) {
  auto inspector = server();
  const Buffer first = hello("a.ok.test");
  const Buffer early = record(23, Buffer(50, 1));
  EXPECT_EQ(show(inspector, first + early), fmt::format("{} pass", first.size())) << "early data";
  EXPECT_EQ(show(inspector, early), "0 pass");
  for (const std::uint8_t byte : server_hello(false)) EXPECT_TRUE(inspector.to_guest(Buffer{byte}, {}));
  EXPECT_EQ(show(inspector, early), "done");
}

TEST_F(InspectorTest, AnAlertIsAnAnswer) {
  auto inspector = server();
  EXPECT_NE(show(inspector, hello("a.ok.test")), "refused");
  EXPECT_TRUE(inspector.to_guest(record(21, {2, 40}), {}));
  EXPECT_EQ(show(inspector, {}), "done");
}

TEST_F(InspectorTest, ASecondHelloIsJudged) {
  const Buffer dummy = record(20, {1});
  const Buffer early = record(23, Buffer(50, 1));
  for (const std::string_view name : {"a.ok.test", "bad.test", ""}) {
    auto inspector = server();
    EXPECT_NE(show(inspector, hello("a.ok.test")), "refused");
    EXPECT_TRUE(inspector.to_guest(server_hello(true), {}));
    EXPECT_EQ(show(inspector, dummy + early + Buffer{22, 3}),
              fmt::format("{} pass", dummy.size() + early.size()));
    EXPECT_EQ(show(inspector, hello(name)), name == "a.ok.test" ? "done" : "refused") << name;
  }
  auto inspector = server();
  EXPECT_NE(show(inspector, hello("a.ok.test")), "refused");
  EXPECT_TRUE(inspector.to_guest(server_hello(true), {}));
  EXPECT_EQ(show(inspector, record(22, {16, 0, 0, 1, 1})), "refused") << "no hello";
}

TEST_F(InspectorTest, AnAnswerThatNeverSaysWhatItIsEnds) {
  auto inspector = server();
  EXPECT_NE(show(inspector, hello("a.ok.test")), "refused");
  Buffer cut;
  for (int i = 0; i < 100; ++i) cut = cut + record(22, {2});
  bool open = true;
  for (const std::uint8_t byte : cut) open = open && inspector.to_guest(Buffer{byte}, {});
  EXPECT_TRUE(open) << "38 records of one byte are an answer";
  EXPECT_EQ(show(inspector, {}), "done");
}

Buffer message(std::string_view name, bool response = false, std::uint16_t questions = 1) {
  Buffer bytes(512);
  Writer out(bytes);
  wire::DnsHeader header;
  header.response = response;
  header.questions = questions;
  header.emit(out);
  wire::DnsQuestion{std::string(name), 1, 1}.emit(out);
  bytes.resize(out.offset());
  Buffer framed;
  put(framed, bytes.size(), 2);
  return framed + bytes;
}

TEST_F(InspectorTest, DnsMessagesPassOneByOne) {
  DnsStreamInspector dns(&gate_, {}, nullptr, nullptr);
  const Buffer one = message("a.ok.test");
  const Buffer two = message("b.ok.test");
  EXPECT_EQ(show(dns, {}), "0 pass");
  EXPECT_EQ(show(dns, {one.begin(), one.end() - 1}), "0 pass");
  EXPECT_EQ(show(dns, one + Buffer{0}), fmt::format("{} pass", one.size()));
  EXPECT_EQ(show(dns, one + two), fmt::format("{} pass", one.size() + two.size()));
  EXPECT_EQ(show(dns, one + message("bad.test")), "refused");
  EXPECT_EQ(show(dns, message("a.ok.test", true)), "refused") << "a response";
  EXPECT_EQ(show(dns, message("a.ok.test", false, 2)), "refused") << "two questions";
  EXPECT_EQ(show(dns, Buffer{0x10, 0x01}), "refused") << "too long";
  EXPECT_EQ(show(dns, Buffer{0, 1, 0}), "refused") << "no message";
}

TEST_F(InspectorTest, AnswersOverTcpOpenAddresses) {
  DnsStreamInspector dns(&gate_, {}, nullptr, nullptr);
  Buffer answer = message("a.ok.test", true);
  answer[9] = 1;  // one answer
  const Buffer data{0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1};
  answer = answer + data;
  answer[1] = static_cast<std::uint8_t>(answer.size() - 2);
  EXPECT_FALSE(gate_.admits(policy::Protocol::tcp, {kAddress, 80}, kAddress, Time{1h}));
  for (const std::uint8_t byte : answer) EXPECT_TRUE(dns.to_guest(Buffer{byte}, Time{1h}));
  EXPECT_TRUE(gate_.admits(policy::Protocol::tcp, {kAddress, 80}, kAddress, Time{1h}));
  EXPECT_TRUE(dns.to_guest(answer + answer, Time{1h}));
}

}  // namespace
}  // namespace sf::engine
