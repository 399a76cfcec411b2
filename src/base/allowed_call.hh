// A system call that a confined process may make. Each module that makes some once the program is confined
// has a list beside it (host/, link/, control/, setup/: system_calls.hh); cli/confinement merges them, and
// setup/seccomp makes a filter of the result.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

namespace sf {

// A condition on one argument: its lower 32 bits, which is where system calls take an int from, with `mask`
// have to be `value`.
struct ArgumentIs {
  unsigned number = 0;
  std::uint32_t mask = 0xffffffff;
  std::uint32_t value = 0;

  bool operator==(const ArgumentIs&) const = default;
  [[nodiscard]] static ArgumentIs is(unsigned number, int value) {
    return {number, 0xffffffff, static_cast<std::uint32_t>(value)};
  }
  [[nodiscard]] static ArgumentIs has_none_of(unsigned number, int bits) {
    return {number, static_cast<std::uint32_t>(bits), 0};
  }
};

struct AllowedCall {
  const char* name;
  std::vector<ArgumentIs> arguments{};  // all of them; none: whatever the arguments are
};

using AllowedCalls = std::vector<AllowedCall>;

inline void allow(AllowedCalls& calls, std::initializer_list<const char*> names) {
  for (const char* name : names) calls.push_back({name});
}

inline void allow_all_of(AllowedCalls& calls, const AllowedCalls& more) {
  calls.insert(calls.end(), more.begin(), more.end());
}

}  // namespace sf
