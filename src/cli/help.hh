// The text of --help and --version.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cli/config.hh"

namespace CLI {
class App;
}

namespace sf::cli {

// All options of `app`, by group, aligned.
[[nodiscard]] std::string option_lines(const CLI::App& app);

// The whole text: forms, options, examples. Without a command: the overview, with the options common to all.
[[nodiscard]] std::string help_text(std::optional<Command> command, const std::string& options);

// Of ls, port, flows, policy or capture.
[[nodiscard]] std::string control_help_text(std::string_view word, const std::string& options);

[[nodiscard]] std::string version_text();
// What slirp4netns says to -v, with the lines that its callers look for.
[[nodiscard]] std::string slirp4netns_version_text();

}  // namespace sf::cli
