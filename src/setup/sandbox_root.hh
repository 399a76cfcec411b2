// The sandbox's root folder.
#pragma once

#include "setup/sandbox.hh"

namespace sf::setup {

// A new mount namespace with that root, which is the working directory as well. Needs CAP_SYS_ADMIN.
[[nodiscard]] Result<void> enter_small_root(const SandboxSettings& settings, const Log& log);

}  // namespace sf::setup
