// What is to be said about words and options beyond one value: where the flow log goes, what is attached to,
// and what contradicts each other. Errors are the lines for the user.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hh"
#include "cli/config.hh"

namespace sf::cli {

// A file, fd:N, or a number alone, which is a descriptor too.
[[nodiscard]] Result<void> parse_flow_log(std::string_view text, Config& config);
// Of attach and PATH: the target and the TAP's name, which are left over after all options were taken.
[[nodiscard]] Result<void> take_target(Config& config, std::vector<std::string> left);
// What no single option can see.
[[nodiscard]] Result<void> check_together(const Config& config);

}  // namespace sf::cli
