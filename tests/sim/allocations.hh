// Memory that the stack under test has from the heap: what is allocated while it runs, and not by the world
// that it calls. Not known with sanitizers, which have an allocator of their own.
#pragma once

#include <cstddef>

namespace sf::sim {

// In bytes, until it is given back, by whomever.
[[nodiscard]] std::size_t stack_memory();
[[nodiscard]] bool stack_memory_is_known();

// While one lives, allocations count, or do not.
class Counting {
 public:
  explicit Counting(bool on);
  ~Counting();
  Counting(const Counting&) = delete;
  Counting& operator=(const Counting&) = delete;

 private:
  bool before_;
};

}  // namespace sf::sim
