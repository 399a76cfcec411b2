#include "setup/kept_start.hh"

#include <unistd.h>

#include <cerrno>

#include "setup/posix.hh"
#include "setup/reaper.hh"
#include "setup/sandbox.hh"

namespace sf::setup {
namespace {

// The keeper's process, from the fork on.
int live_as_keeper(const KeeperSettings& settings, KeptStart& ends,
                   const std::function<Result<pid_t>(KeptStart&)>& start, const Log& log) {
  adopt_orphans();  // what the child leaves if it is killed
  auto child = start(ends);
  if (!child) {
    static_cast<void>(ends.child.send(MessageKind::failed, child.error().message));
    end_descendants();
    return 1;
  }
  ends.program.close();
  ends.child.close();
  return keep(*child, settings, ends.keeper, log);
}

}  // namespace

Result<Inside> start_kept(const KeeperSettings& keeper, const HelperSettings& helpers, std::vector<int> own,
                          const std::function<Result<pid_t>(KeptStart&)>& start, const Log& log) {
  auto ends = Channel::make_pair();
  if (!ends) return tl::unexpected(ends.error());
  auto keeper_ends = Channel::make_pair();
  if (!keeper_ends) return tl::unexpected(keeper_ends.error());
  const pid_t pid = ::fork();
  if (pid < 0) return fail("cannot fork: {}; raise the limit of processes (ulimit -u)", reason(errno));
  if (pid == 0) {
    keeper_ends->first.close();
    KeptStart kept{std::move(ends->first), std::move(ends->second), std::move(keeper_ends->second)};
    ::_exit(live_as_keeper(keeper, kept, start, log));
  }
  ends->second.close();
  keeper_ends->second.close();
  // What the caller had left open is CMD's, where there is one, and nobody's else.
  if (helpers.confined) {
    own.insert(own.end(), helpers.callers.begin(), helpers.callers.end());
    own.insert(own.end(), {ends->first.fd(), keeper_ends->first.fd()});
    close_all_but(own);
  }
  Inside inside(pid, std::move(ends->first));
  inside.set_keeper(Keeper(std::move(keeper_ends->first)));
  if (auto received = inside.receive_tap(); !received) return tl::unexpected(received.error());
  return inside;
}

}  // namespace sf::setup
