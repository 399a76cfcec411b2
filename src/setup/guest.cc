// The guest of `run`: a child in new namespaces that is CMD's parent and init.
//
// It is cloned into its user namespace (and PID namespace), because the maps of a user namespace are written
// from outside; all other namespaces follow once it is root in there, so that they belong to it.
#include <linux/sched.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "setup/guest_init.hh"
#include "setup/id_map.hh"
#include "setup/kept_start.hh"
#include "setup/namespaces.hh"
#include "setup/posix.hh"
#include "setup/reaper.hh"
#include "setup/resolv_conf_mount.hh"
#include "setup/setup.hh"

#ifdef __SANITIZE_THREAD__
extern "C" void __sanitizer_syscall_pre_impl_fork();
extern "C" void __sanitizer_syscall_post_impl_fork(long result);
#endif

namespace sf::setup {
namespace {

constexpr const char* kResolvConf = "/etc/resolv.conf";

// fork(2) with namespace flags. glibc has no such call; the child shares nothing and has this thread alone.
long clone_into(unsigned long flags) {
  return ::syscall(SYS_clone, flags | static_cast<unsigned long>(SIGCHLD), nullptr, nullptr, nullptr,
                   nullptr);
}

pid_t fork_into(unsigned long flags) {
#ifdef __SANITIZE_THREAD__
  // ThreadSanitizer has a thread of its own, whose locks the child would wait for; it sees fork() by itself.
  __sanitizer_syscall_pre_impl_fork();
  const long result = clone_into(flags);
  const int error = errno;
  __sanitizer_syscall_post_impl_fork(result);
  errno = error;
  return static_cast<pid_t>(result);
#else
  return static_cast<pid_t>(clone_into(flags));
#endif
}

// The calls themselves: glibc's would wait for threads that it knows of, and a clone() without it has not
// brought. There are none but in a build with ThreadSanitizer.
Result<void> become_root() {
  if (::syscall(SYS_setresgid, 0, 0, 0) != 0 || ::syscall(SYS_setresuid, 0, 0, 0) != 0) {
    return fail(
        "cannot become root in the user namespace: {}; check the user's ranges in /etc/subuid and "
        "/etc/subgid",
        reason(errno));
  }
  return {};
}

Result<void> make_mount_namespace(bool fresh_proc) {
  // Slave, not private: what the host unmounts goes away in here as well, and nothing of ours goes out.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    const int error = errno;
    return explain_unshare("the mounts of the new mount namespace its own", error);
  }
  if (fresh_proc && ::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    return fail(
        "cannot mount a fresh /proc for --pid: {}; a container that masks parts of /proc forbids it, so "
        "leave "
        "--pid and --all out there",
        reason(errno));
  }
  return {};
}

Result<void> make_namespaces(const GuestSettings& settings) {
  const struct {
    bool wanted;
    int flag;
    const char* what;
  } kinds[] = {
      {true, CLONE_NEWNS, "a mount namespace"},
      {true, CLONE_NEWNET, "a network namespace"},
      {settings.ipc_namespace, CLONE_NEWIPC, "an IPC namespace"},
      {settings.uts_namespace, CLONE_NEWUTS, "a UTS namespace"},
      {settings.cgroup_namespace, CLONE_NEWCGROUP, "a cgroup namespace"},
  };
  for (const auto& kind : kinds) {
    if (kind.wanted && ::unshare(kind.flag) != 0) return explain_unshare(kind.what, errno);
  }
  return make_mount_namespace(settings.pid_namespace);
}

Result<TapDevice> set_up_inside(const GuestSettings& settings, const Log& log) {
  if (auto root = become_root(); !root) return tl::unexpected(root.error());
  if (!settings.pid_namespace) adopt_orphans();  // an init does so anyway
  if (auto made = make_namespaces(settings); !made) return tl::unexpected(made.error());
  TapSettings wanted = settings.network.tap;
  wanted.holds_namespace = true;
  auto tap = open_tap(wanted);
  if (!tap) return tap;
  if (auto done = configure_network(settings.network, log); !done) return tl::unexpected(done.error());
  return tap;
}

// All of the child's life. Returns its exit status.
int live_inside(const GuestSettings& settings, const SignalState& signals, const Channel& channel,
                const Log& log) {
  if (!channel.receive()) return 1;  // the maps are written, or the program is gone
  auto tap = set_up_inside(settings, log);
  if (!tap) {
    static_cast<void>(channel.send(MessageKind::failed, tap.error().message));
    return 1;
  }
  ResolvConf resolv_conf{kResolvConf, {}};
  if (!settings.name_servers.empty()) {
    resolv_conf.text = resolv_conf_text(read_text(kResolvConf).value_or(""), settings.name_servers);
    auto mounted = mount_resolv_conf(resolv_conf.path, resolv_conf.text);
    if (!mounted) {
      log.warning("{}", mounted.error().message);
      resolv_conf.text.clear();
    }
  }
  std::vector<int> queues;
  for (const UniqueFd& queue : tap->queues) queues.push_back(queue.get());
  if (!channel.send(MessageKind::tap, describe(*tap), queues)) return 1;
  tap->queues.clear();  // a TAP ends with its last descriptor

  const auto files = wait_for_release(channel);
  if (!files) return 1;
  wait_for_ipv6(settings.network, log);
  static_cast<void>(channel.send(MessageKind::ready));
  const int status = run_as_init(
      {settings.command, resolv_conf, settings.helpers.confined, folders_of(*files)}, signals, channel, log);
  remove_files(*files);  // the keeper does so as well; it may be the one that was killed
  return status;
}

}  // namespace

Result<Inside> start_guest(const GuestSettings& settings, const SignalState& signals, const Log& log) {
  KeeperSettings keeper;
  keeper.ends_with_child = true;
  keeper.kills_child = settings.pid_namespace;
  return start_kept(
      keeper, settings.helpers, {},
      [&](KeptStart& ends) -> Result<pid_t> {
        const unsigned long flags = CLONE_NEWUSER | (settings.pid_namespace ? CLONE_NEWPID : 0UL);
        const pid_t child = fork_into(flags);
        const int error = errno;
        if (child < 0) return tl::unexpected(explain_user_namespace(error, read_user_namespace_limits()));
        if (child == 0) {
          ends.close_others();
          ::_exit(live_inside(settings, signals, ends.child, log));
        }
        if (auto mapped = write_id_maps(child, log); !mapped) {
          static_cast<void>(::kill(child, SIGKILL));
          return tl::unexpected(mapped.error());
        }
        static_cast<void>(ends.program.send(MessageKind::mapped));
        return child;
      },
      log);
}

}  // namespace sf::setup
