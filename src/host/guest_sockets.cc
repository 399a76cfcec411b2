#include "host/guest_sockets.hh"

#include <algorithm>

namespace sf::host {

void GuestSockets::take(GuestSocketKind kind, Taker taker) {
  Queue& queue = queues_[index_of(kind)];
  if (queue.spare.empty()) {
    queue.takers.push_back(std::move(taker));
    refill(kind, queue);
    return;
  }
  UniqueFd socket = std::move(queue.spare.front());
  queue.spare.pop_front();
  if (queue.spare.size() < spares_ / 2) refill(kind, queue);
  taker(std::move(socket));
}

void GuestSockets::on_sockets(GuestSocketKind kind, std::vector<UniqueFd> sockets, unsigned lost) {
  Queue& queue = queues_[index_of(kind)];
  queue.asked = false;
  const bool none = sockets.empty() && lost == 0;
  std::size_t next = 0;
  // What a taker does may lead to another take().
  while (next < sockets.size() && !queue.takers.empty()) {
    const Taker taker = std::move(queue.takers.front());
    queue.takers.pop_front();
    taker(std::move(sockets[next++]));
  }
  for (; next < sockets.size() && queue.spare.size() < spares_; ++next) {
    queue.spare.push_back(std::move(sockets[next]));
  }
  queue.starved = lost > 0 && !queue.takers.empty();
  if (none) {
    for (const Taker& taker : std::exchange(queue.takers, {})) taker(UniqueFd());
  }
  if (!queue.takers.empty()) refill(kind, queue);
}

void GuestSockets::refill(GuestSocketKind kind, Queue& queue) {
  if (queue.asked || queue.starved) return;
  const std::size_t wanted =
      queue.takers.size() + spares_ - std::min<std::size_t>(spares_, queue.spare.size());
  if (wanted == 0) return;
  queue.asked = true;
  ask_(kind, static_cast<unsigned>(std::min<std::size_t>(wanted, kMostAtOnce)));
}

bool GuestSockets::starved() const {
  return std::ranges::any_of(queues_, [](const Queue& queue) { return queue.starved; });
}

void GuestSockets::ask_again() {
  for (const bool stream : {true, false}) {
    for (const bool v4 : {true, false}) {
      Queue& queue = queues_[index_of({stream, v4})];
      if (std::exchange(queue.starved, false)) refill({stream, v4}, queue);
    }
  }
}

void GuestSockets::give_up() {
  for (Queue& queue : queues_) {
    if (!std::exchange(queue.starved, false)) continue;
    for (const Taker& taker : std::exchange(queue.takers, {})) taker(UniqueFd());
  }
}

std::size_t GuestSockets::waiting() const {
  std::size_t count = 0;
  for (const Queue& queue : queues_) count += queue.takers.size();
  return count;
}

}  // namespace sf::host
