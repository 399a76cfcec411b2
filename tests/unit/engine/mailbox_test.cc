#include "engine/mailbox.hh"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>

#include "engine/place.hh"

namespace sf::engine {
namespace {

const wire::Offload kOffload{
    .checksum_needed = true, .checksum_start = 34, .gso = wire::GsoType::tcp4, .gso_size = 1448};

std::vector<std::uint8_t> bytes_of(std::size_t size, std::uint8_t value) {
  return std::vector<std::uint8_t>(size, value);
}

bool post(Mailbox& mailbox, const std::vector<std::uint8_t>& bytes) {
  return mailbox.post_frame(std::array{Bytes(bytes)}, kOffload);
}

TEST(Mailbox, FramesComeInOrderWithTheirOffloads) {
  int woken = 0;
  Mailbox mailbox([&] { ++woken; });
  const auto head = bytes_of(14, 1);
  EXPECT_TRUE(mailbox.post_frame(std::array<Bytes, 2>{head, Bytes{}}, {}));
  EXPECT_TRUE(mailbox.post_frame(std::array<Bytes, 2>{head, bytes_of(100, 2)}, kOffload));
  EXPECT_EQ(woken, 1) << "once until it is emptied";
  Mail mail;
  mailbox.take(mail);
  link::Frame frame;
  ASSERT_TRUE(mail.next(frame));
  EXPECT_EQ(frame.bytes.size(), 14U);
  EXPECT_EQ(frame.offload, wire::Offload{});
  ASSERT_TRUE(mail.next(frame));
  EXPECT_EQ(frame.bytes.size(), 114U);
  EXPECT_EQ(frame.bytes.back(), 2);
  EXPECT_EQ(frame.offload, kOffload);
  EXPECT_FALSE(mail.next(frame));
  mail.clear();
  EXPECT_TRUE(post(mailbox, head));
  EXPECT_EQ(woken, 2);
}

TEST(Mailbox, IsBoundedAndTakesAgainAfterwards) {
  Mailbox mailbox([] {});
  const auto large = bytes_of(65000, 3);
  std::size_t count = 0;
  while (post(mailbox, large)) ++count;
  EXPECT_EQ(count, Mailbox::kMostBytes / (large.size() + 64));
  EXPECT_TRUE(post(mailbox, bytes_of(60, 4))) << "a small one still fits";
  Mail mail;
  mailbox.take(mail);
  link::Frame frame;
  std::size_t taken = 0;
  while (mail.next(frame)) ++taken;
  EXPECT_EQ(taken, count + 1);
  EXPECT_TRUE(post(mailbox, large));
}

TEST(Mailbox, WhatABurstNeededIsGivenBack) {
  Mailbox mailbox([] {});
  Mail mail;
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(post(mailbox, bytes_of(60'000, 1)));
  mailbox.take(mail);
  EXPECT_GE(mail.memory(), 8 * 60'000U);
  mail.clear();
  EXPECT_EQ(mail.memory(), 0U);
}

TEST(Mailbox, NothingGoesToOneThatIsClosed) {
  Mailbox mailbox([] {});
  const auto held = std::make_shared<int>(1);
  EXPECT_TRUE(mailbox.post([held](Shard&, Time) {}));
  EXPECT_EQ(held.use_count(), 2);
  mailbox.close();
  EXPECT_EQ(held.use_count(), 1) << "whoever waits for an errand learns that it is over";
  EXPECT_FALSE(mailbox.post([held](Shard&, Time) {}));
  EXPECT_FALSE(post(mailbox, bytes_of(60, 4)));
}

// Three who post and one who takes: all arrives, of each in its order.
TEST(Mailbox, ManyThreads) {
  constexpr std::uint32_t kEach = 20000;
  std::atomic<bool> woken{false};
  Mailbox mailbox([&] { woken = true; });
  const auto poster = [&mailbox](std::uint8_t self) {
    std::vector<std::uint8_t> bytes(5 + self * 100U, self);
    for (std::uint32_t i = 0; i < kEach;) {
      store_be32(bytes.data(), i);
      if (mailbox.post_frame(std::array{Bytes(bytes)}, kOffload)) {
        ++i;
      } else {
        std::this_thread::yield();
      }
    }
  };
  std::array<std::thread, 3> threads{std::thread(poster, std::uint8_t{0}),
                                     std::thread(poster, std::uint8_t{1}),
                                     std::thread(poster, std::uint8_t{2})};
  std::array<std::uint32_t, 3> expected{};
  Mail mail;
  while (expected != std::array{kEach, kEach, kEach}) {
    if (!woken.exchange(false)) {
      std::this_thread::yield();
      continue;
    }
    mailbox.take(mail);
    for (link::Frame frame; mail.next(frame);) {
      const std::size_t self = frame.bytes.size() / 100;
      ASSERT_EQ(load_be32(frame.bytes.data()), expected[self]++);
      ASSERT_EQ(frame.bytes.back(), self);
      ASSERT_EQ(frame.offload, kOffload);
    }
    mail.clear();
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Owners, AreThePortsAndSpreadEvenly) {
  for (const unsigned count : {1U, 2U, 3U, 4U, 32U}) {
    const Owners owners(count, {123, 456});
    std::vector<unsigned> tcp(count);
    std::vector<unsigned> udp(count);
    // Linux gives every second port to connect().
    for (unsigned port = 32768; port < 60000; port += 2) {
      const auto number = static_cast<std::uint16_t>(port);
      ++tcp.at(owners.of_tcp({{Address::v4(10, 0, 2, 100), number}, {Address::v4(198, 51, 100, 2), 80}}));
      ++udp.at(owners.of_udp(number));
    }
    const unsigned fair = 13616 / count;
    for (const auto& spread : {tcp, udp}) {
      EXPECT_GT(*std::ranges::min_element(spread), fair * 7 / 10) << count;
      EXPECT_LT(*std::ranges::max_element(spread), fair * 13 / 10) << count;
    }
  }
}

TEST(Owners, DependOnTheKeyAndOnBothEnds) {
  const FlowKey key{{Address::v4(10, 0, 2, 100), 40000}, {Address::v4(198, 51, 100, 2), 80}};
  std::vector<unsigned> by_key(4);
  std::vector<unsigned> by_remote(4);
  for (std::uint16_t i = 0; i < 400; ++i) {
    ++by_key.at(Owners(4, {i, 1}).of_tcp(key));
    FlowKey other = key;
    other.remote.port = i;
    ++by_remote.at(Owners(4, {1, 1}).of_tcp(other));
  }
  for (const auto& spread : {by_key, by_remote}) EXPECT_GT(*std::ranges::min_element(spread), 60U);
}

}  // namespace
}  // namespace sf::engine
