#include "engine/flow_table.hh"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

namespace sf::engine {
namespace {

FlowKey key(std::uint32_t n) {
  return {{Address::v4(10, 0, 2, 100), static_cast<std::uint16_t>(n)},
          {Address::v4(0xc6336400U + n / 7), static_cast<std::uint16_t>(n * 31)}};
}

// An object, and the key that it is found by.
struct Numbered {
  Numbered(const FlowKey& key, std::uint32_t n) : flow(key), number(n) {}
  [[nodiscard]] const FlowKey& flow_key() const { return flow; }
  FlowKey flow;
  std::uint32_t number;
};
using Table = FlowTable<Numbered>;

Handle insert(Table& table, const FlowKey& key, std::uint32_t n) {
  return table.insert(key, key, n);
}

TEST(FlowTable, FindsByKeyAndByHandle) {
  Table table(SipKey{1, 2});
  EXPECT_EQ(table.find(key(1)), kNoHandle);
  const Handle handle = insert(table, key(1), 42);
  EXPECT_EQ(table.find(key(1)), handle);
  ASSERT_NE(table.get(handle), nullptr);
  EXPECT_EQ(table.get(handle)->number, 42U);
  EXPECT_EQ(table.find(key(2)), kNoHandle);
  EXPECT_EQ(table.get(kNoHandle), nullptr);
}

TEST(FlowTable, EveryPartOfTheKeyCounts) {
  Table table(SipKey{1, 2});
  const FlowKey one = key(1);
  insert(table, one, 1);
  FlowKey other = one;
  ++other.guest.port;
  EXPECT_EQ(table.find(other), kNoHandle);
  other = one;
  ++other.remote.port;
  EXPECT_EQ(table.find(other), kNoHandle);
  other = one;
  other.guest.address = other.guest.address.plus(1);
  EXPECT_EQ(table.find(other), kNoHandle);
  other = one;
  other.remote.address = other.remote.address.plus(1);
  EXPECT_EQ(table.find(other), kNoHandle);
}

TEST(FlowTable, WhatIsErasedIsGone) {
  Table table(SipKey{1, 2});
  const Handle handle = insert(table, key(1), 42);
  table.erase(key(1));
  EXPECT_EQ(table.find(key(1)), kNoHandle);
  EXPECT_EQ(table.get(handle), nullptr);
  EXPECT_EQ(table.size(), 0U);
  table.erase(key(1));
  EXPECT_EQ(table.size(), 0U);
}

TEST(FlowTable, GivesMemoryBackWithTheFlows) {
  Table table(SipKey{1, 2});
  insert(table, key(0), 0);
  const std::size_t at_first = table.memory();
  for (std::uint32_t i = 1; i < 60'000; ++i) insert(table, key(i), i);
  EXPECT_GT(table.memory(), at_first + 60'000 * sizeof(Numbered));
  for (std::uint32_t i = 1; i < 60'000; ++i) {
    table.erase(key(i));
    if (i % 1000 == 0) {
      ASSERT_NE(table.find(key(i + 1)), kNoHandle);
    }
  }
  EXPECT_LT(table.memory(), at_first + 300'000);
  EXPECT_EQ(table.get(table.find(key(0)))->number, 0U);
}

TEST(FlowTable, ObjectsStayWhereTheyAreWhenItGrows) {
  Table table(SipKey{1, 2});
  const Numbered* const first = table.get(insert(table, key(0), 7));
  for (std::uint32_t i = 1; i < 5000; ++i) insert(table, key(i), 0);
  EXPECT_EQ(table.get(table.find(key(0))), first);
  EXPECT_EQ(first->number, 7U);
}

// Against a map: erasing closes gaps in runs of cells, where a mistake makes others unfindable.
TEST(FlowTable, FindsEverythingThroughAllOperations) {
  Table table(SipKey{3, 4});
  std::map<std::uint32_t, Handle> known;
  std::uint32_t random = 1;
  for (int step = 0; step < 60'000; ++step) {
    random = random * 1664525U + 1013904223U;
    // Fills and empties in turn.
    const bool filling = (step / 5000) % 2 == 0;
    const std::uint32_t n = (random >> 8) % 1500;
    if (const auto it = known.find(n); it == known.end()) {
      ASSERT_EQ(table.find(key(n)), kNoHandle);
      if (filling || (random & 0xf0) == 0) known[n] = insert(table, key(n), n);
    } else {
      ASSERT_EQ(table.find(key(n)), it->second);
      ASSERT_EQ(table.get(it->second)->number, n);
      if (!filling || (random & 0xf0) == 0) {
        table.erase(key(n));
        known.erase(it);
      }
    }
    ASSERT_EQ(table.size(), known.size());
  }
  for (const auto& [n, handle] : known) EXPECT_EQ(table.find(key(n)), handle);
  std::size_t visited = 0;
  table.for_each([&](Handle handle, Numbered& object) {
    ++visited;
    EXPECT_EQ(known.at(object.number), handle);
  });
  EXPECT_EQ(visited, known.size());
}

// A guest that does not know the key cannot aim: neighbouring keys fall anywhere, and differently for each
// key.
TEST(FlowTable, TheHashDependsOnItsKey) {
  std::set<std::uint64_t> buckets;
  for (std::uint32_t i = 0; i < 64; ++i) buckets.insert(hash_of(SipKey{1, 2}, key(i)) & 1023);
  EXPECT_GT(buckets.size(), 48U);
  EXPECT_NE(hash_of(SipKey{1, 2}, key(1)), hash_of(SipKey{1, 3}, key(1)));
}

}  // namespace
}  // namespace sf::engine
