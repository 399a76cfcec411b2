#include "setup/reaper.hh"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <string>
#include <string_view>

#include "setup/posix.hh"

namespace sf::setup {
namespace {

// proc(5): the children of this thread, which are those of the process, since it has one thread. The list is
// empty where /proc is not mounted: then waitpid() below waits for them instead.
void kill_children() {
  const std::string text = read_text("/proc/thread-self/children").value_or("");
  std::string_view rest = text;
  while (!rest.empty()) {
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), pid);
    if (error == std::errc{} && pid > 0) static_cast<void>(::kill(pid, SIGKILL));
    const auto used = static_cast<std::size_t>(end - rest.data());
    rest.remove_prefix(std::min(used + 1, rest.size()));
  }
}

}  // namespace

void adopt_orphans() {
  static_cast<void>(::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
}

void end_descendants() {
  // Every child that is collected may hand its own children to us, hence the list is read again.
  for (;;) {
    kill_children();
    const pid_t pid = ::waitpid(-1, nullptr, __WALL);
    if (pid < 0 && errno != EINTR) return;
  }
}

int exit_status_of(int wait_status) {
  if (WIFEXITED(wait_status)) return WEXITSTATUS(wait_status);
  if (WIFSIGNALED(wait_status)) return 128 + WTERMSIG(wait_status);
  return 1;
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return 1;
  }
  return exit_status_of(status);
}

}  // namespace sf::setup
