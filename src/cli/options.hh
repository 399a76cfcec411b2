// The command line: argument words to a Config.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "base/result.hh"
#include "cli/config.hh"

namespace sf::cli {

inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;

// What the parser takes from the environment; main.cc fills it in.
struct Environment {
  bool configure_network = false;  // CONFIGURE_NETWORK is set, to whatever value
  std::string shell;               // SHELL, or empty
};

// --help and --version: to be printed on standard output, and that is all.
struct ShowText {
  std::string text;
};

using Options = std::variant<Config, ShowText>;

// `words` are argv without the program's name. An Error is one line that says what is wrong and what to do;
// its exit status is kExitUsage.
[[nodiscard]] Result<Options> parse_options(const std::vector<std::string>& words,
                                            const Environment& environment);

}  // namespace sf::cli
