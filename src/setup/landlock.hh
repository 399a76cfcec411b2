// Landlock (Linux 5.13): files that this process may reach by name, whatever its user may. What is open
// already goes on working.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/log.hh"

namespace sf::setup {

// Everything below `path` (or in the folder that `fd` is, where it is not -1). What is not there is left out.
struct LandlockRule {
  enum class Right : std::uint8_t { read, remove_files };
  std::string path;
  int fd = -1;
  Right right = Right::read;
};

// For the calling thread and what it starts from now on: no file but those of `rules`, no Unix socket with
// an abstract name, and without `signals` no signals to others (both from Linux 6.12). Needs NO_NEW_PRIVS.
// Mounts can be neither made nor taken away any more. An addition to the sandbox: where the kernel has it
// not, a debug line says so. Returns whether it is in force.
bool restrict_files(const std::vector<LandlockRule>& rules, bool signals, const Log& log);

}  // namespace sf::setup
