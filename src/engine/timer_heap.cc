#include "engine/timer_heap.hh"

#include "base/give_back.hh"

namespace sf::engine {

void TimerHeap::set(Timer& timer, Time deadline, std::uint64_t token) {
  if (timer.place != Timer::kIdle) {
    if (heap_[timer.place].deadline <= deadline) return;  // asked again when that is due
    rise(timer.place, Entry{deadline, &timer, token});
    return;
  }
  if (deadline == kNever) return;
  heap_.push_back(Entry{deadline, &timer, token});
  rise(heap_.size() - 1, Entry{deadline, &timer, token});
}

void TimerHeap::remove(Timer& timer) {
  if (timer.place == Timer::kIdle) return;
  const std::size_t place = timer.place;
  timer.place = Timer::kIdle;
  const Entry last = heap_.back();
  heap_.pop_back();
  give_back(heap_);
  if (place == heap_.size()) return;
  if (place > 0 && last.deadline < heap_[(place - 1) / 2].deadline) {
    rise(place, last);
  } else {
    sink(place, last);
  }
}

std::uint64_t TimerHeap::pop() {
  const std::uint64_t token = heap_[0].token;
  remove(*heap_[0].timer);
  return token;
}

void TimerHeap::put(std::size_t place, const Entry& entry) {
  heap_[place] = entry;
  entry.timer->place = static_cast<std::uint32_t>(place);
}

void TimerHeap::rise(std::size_t place, const Entry& entry) {
  while (place > 0 && entry.deadline < heap_[(place - 1) / 2].deadline) {
    put(place, heap_[(place - 1) / 2]);
    place = (place - 1) / 2;
  }
  put(place, entry);
}

void TimerHeap::sink(std::size_t place, const Entry& entry) {
  for (;;) {
    std::size_t child = 2 * place + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1].deadline < heap_[child].deadline) ++child;
    if (entry.deadline <= heap_[child].deadline) break;
    put(place, heap_[child]);
    place = child;
  }
  put(place, entry);
}

}  // namespace sf::engine
