// The system call filter: what is on the list is allowed, everything else ends the process (SIGSYS).
//
// system_calls.cc has the list, by the module that needs each entry. A filter cannot look behind pointers:
// what a path leads to is the sandbox's business (sandbox.hh).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hh"

namespace sf::setup {

struct SeccompSettings {
  // The program may have to kill what its child has left: true for `run` alone.
  bool may_kill = false;
};

// A condition on one argument: its lower 32 bits, which is where system calls take an int from, with `mask`
// have to be `value`.
struct ArgumentIs {
  unsigned number = 0;
  std::uint32_t mask = 0xffffffff;
  std::uint32_t value = 0;
};

struct AllowedCall {
  const char* name;
  std::vector<ArgumentIs> arguments{};  // all of them; none: whatever the arguments are
};

[[nodiscard]] std::vector<AllowedCall> allowed_calls(const SeccompSettings& settings);

// For the whole process with all of its threads, for ever; sets NO_NEW_PRIVS as well.
[[nodiscard]] Result<void> install_filter(const SeccompSettings& settings);

}  // namespace sf::setup
