// The command line of slirp4netns, for the program called by that name: the same Config as from options.hh,
// with slirp4netns's defaults.
//
// Words are taken as getopt_long(3) takes them, because callers rely on it: options anywhere, also behind
// the target; --option=VALUE and --option VALUE; any unique beginning of a long name; -r 3, -r3, -cr 3; "--"
// ends the options. It is not used itself: it keeps its state in globals, and speaks on its own.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hh"
#include "cli/config.hh"
#include "cli/options.hh"

namespace sf::cli {

// The program was called as slirp4netns, in whatever folder.
[[nodiscard]] bool is_slirp4netns(std::string_view program);

// `words` are argv without the program's name. An Error is one line; the usage follows it on standard output,
// and the exit status is kExitFailure.
[[nodiscard]] Result<Options> parse_slirp4netns(const std::vector<std::string>& words);

// The text of --help. Callers search it for options that they want to use.
[[nodiscard]] std::string slirp4netns_usage();

}  // namespace sf::cli
