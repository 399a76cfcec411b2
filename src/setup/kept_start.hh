// Starts a child with a keeper between it and the program (keeper.hh).
#pragma once

#include <functional>
#include <vector>

#include "setup/setup.hh"

namespace sf::setup {

// What the keeper has when it starts the child: both ends of the channel between that and the program, and
// its own to the program.
struct KeptStart {
  Channel program;
  Channel child;
  Channel keeper;

  // In the child: what it must not hold, because its end is a message.
  void close_others() {
    program.close();
    keeper.close();
  }
};

// `start` forks the child in the keeper's process, and returns its pid there. `own` are descriptors that the
// program has opened before, which stay open in it. Waits for the child's TAP.
[[nodiscard]] Result<Inside> start_kept(const KeeperSettings& keeper, const HelperSettings& helpers,
                                        std::vector<int> own,
                                        const std::function<Result<pid_t>(KeptStart&)>& start,
                                        const Log& log);

}  // namespace sf::setup
