#include "policy/quic_names.hh"

#include <gtest/gtest.h>

#include "unit/support/quic_client.hh"

namespace sf::policy {
namespace {

using quic_client::Buffer;
using quic_client::crypto_frame;
using quic_client::first_datagram;
using quic_client::hello;
using quic_client::Initial;
using quic_client::seal;
using State = wire::ServerName::State;
using wire::QuicVersion;

const Endpoint kGuest{Address::v4(10, 0, 2, 100), 5000};
const Endpoint kRemote{Address::v4(192, 0, 2, 1), 443};

Bytes part(const Buffer& bytes, std::size_t from, std::size_t to) {
  return base::drop(base::take(bytes, to), from);
}
Buffer joined(Buffer a, const Buffer& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

class QuicNamesTest : public testing::Test {
 protected:
  // What is said, as text: the name, or the state.
  std::string read(const Buffer& datagram, const Endpoint& guest = kGuest, const Endpoint& remote = kRemote) {
    const auto found = names_.read(guest, remote, datagram, now_);
    if (!found) return "nothing";
    switch (found->state) {
      case State::more:
        return "more";
      case State::named:
        return found->name;
      case State::unnamed:
        return "unnamed";
      case State::foreign:
        break;
    }
    return "foreign";
  }

  QuicNames names_{SipKey{1, 2}};
  Time now_{1h};
};

TEST_F(QuicNamesTest, OneDatagram) {
  EXPECT_EQ(read(first_datagram("a.test")), "a.test");
  EXPECT_EQ(read(first_datagram("a.test")), "a.test") << "sent once more";
  EXPECT_EQ(
      read(first_datagram("b.test", {.version = QuicVersion::v2, .destination = {9, 9, 9, 9, 9, 9, 9, 9}})),
      "b.test");
  EXPECT_EQ(read(first_datagram("", {.destination = {7, 7, 7, 7, 7, 7, 7, 7}})), "unnamed");
}

TEST_F(QuicNamesTest, SeveralDatagramsInAnyOrder) {
  const Buffer whole = hello("far.test", 2500);
  const std::size_t third = whole.size() / 3;
  const Buffer one = seal({.number = 0}, crypto_frame(0, part(whole, 0, third)));
  const Buffer two = seal({.number = 1}, crypto_frame(third, part(whole, third, 2 * third)));
  const Buffer three = seal({.number = 2}, crypto_frame(2 * third, part(whole, 2 * third, whole.size())));
  EXPECT_EQ(read(three), "more");
  EXPECT_EQ(read(one), "more");
  EXPECT_EQ(read(one), "more");
  EXPECT_EQ(read(two), "far.test");
  EXPECT_EQ(read(three), "far.test");
}

TEST_F(QuicNamesTest, ManyPiecesInOneDatagram) {
  const Buffer whole = hello("a.test", 300);
  Buffer frames;
  for (std::size_t at = 0; at < whole.size(); at += 7) {
    const std::size_t from = whole.size() - std::min(whole.size(), at + 7);  // from behind
    frames = joined(frames, crypto_frame(from, part(whole, from, whole.size() - at)));
    frames.push_back(1);
  }
  EXPECT_EQ(read(seal({}, frames)), "a.test");
}

TEST_F(QuicNamesTest, SeveralPacketsInOneDatagram) {
  const Buffer whole = hello("a.test", 300);
  const Buffer first = seal({.number = 0}, crypto_frame(0, part(whole, 0, 100)), 50);
  const Buffer second = seal({.number = 1}, crypto_frame(100, part(whole, 100, whole.size())), 50);
  EXPECT_EQ(read(joined(first, second)), "a.test");
}

TEST_F(QuicNamesTest, AnotherConnectionInTheSameDatagram) {
  const Buffer first = seal({}, crypto_frame(0, hello("a.test")), 50);
  const Buffer second = seal({.destination = {9, 9, 9, 9, 9, 9, 9, 9}}, crypto_frame(0, hello("b.test")), 50);
  EXPECT_EQ(read(joined(first, second)), "foreign");
  EXPECT_EQ(read(joined(first, Buffer{0xc0, 0xff, 0, 0, 0x1d, 0, 0, 0})), "foreign") << "an unknown version";
}

// To the same ID, by the keys of two connections: the server takes one of them, and which is not known here.
TEST_F(QuicNamesTest, TwoConnectionsPacketsToOneId) {
  EXPECT_EQ(read(first_datagram("a.test")), "a.test");
  const auto with = [](std::uint8_t id, bool new_one_first) {
    const Buffer to{id, 5, 5, 5};
    const Buffer fresh = seal({.destination = to}, crypto_frame(0, hello("b.test")), 50);
    const Buffer of_first =
        seal({.destination = to, .keyed_by = Initial{}.destination, .number = 1}, {1}, 50);
    return new_one_first ? joined(fresh, of_first) : joined(of_first, fresh);
  };
  EXPECT_EQ(read(with(1, true)), "foreign");
  EXPECT_EQ(read(with(2, false)), "foreign");
  EXPECT_EQ(read(with(1, true)), "foreign") << "both are known by now";
  EXPECT_EQ(read(first_datagram("a.test", {.number = 2})), "a.test") << "the first one goes on";
}

TEST_F(QuicNamesTest, ALaterPieceMustAgree) {
  // As one whose datagram was lost on purpose behind us, and who then says it another way.
  EXPECT_EQ(read(first_datagram("a.test")), "a.test");
  EXPECT_EQ(read(first_datagram("b.test", {.number = 1})), "foreign");
  EXPECT_EQ(read(first_datagram("a.test", {.number = 2})), "foreign") << "for good";
}

TEST_F(QuicNamesTest, ThePacketsAfterTheServersAnswer) {
  EXPECT_EQ(read(first_datagram("a.test")), "a.test");
  const Initial later{.destination = {5, 5, 5, 5}, .keyed_by = Initial{}.destination, .number = 1};
  EXPECT_EQ(read(seal(later, {2, 0, 0, 0, 0})), "a.test") << "an acknowledgment";
  EXPECT_EQ(read(seal(later, crypto_frame(0, hello("b.test")))), "foreign");
}

TEST_F(QuicNamesTest, ASecondHello) {
  const Buffer first = hello("a.test");
  EXPECT_EQ(read(first_datagram("a.test")), "a.test");
  const Buffer second = hello("A.test", 40);
  const auto piece = [&](std::size_t from, std::size_t to, const Buffer& of) {
    return seal({.number = 1 + from}, crypto_frame(first.size() + from, part(of, from, to)));
  };
  EXPECT_EQ(read(piece(0, 20, second)), "more");
  EXPECT_EQ(read(piece(20, second.size(), second)), "a.test");
  const Buffer third = hello("b.test");
  EXPECT_EQ(read(seal({.number = 300}, crypto_frame(first.size() + second.size(), third))), "foreign");
}

TEST_F(QuicNamesTest, TheVersionMayChange) {
  EXPECT_EQ(read(first_datagram("a.test")), "a.test");
  Initial later{.version = QuicVersion::v2,
                .destination = {5, 5, 5, 5},
                .keyed_by = Initial{}.destination,
                .number = 1};
  EXPECT_EQ(read(seal(later, {1})), "a.test");
  later.number = 2;
  EXPECT_EQ(read(seal(later, crypto_frame(0, hello("b.test")))), "foreign");
}

TEST_F(QuicNamesTest, AfterARetry) {
  EXPECT_EQ(read(first_datagram("a.test")), "a.test");
  EXPECT_EQ(
      read(first_datagram("a.test", {.destination = {5, 5, 5, 5}, .number = 1, .token = Buffer(40, 7)})),
      "a.test");
  EXPECT_EQ(
      read(first_datagram("b.test", {.destination = {6, 6, 6, 6}, .number = 1, .token = Buffer(40, 7)})),
      "b.test");
}

TEST_F(QuicNamesTest, OtherEndsAreOthers) {
  EXPECT_EQ(read(first_datagram("a.test")), "a.test");
  const Endpoint guest{kGuest.address, 5001};
  EXPECT_EQ(read(first_datagram("b.test"), guest), "b.test");
  const Initial later{.destination = {5, 5, 5, 5}, .keyed_by = Initial{}.destination, .number = 1};
  const Endpoint third{kGuest.address, 5002};
  EXPECT_EQ(read(seal(later, {1}), third), "foreign") << "moved before the handshake is over";
}

TEST_F(QuicNamesTest, WhatIsNoInitialPacketSaysNothing) {
  EXPECT_EQ(read({}), "nothing");
  EXPECT_EQ(read({0x40, 1, 2, 3}), "nothing");
  const Buffer handshake{0xe0, 0, 0, 0, 1, 1, 7, 1, 7, 2, 9, 9};
  EXPECT_EQ(read(handshake), "nothing");
  Buffer retry = handshake;
  retry[0] = 0xf0;
  EXPECT_EQ(read(retry), "foreign");
  Buffer damaged = first_datagram("a.test");
  damaged.back() ^= 1;
  EXPECT_EQ(read(damaged), "foreign");
  EXPECT_EQ(read({0xc0, 0, 0, 0, 0, 0, 0}), "foreign") << "version negotiation";
}

TEST_F(QuicNamesTest, NoHello) {
  EXPECT_EQ(read(seal({}, {1})), "more");
  EXPECT_EQ(read(seal({.number = 1}, crypto_frame(0, Buffer{2, 0, 0, 1, 0}))), "foreign") << "a ServerHello";
  EXPECT_EQ(read(seal({.destination = {4, 4, 4, 4}}, {0x1e})), "foreign")
      << "a frame that may not be in there";
  EXPECT_EQ(read(seal({.destination = {3, 3, 3, 3}}, crypto_frame(QuicConnection::kMaxHandshake, Buffer{1}))),
            "foreign")
      << "too far";
}

TEST_F(QuicNamesTest, ItIsBounded) {
  for (std::uint8_t i = 0; i < QuicNames::kMaxConnections; ++i)
    EXPECT_EQ(read(first_datagram("a.test", {.destination = {i, 1, 1, 1}})), "a.test");
  EXPECT_EQ(read(first_datagram("a.test", {.destination = {99, 1, 1, 1}})), "foreign");
  now_ += QuicNames::kKept;
  EXPECT_EQ(read(first_datagram("a.test", {.destination = {99, 1, 1, 1}})), "a.test")
      << "old ones are forgotten";
  const std::size_t one = names_.memory();
  for (std::uint16_t port = 1; port < 2000; ++port) {
    const Endpoint guest{kGuest.address, port};
    read(seal({}, crypto_frame(QuicConnection::kMaxHandshake - 1, Buffer{1}), 40), guest);
    ASSERT_LE(names_.memory(), QuicNames::kMaxMemory);
  }
  EXPECT_EQ(read(first_datagram("a.test"), {kGuest.address, 6000}), "foreign") << "no room";
  now_ += QuicNames::kKept;
  EXPECT_EQ(read(first_datagram("a.test"), {kGuest.address, 6000}), "a.test");
  EXPECT_LE(names_.memory(), 2 * one);
}

}  // namespace
}  // namespace sf::policy
