#include "base/slab.hh"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <utility>
#include <vector>

namespace sf::base {
namespace {

// Tells its owner when it goes.
struct Counted {
  explicit Counted(int& alive_count) : alive(&alive_count) { ++*alive; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --*alive; }
  int* alive;
};

TEST(Slab, FindsWhatWasCreated) {
  Slab<int> slab;
  const Handle one = slab.create(1);
  const Handle two = slab.create(2);
  ASSERT_NE(slab.find(one), nullptr);
  EXPECT_EQ(*slab.find(one), 1);
  EXPECT_EQ(slab.existing(two), 2);
  EXPECT_EQ(slab.size(), 2U);
}

TEST(Slab, AHandleOfWhatIsGoneFindsNothing) {
  Slab<int> slab;
  const Handle first = slab.create(1);
  slab.destroy(first);
  EXPECT_EQ(slab.find(first), nullptr);
  EXPECT_EQ(slab.size(), 0U);
}

TEST(Slab, AnOldHandleDoesNotFindTheSlotsNextObject) {
  Slab<int> slab;
  const Handle first = slab.create(1);
  slab.destroy(first);
  const Handle second = slab.create(2);
  ASSERT_EQ(second.index, first.index) << "the slot is used again, or this test says nothing";
  EXPECT_EQ(slab.find(first), nullptr);
  EXPECT_EQ(*slab.find(second), 2);
  slab.destroy(first);
  EXPECT_NE(slab.find(second), nullptr) << "destroyed through another's handle";
}

TEST(Slab, NoHandleFindsNothing) {
  Slab<int> slab;
  EXPECT_EQ(slab.find(kNoHandle), nullptr);
  static_cast<void>(slab.create(1));
  EXPECT_EQ(slab.find(kNoHandle), nullptr);
  EXPECT_EQ(slab.find(Handle{Slab<int>::kChunk, 1}), nullptr);
  EXPECT_EQ(slab.find(Handle{1, 1}), nullptr) << "a slot that was never used";
}

TEST(Slab, AddressesStayWhenItGrows) {
  Slab<int> slab;
  const Handle first = slab.create(7);
  const int* const address = slab.find(first);
  for (std::uint32_t i = 0; i < 10 * Slab<int>::kChunk; ++i) static_cast<void>(slab.create(0));
  EXPECT_EQ(slab.find(first), address);
  EXPECT_EQ(*address, 7);
}

TEST(Slab, ReusesSlotsBeforeItGrows) {
  Slab<int> slab;
  for (int i = 0; i < 10'000; ++i) {
    const Handle handle = slab.create(i);
    ASSERT_LT(handle.index, Slab<int>::kChunk);
    slab.destroy(handle);
  }
}

TEST(Slab, DestroysTheObjectAtOnceAndTheRestAtItsEnd) {
  int alive = 0;
  {
    Slab<Counted> slab;
    const Handle first = slab.create(alive);
    static_cast<void>(slab.create(alive));
    EXPECT_EQ(alive, 2);
    slab.destroy(first);
    EXPECT_EQ(alive, 1);
    slab.destroy(first);
    EXPECT_EQ(alive, 1);
  }
  EXPECT_EQ(alive, 0);
}

TEST(Slab, VisitsEachAndLetsTheVisitorDestroy) {
  Slab<int> slab;
  std::vector<Handle> handles;
  for (int i = 0; i < 200; ++i) handles.push_back(slab.create(i));
  for (std::size_t i = 0; i < handles.size(); i += 2) slab.destroy(handles[i]);
  int seen = 0;
  slab.for_each([&](Handle handle, int& value) {
    EXPECT_EQ(value % 2, 1);
    EXPECT_EQ(slab.find(handle), &value);
    ++seen;
    slab.destroy(handle);
  });
  EXPECT_EQ(seen, 100);
  EXPECT_EQ(slab.size(), 0U);
}

// The size of a flow: a chunk is a mapping of its own.
struct Large {
  std::array<std::uint8_t, 700> bytes{};
};

TEST(Slab, GivesChunksBackWithTheirLastObject) {
  using Slab = Slab<Large>;
  Slab slab;
  static_cast<void>(slab.create());
  const std::size_t one_chunk = slab.memory();
  std::vector<Handle> handles;
  for (std::uint32_t i = 1; i < 10 * Slab::kChunk; ++i) handles.push_back(slab.create());
  EXPECT_GE(slab.memory(), 10 * 64 * 1024U);
  const Handle last = handles.back();
  handles.pop_back();
  for (const Handle handle : handles) slab.destroy(handle);
  EXPECT_LT(slab.memory(), 4 * one_chunk) << "the first one, the last one, and one that is kept";
  EXPECT_NE(slab.find(last), nullptr);
  for (const Handle handle : handles) ASSERT_EQ(slab.find(handle), nullptr);
  slab.destroy(last);
  EXPECT_LT(slab.memory(), 2 * one_chunk + 1024);
  EXPECT_EQ(slab.find(last), nullptr);
}

TEST(Slab, AHandleIntoAChunkThatWasGivenBackFindsNothing) {
  using Slab = Slab<Large>;
  Slab slab;
  std::vector<Handle> old;
  for (int round = 0; round < 3; ++round) {
    std::vector<Handle> handles;
    for (std::uint32_t i = 0; i < 4 * Slab::kChunk; ++i) handles.push_back(slab.create());
    for (const Handle handle : old) ASSERT_EQ(slab.find(handle), nullptr) << "in round " << round;
    for (const Handle handle : handles) slab.destroy(handle);
    for (const Handle handle : handles) ASSERT_EQ(slab.find(handle), nullptr);
    old.insert(old.end(), handles.begin(), handles.end());
  }
}

// A number of objects about a chunk's bounds does not take and give back a chunk each time.
TEST(Slab, KeepsAnEmptyChunk) {
  using Slab = Slab<Large>;
  Slab slab;
  for (std::uint32_t i = 0; i < Slab::kChunk; ++i) static_cast<void>(slab.create());
  const Handle first = slab.create();
  const std::size_t memory = slab.memory();
  const Large* const address = slab.find(first);
  slab.destroy(first);
  EXPECT_EQ(slab.memory(), memory);
  EXPECT_EQ(slab.find(slab.create()), address);
}

TEST(Slab, NewObjectsGatherInTheFirstChunks) {
  using Slab = Slab<Large>;
  Slab slab;
  std::vector<Handle> handles;
  for (std::uint32_t i = 0; i < 8 * Slab::kChunk; ++i) handles.push_back(slab.create());
  for (std::size_t i = 0; i < handles.size(); i += 2) slab.destroy(handles[i]);
  for (std::uint32_t i = 0; i < Slab::kChunk; ++i) EXPECT_LT(slab.create().index, 2 * Slab::kChunk);
}

// Against a map, through chunks that come and go.
TEST(Slab, FindsEverythingThroughAllOperations) {
  Slab<std::uint64_t> slab;
  std::map<std::uint32_t, std::pair<Handle, std::uint64_t>> known;  // by index
  std::uint32_t random = 1;
  for (std::uint64_t step = 0; step < 200'000; ++step) {
    random = random * 1664525U + 1013904223U;
    const bool filling = (step / 20'000) % 2 == 0;
    if (filling == ((random >> 20) % 8 != 0)) {
      const Handle handle = slab.create(step);
      ASSERT_TRUE(known.emplace(handle.index, std::pair(handle, step)).second);
    } else if (!known.empty()) {
      auto victim = known.lower_bound((random >> 8) % (known.rbegin()->first + 1));
      ASSERT_EQ(*slab.find(victim->second.first), victim->second.second);
      slab.destroy(victim->second.first);
      ASSERT_EQ(slab.find_at(victim->first), nullptr);
      known.erase(victim);
    }
    ASSERT_EQ(slab.size(), known.size());
  }
  std::size_t seen = 0;
  slab.for_each([&](Handle handle, std::uint64_t value) {
    ++seen;
    ASSERT_EQ(known.at(handle.index), std::pair(handle, value));
  });
  EXPECT_EQ(seen, known.size());
}

}  // namespace
}  // namespace sf::base
