// Deadlines of many flows: a binary heap whose entries know their place, so that a deadline can be moved or
// removed.
//
// Moving a deadline further away is left undone until the old one is due (the owner then asks again), so that
// a flow whose retransmission timer is pushed on by every ACK costs nothing here.
#pragma once

#include <cstdint>
#include <vector>

#include "base/time.hh"

namespace sf::engine {

// Part of the timed object; owned by one heap at a time.
struct Timer {
  static constexpr std::uint32_t kIdle = 0xffffffffU;
  std::uint32_t place = kIdle;
};

class TimerHeap {
 public:
  // `timer` and `token` stand for the same object; the timer's address does not change while it is in the
  // heap.
  void set(Timer& timer, Time deadline, std::uint64_t token);
  void remove(Timer& timer);
  // The earliest deadline; kNever where there is none.
  [[nodiscard]] Time next() const { return heap_.empty() ? kNever : heap_[0].deadline; }
  // Takes out the earliest entry and returns its token. Only where next() is not kNever.
  std::uint64_t pop();
  [[nodiscard]] std::size_t size() const { return heap_.size(); }

 private:
  struct Entry {
    Time deadline;
    Timer* timer;
    std::uint64_t token;
  };

  void put(std::size_t place, const Entry& entry);
  void rise(std::size_t place, const Entry& entry);
  void sink(std::size_t place, const Entry& entry);

  std::vector<Entry> heap_;
};

}  // namespace sf::engine
