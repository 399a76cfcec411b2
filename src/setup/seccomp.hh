// The system call filter: what is on the list is allowed, everything else ends the process (SIGSYS).
//
// The lists stand beside the modules that need them (base/allowed_call.hh). A filter cannot look behind
// pointers: what a path leads to is the business of the root folder (sandbox.hh) and of Landlock.
#pragma once

#include "base/allowed_call.hh"
#include "base/result.hh"

namespace sf::setup {

// For the whole process with all threads that it has then, for ever; sets NO_NEW_PRIVS as well.
[[nodiscard]] Result<void> install_filter(const AllowedCalls& calls);

}  // namespace sf::setup
