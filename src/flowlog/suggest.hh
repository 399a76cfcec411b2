// A policy file that lets pass what a flow log has seen: a beginning for whoever wants to allow that and no
// more.
//
// One rule for each target, with the ports that were used; a name where the guest has resolved one. What was
// refused, or would have been, stands there as comments, and so do wildcards that could replace many names:
// those are for people to decide.
#pragma once

#include <istream>
#include <string>
#include <string_view>

#include "base/result.hh"

namespace sf::flowlog {

// `name` is the log's, for messages. An Error is one line: "NAME:LINE: expected ..., not ...".
[[nodiscard]] Result<std::string> suggest_policy(std::istream& log, std::string_view name);

}  // namespace sf::flowlog
