#include "engine/timer_heap.hh"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <vector>

namespace sf::engine {
namespace {

constexpr Time at(int seconds) {
  return Time{std::chrono::seconds(seconds)};
}

TEST(TimerHeap, IsEmptyAtFirst) {
  const TimerHeap heap;
  EXPECT_EQ(heap.next(), kNever);
  EXPECT_EQ(heap.size(), 0U);
}

TEST(TimerHeap, TheEarliestComesFirst) {
  TimerHeap heap;
  std::array<Timer, 3> timers;
  heap.set(timers[0], at(30), 0);
  heap.set(timers[1], at(10), 1);
  heap.set(timers[2], at(20), 2);
  EXPECT_EQ(heap.next(), at(10));
  EXPECT_EQ(heap.pop(), 1U);
  EXPECT_EQ(timers[1].place, Timer::kIdle);
  EXPECT_EQ(heap.pop(), 2U);
  EXPECT_EQ(heap.pop(), 0U);
  EXPECT_EQ(heap.next(), kNever);
}

TEST(TimerHeap, AnEarlierDeadlineMoves) {
  TimerHeap heap;
  Timer one;
  Timer two;
  heap.set(one, at(10), 1);
  heap.set(two, at(20), 2);
  heap.set(two, at(5), 2);
  EXPECT_EQ(heap.size(), 2U);
  EXPECT_EQ(heap.pop(), 2U);
  EXPECT_EQ(heap.next(), at(10));
}

TEST(TimerHeap, ALaterDeadlineIsLeftUntilTheOldOneIsDue) {
  TimerHeap heap;
  Timer timer;
  heap.set(timer, at(10), 1);
  heap.set(timer, at(20), 1);
  heap.set(timer, kNever, 1);
  EXPECT_EQ(heap.next(), at(10));
  EXPECT_EQ(heap.size(), 1U);
}

TEST(TimerHeap, NeverIsNoEntry) {
  TimerHeap heap;
  Timer timer;
  heap.set(timer, kNever, 1);
  EXPECT_EQ(heap.size(), 0U);
  heap.remove(timer);
  EXPECT_EQ(heap.size(), 0U);
}

TEST(TimerHeap, RemovesFromAnywhere) {
  for (std::size_t gone = 0; gone < 20; ++gone) {
    TimerHeap heap;
    std::array<Timer, 20> timers;
    for (std::size_t i = 0; i < timers.size(); ++i) {
      heap.set(timers[i], at(static_cast<int>((i * 7) % 20)), (i * 7) % 20);
    }
    heap.remove(timers[gone]);
    EXPECT_EQ(timers[gone].place, Timer::kIdle);
    heap.remove(timers[gone]);
    for (std::uint64_t expected = 0; expected < 20; ++expected) {
      if (expected == (gone * 7) % 20) continue;
      ASSERT_EQ(heap.pop(), expected);
    }
    EXPECT_EQ(heap.size(), 0U);
  }
}

// Against an ordered set, as a heap that forgets one entry in a thousand would not show in a handful.
TEST(TimerHeap, KeepsItsOrderThroughAllOperations) {
  TimerHeap heap;
  std::vector<Timer> timers(300);
  std::map<std::uint64_t, Time> deadlines;
  std::uint32_t random = 1;
  for (int step = 0; step < 30'000; ++step) {
    random = random * 1664525U + 1013904223U;
    const std::uint64_t token = (random >> 8) % timers.size();
    const Time deadline = at(static_cast<int>((random >> 17) % 1000));
    switch ((random >> 4) % 4) {
      case 0:
        heap.remove(timers[token]);
        deadlines.erase(token);
        break;
      case 1:
        if (heap.next() == kNever) break;
        {
          const Time next = heap.next();
          const std::uint64_t popped = heap.pop();
          ASSERT_EQ(deadlines.at(popped), next);
          for (const auto& [other, time] : deadlines) ASSERT_GE(time, next) << other;
          deadlines.erase(popped);
        }
        break;
      default:
        heap.set(timers[token], deadline, token);
        if (const auto known = deadlines.find(token); known == deadlines.end()) {
          deadlines[token] = deadline;
        } else {
          known->second = std::min(known->second, deadline);
        }
    }
    ASSERT_EQ(heap.size(), deadlines.size());
  }
}

}  // namespace
}  // namespace sf::engine
