#include "cli/confinement.hh"

#include <linux/capability.h>

#include "control/system_calls.hh"
#include "flowlog/system_calls.hh"
#include "host/system_calls.hh"
#include "link/system_calls.hh"
#include "setup/landlock.hh"
#include "setup/sandbox.hh"
#include "setup/seccomp.hh"
#include "setup/system_calls.hh"

namespace sf::cli {

AllowedCalls program_calls(bool has_keeper) {
  AllowedCalls calls = setup::library_calls();
  allow_all_of(calls, setup::program_calls());
  allow_all_of(calls, link::allowed_calls());
  allow_all_of(calls, flowlog::allowed_calls());
  allow_all_of(calls, host::allowed_calls({.reads_resolv_conf = !has_keeper}));
  allow_all_of(calls, control::allowed_calls({.removes_files = !has_keeper}));
  return calls;
}

Result<void> give_up_rights(const Config& config, const Log& log) {
  if (config.slirp4netns) return config.sandbox ? setup::enter_sandbox({}, log) : Result<void>{};
  if (!config.confined) return {};
  setup::let_go_of_streams({config.ready_fd, config.exit_fd});
  if (const auto entered = setup::enter_sandbox({{}, ""}, log); !entered) {
    log.warning("without a root folder of its own, because {}", entered.error().message);
    if (const auto kept = setup::keep_capabilities({CAP_NET_BIND_SERVICE}); !kept) {
      log.warning("{}", kept.error().message);
    }
  }
  setup::become_opaque();
  setup::restrict_files({}, false, log);
  return {};
}

Result<void> filter_system_calls(const Config& config, const Log& log) {
  if (config.slirp4netns) {
    return config.seccomp ? setup::install_filter(program_calls(false)) : Result<void>{};
  }
  if (!config.confined) return {};
  setup::limit_resources();
  if (const auto filtered = setup::install_filter(program_calls(true)); !filtered) {
    log.warning("without a system call filter, because {}", filtered.error().message);
  }
  return {};
}

}  // namespace sf::cli
