#include "setup/guest_init.hh"

#include <fcntl.h>
#include <poll.h>
#include <sys/capability.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "setup/guest_helper.hh"
#include "setup/posix.hh"
#include "setup/reaper.hh"
#include "setup/resolv_conf_mount.hh"
#include "setup/sandbox.hh"
#include "setup/seccomp.hh"
#include "setup/system_calls.hh"

namespace sf::setup {
namespace {

constexpr int kNotFound = 127;
constexpr int kNotExecutable = 126;

// In CMD's process. Does not return.
[[noreturn]] void execute(const std::vector<std::string>& command, const SignalState& signals, pid_t init,
                          const Log& log) {
  // CMD ends when its init is killed. The init may have been killed before this call.
  static_cast<void>(::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
  if (::getppid() != init) ::_exit(1);
  std::vector<std::string> words = command;
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  restore_signals(signals);
  ::execvp(argv[0], argv.data());
  const int error = errno;
  if (error == ENOENT) {
    log.error("cannot run '{}': it is not found; check the spelling, PATH, and the interpreter of a script",
              command[0]);
    ::_exit(kNotFound);
  }
  log.error("cannot run '{}': {}; check that it is a program and may be executed (chmod +x)", command[0],
            reason(error));
  ::_exit(kNotExecutable);
}

// Collects all children that have ended. CMD's exit status, where it is among them.
std::optional<int> collect_children(pid_t command) {
  std::optional<int> result;
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return result;
    if (pid == command) result = exit_status_of(status);
  }
}

// The directory of resolv.conf, watched: what replaces the file outside takes our mount with it.
UniqueFd watch_directory(const ResolvConf& resolv_conf) {
  if (resolv_conf.text.empty()) return {};
  UniqueFd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  const std::string directory = resolv_conf.path.substr(0, resolv_conf.path.rfind('/'));
  if (fd && ::inotify_add_watch(fd.get(), directory.c_str(), IN_MOVED_TO | IN_CREATE) < 0) fd.reset();
  return fd;
}

// True where one of the events that are waiting is about the file. Others are not looked at any further: in
// the middle of a rename its old name can still be found, and cannot be mounted on.
bool file_changed(int watch, const std::string& file) {
  alignas(inotify_event) std::array<char, 4096> events{};
  bool changed = false;
  for (;;) {
    const ssize_t got = ::read(watch, events.data(), events.size());
    if (got <= 0) return changed;
    for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
      inotify_event event{};
      std::memcpy(&event, &events[at], sizeof(event));
      at += sizeof(event);
      if (event.len > 0 && file == &events[at]) changed = true;
      at += event.len;
    }
  }
}

void keep_resolv_conf(int watch, const ResolvConf& resolv_conf, const Log& log) {
  if (!file_changed(watch, resolv_conf.path.substr(resolv_conf.path.rfind('/') + 1))) return;
  // Without any file, an overlay over the whole directory would be all that could be mounted: not for a
  // moment between a removal and a creation.
  struct stat found {};
  if (::lstat(resolv_conf.path.c_str(), &found) != 0 || !needs_mount(resolv_conf.path, resolv_conf.text))
    return;
  auto mounted = mount_resolv_conf(resolv_conf.path, resolv_conf.text);
  if (!mounted) log.warning("{}", mounted.error().message);
}

// A signal for CMD, a request, or the program's end. False for the latter.
bool obey(const Channel& channel, pid_t command, GuestHelper& helper) {
  const auto message = channel.receive();
  if (!message) return false;
  if (message->kind == MessageKind::signal) {
    static_cast<void>(::kill(command, static_cast<int>(std::strtol(message->text.c_str(), nullptr, 10))));
  }
  helper.obey(*message, channel);
  return true;
}

// CMD has been forked. resolv.conf may have to be mounted again, and CMD may have other ids.
void confine(std::vector<int> own, const std::vector<int>& folders, const Log& log) {
  own.insert(own.end(), folders.begin(), folders.end());
  close_all_but(std::move(own));
  let_go_of_streams({});
  limit_resources();
  auto done = keep_capabilities({CAP_SYS_ADMIN, CAP_KILL});
  AllowedCalls calls = library_calls();
  allow_all_of(calls, helper_calls(false));
  allow_all_of(calls, init_calls());
  allow_all_of(calls, removing_calls(folders));
  if (done) done = install_filter(calls);
  if (!done) log.debug("the command's parent is not confined: {}", done.error().message);
}

}  // namespace

int run_as_init(const InitSettings& settings, const SignalState& signals, const Channel& channel,
                const Log& log) {
  const auto& [command, resolv_conf, confined, folders] = settings;
  const auto children = SignalSource::open_for_children();
  if (!children) {
    log.error("{}", children.error().message);
    return 1;
  }
  const UniqueFd watch = watch_directory(resolv_conf);
  // Out of reach of the guest's debuggers, because the program uses sockets that come from here. For CMD, its
  // execve(2) ends that.
  static_cast<void>(::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
  const pid_t init = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) execute(command, signals, init, log);
  if (pid < 0) {
    log.error("cannot start '{}': {}; raise the limit of processes (ulimit -u)", command[0], reason(errno));
    return 1;
  }
  if (confined) confine({channel.fd(), children->fd(), watch.get()}, folders, log);
  std::optional<int> status;
  GuestHelper helper;
  std::array<pollfd, 4> ready{{{channel.fd(), POLLIN, 0},
                               {children->fd(), POLLIN, 0},
                               {watch.get(), POLLIN, 0},
                               {helper.look_fd(), POLLIN, 0}}};
  while (!status) {
    ready[3].fd = helper.look_fd();
    if (::poll(ready.data(), ready.size(), -1) < 0 && errno != EINTR) break;
    if (ready[1].revents != 0) {
      while (children->next()) {
      }
      status = collect_children(pid);
    }
    if (ready[2].revents != 0) keep_resolv_conf(watch.get(), resolv_conf, log);
    if (ready[3].revents != 0) helper.look(channel);
    if (!status && ready[0].revents != 0 && !obey(channel, pid, helper)) break;
  }
  end_descendants();
  return status.value_or(1);
}

}  // namespace sf::setup
