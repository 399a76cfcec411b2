// Carries out a ControlCommand: finds the instances, asks them, and says what they have answered.
#pragma once

#include <optional>
#include <string>

#include "cli/commands.hh"
#include "cli/outcome.hh"
#include "cli/top_run.hh"

namespace sf::cli {

// How long `ls` waits for instances that do not answer.
inline constexpr Duration kListTimeout = 2s;

// `xdg_runtime_dir` is the environment's XDG_RUNTIME_DIR.
[[nodiscard]] Outcome run_control(const ControlCommand& command,
                                  const std::optional<std::string>& xdg_runtime_dir,
                                  const TopSettings& terminal = {});

}  // namespace sf::cli
