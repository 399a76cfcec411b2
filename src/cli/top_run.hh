// Carries out `top`: asks an instance again and again, and shows it in the terminal.
#pragma once

#include <string>
#include <vector>

#include "base/time.hh"
#include "cli/outcome.hh"
#include "control/directory.hh"

namespace sf::cli {

// What the environment says of the terminal.
struct TopSettings {
  std::string term{};  // TERM
  bool no_color = false;
  bool utf8 = false;
};

// How long an answer is waited for; keys wait as long.
inline constexpr Duration kTopTimeout = 1s;

// One of `instances`, which somebody chooses where there are several; there is one at least.
[[nodiscard]] Outcome run_top(const std::vector<control::FoundInstance>& instances, Duration interval,
                              const TopSettings& settings);

}  // namespace sf::cli
