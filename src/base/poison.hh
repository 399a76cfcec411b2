// Memory of ours in which there is no object: with AddressSanitizer, who touches it is found out. Without,
// nothing.
#pragma once

#include <cstddef>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SF_POISONS 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(SF_POISONS)
#include <sanitizer/asan_interface.h>
#endif

namespace sf::base {

inline void poison([[maybe_unused]] const void* memory, [[maybe_unused]] std::size_t size) {
#ifdef ASAN_POISON_MEMORY_REGION
  ASAN_POISON_MEMORY_REGION(memory, size);
#endif
}

inline void unpoison([[maybe_unused]] const void* memory, [[maybe_unused]] std::size_t size) {
#ifdef ASAN_UNPOISON_MEMORY_REGION
  ASAN_UNPOISON_MEMORY_REGION(memory, size);
#endif
}

}  // namespace sf::base
