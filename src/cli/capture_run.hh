// Carries out `capture`: from the instance's control socket to a file or standard output.
#pragma once

#include "cli/commands.hh"
#include "cli/control_run.hh"
#include "control/directory.hh"

namespace sf::cli {

// Takes the process's signals.
[[nodiscard]] Outcome run_capture(const ControlCommand& command, const control::FoundInstance& instance);

}  // namespace sf::cli
