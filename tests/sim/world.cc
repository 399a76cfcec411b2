#include "sim/world.hh"

#include "sim/trace.hh"

namespace sf::sim {
namespace {

// The first break of a rule tells the story; thousands of its echoes do not.
constexpr std::size_t kMaxViolations = 20;

}  // namespace

void World::advance(Time to) {
  while (!queue_.empty() && queue_.front().when <= to) {
    std::pop_heap(queue_.begin(), queue_.end(), Later{});
    const Event event = std::move(queue_.back());
    queue_.pop_back();
    now_ = std::max(now_, event.when);
    event.action();
  }
  now_ = std::max(now_, to);
}

void World::note_violation(const char* rule, std::string message) {
  if (trace_ != nullptr) trace_->note(now_, fmt::format("VIOLATION {}: {}", rule, message));
  if (violations_.size() < kMaxViolations) violations_.push_back({rule, std::move(message), now_});
}

void World::note_line(const std::string& line) {
  trace_->note(now_, line);
}

}  // namespace sf::sim
