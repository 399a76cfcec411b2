#include "base/slab.hh"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace sf::base
