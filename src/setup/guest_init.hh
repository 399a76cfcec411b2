// CMD's parent inside the namespaces: starts it, hands signals on, collects orphans, and ends all with CMD.
#pragma once

#include <string>
#include <vector>

#include "base/log.hh"
#include "setup/channel.hh"
#include "setup/signals.hh"

namespace sf::setup {

// What has to be at `path` inside, or an empty text where the host's own file is kept.
struct ResolvConf {
  std::string path;
  std::string text;
};

struct InitSettings {
  std::vector<std::string> command;
  ResolvConf resolv_conf;
  // Once CMD is there, which has none of it, this process gives up what it does not need, and has a filter of
  // its own; it still removes files from these folders.
  bool confined = true;
  std::vector<int> folders;
};

// Executes the command in a child, and stays until it ends, or until the program at the channel's other end
// does. Returns CMD's exit status, after all processes that it has left were ended.
[[nodiscard]] int run_as_init(const InitSettings& settings, const SignalState& signals,
                              const Channel& channel, const Log& log);

}  // namespace sf::setup
