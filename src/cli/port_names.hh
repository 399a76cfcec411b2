// Which of the published ports, and which of the running instances, somebody means.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.hh"
#include "cli/replies.hh"
#include "control/directory.hh"

namespace sf::cli {

// A word is a rule, whose guest port need not be given, or an id. All of them are found or none; one that is
// named twice is there once.
[[nodiscard]] Result<std::vector<PortReply>> find_ports(const std::vector<PortReply>& published,
                                                        const std::vector<std::string>& words);

// `name` is a pid, the beginning of one pid alone, or a socket's path; without it, the only one there is.
[[nodiscard]] Result<control::FoundInstance> choose_instance(
    const std::vector<control::FoundInstance>& running, const std::optional<std::string>& name);

}  // namespace sf::cli
