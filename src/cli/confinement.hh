// What the program gives up before it reads the first packet: on by default in run, attach and PATH, and
// asked for by --enable-sandbox and --enable-seccomp as slirp4netns.
//
// Part of the program's entry: it sees the Linux sides of link/ and host/, whose lists of system calls it
// merges.
#pragma once

#include "base/allowed_call.hh"
#include "base/log.hh"
#include "base/result.hh"
#include "cli/config.hh"

namespace sf::cli {

// All that the program calls from then on. A keeper reads resolv.conf and removes files; without one the
// program does.
[[nodiscard]] AllowedCalls program_calls(bool has_keeper);

// To come before there are threads. Native: what cannot be done here, as in a container that forbids it, is
// said in a line each, and the rest goes on. As slirp4netns: what was asked for and cannot be done is an
// Error.
[[nodiscard]] Result<void> give_up_rights(const Config& config, const Log& log);

// To come when all threads are there, which it holds for: the system call filter, and no more processes.
[[nodiscard]] Result<void> filter_system_calls(const Config& config, const Log& log);

}  // namespace sf::cli
