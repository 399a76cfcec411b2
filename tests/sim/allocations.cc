#include "sim/allocations.hh"

#include <cstdint>
#include <cstdlib>
#include <new>

namespace {

bool counting = false;
std::size_t counted = 0;

}  // namespace

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
namespace {

// Before each allocation; as large as what alignment asks for.
struct alignas(std::max_align_t) Header {
  std::size_t size;  // 0: does not count
};

}  // namespace

void* operator new(std::size_t size) {
  void* const memory = std::malloc(sizeof(Header) + size);
  if (memory == nullptr) throw std::bad_alloc();
  auto* const header = new (memory) Header{counting ? size : 0};
  counted += header->size;
  return header + 1;
}
void operator delete(void* memory) noexcept {
  if (memory == nullptr) return;
  auto* const header = static_cast<Header*>(memory) - 1;
  counted -= header->size;
  std::free(header);
}
void operator delete(void* memory, std::size_t) noexcept {
  operator delete(memory);
}
#endif

namespace sf::sim {

std::size_t stack_memory() {
  return counted;
}

bool stack_memory_is_known() {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  return true;
#else
  return false;
#endif
}

Counting::Counting(bool on) : before_(counting) {
  counting = on;
}

Counting::~Counting() {
  counting = before_;
}

}  // namespace sf::sim
