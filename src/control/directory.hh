// Where the instances of one user are found without a path: sockets named PID.sock in
// $XDG_RUNTIME_DIR/slirp-forwarder/.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hh"

namespace sf::control {

// The directory, whether it is there or not; below /run/user/UID where `xdg_runtime_dir` (the environment's
// XDG_RUNTIME_DIR) is absent, empty or relative. Absent where that is not there either.
[[nodiscard]] std::optional<std::string> instance_directory(
    const std::optional<std::string>& xdg_runtime_dir);

// Makes it, for its user alone (0700). An existing one has to belong to that user, and is made private.
[[nodiscard]] Result<void> make_instance_directory(const std::string& directory);

// Of the process `pid`.
[[nodiscard]] std::string instance_socket(const std::string& directory, std::string_view pid);
// Of this process.
[[nodiscard]] std::string own_instance_socket(const std::string& directory);

struct FoundInstance {
  std::string pid;
  std::string path;
};

// Those that answer, by pid. Sockets that an instance left behind are removed: nobody answers on them, and
// their process is gone.
[[nodiscard]] std::vector<FoundInstance> find_instances(const std::string& directory);

}  // namespace sf::control
