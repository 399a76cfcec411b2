// Children for namespaces that are not made for a command: `attach` and PATH.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <functional>

#include "setup/guest_helper.hh"
#include "setup/namespaces.hh"
#include "setup/posix.hh"
#include "setup/reaper.hh"
#include "setup/setup.hh"

namespace sf::setup {
namespace {

// Hands a TAP to the program, and says when the network works. Returns a descriptor of the TAP; none where
// there is no TAP, or the program is gone.
UniqueFd hand_over(const NetworkSettings& settings, Result<TapDevice> tap, const Channel& channel,
                   const Log& log) {
  if (!tap) {
    static_cast<void>(channel.send(MessageKind::failed, tap.error().message));
    return {};
  }
  std::vector<int> queues;
  for (const UniqueFd& queue : tap->queues) queues.push_back(queue.get());
  if (!channel.send(MessageKind::tap, describe(*tap), queues)) return {};
  if (!channel.receive()) return {};
  wait_for_ipv6(settings, log);
  if (!channel.send(MessageKind::ready)) return {};
  return std::move(tap->queues.front());
}

// Standard input, output and error stay.
void close_all_but(std::vector<int> kept) {
  std::ranges::sort(kept);
  unsigned from = 3;
  for (const int fd : kept) {
    const auto number = static_cast<unsigned>(fd);
    if (number > from) static_cast<void>(::close_range(from, number - 1, 0));
    from = std::max(from, number + 1);
  }
  static_cast<void>(::close_range(from, ~0U, 0));
}

// The rest of a child's life: what is asked of it, until the program is gone. The namespace is not held by
// it, nor anything that the caller waits for, such as the other end of --ready-fd. False: it could not be
// left.
bool stay(UniqueFd tap, const Channel& channel, const Log& log) {
  close_all_but({channel.fd(), tap.get()});
  static_cast<void>(::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));  // out of reach of the guest's debuggers
  if (::unshare(CLONE_NEWNET) != 0) {
    log.warning(
        "cannot leave the namespace: {}; ports to its own loopback will not work (raise the limit with "
        "sysctl "
        "user.max_net_namespaces)",
        reason(errno));
    return false;
  }
  GuestHelper(std::move(tap)).serve(channel);
  return true;
}

Result<TapDevice> open_and_configure(const NetworkSettings& settings, const Log& log) {
  prepare_tap(settings);
  auto tap = open_tap(settings.tap);
  if (!tap) return tap;
  if (auto done = configure_network(settings, log); !done) return tl::unexpected(done.error());
  return tap;
}

// Forks a child that lives as `life` says, and waits for its TAP.
Result<Inside> start_child(const std::function<int(const Channel&)>& life) {
  auto ends = Channel::make_pair();
  if (!ends) return tl::unexpected(ends.error());
  auto& [own_end, child_end] = *ends;
  const pid_t child = ::fork();
  if (child < 0) return fail("cannot fork: {}; raise the limit of processes (ulimit -u)", reason(errno));
  if (child == 0) {
    own_end.close();
    ::_exit(life(child_end));
  }
  child_end.close();
  Inside inside(child, std::move(own_end));
  if (auto received = inside.receive_tap(); !received) return tl::unexpected(received.error());
  return inside;
}

// An absolute path, because the child changes its directory, to a file that is free to be mounted on.
Result<std::string> check_path(const std::string& path) {
  char resolved[PATH_MAX];
  if (::realpath(path.c_str(), resolved) == nullptr) {
    const int error = errno;
    return fail("cannot use '{}': {}{}", path, reason(error),
                error == ENOENT ? "; create the file first: touch " + path : "");
  }
  const UniqueFd fd = open_fd(resolved, O_PATH);
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0) return fail("cannot use '{}': {}", path, reason(errno));
  if (S_ISDIR(info.st_mode)) return fail("cannot use '{}': it is a directory; name an empty file", path);
  const UniqueFd readable = open_fd(resolved, O_RDONLY | O_NONBLOCK);
  if (readable && is_namespace(readable.get(), 0)) {
    return fail("cannot use '{}': a namespace is mounted on it; attach to it, or remove it with: umount {}",
                path, path);
  }
  return std::string(resolved);
}

Result<TapDevice> create_on_path(const NetworkSettings& settings, const std::string& path, const Log& log) {
  if (::unshare(CLONE_NEWNET) != 0) return explain_unshare("a network namespace", errno);
  if (::mount("/proc/thread-self/ns/net", path.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    const int error = errno;
    return fail("cannot mount the network namespace on '{}': {}; {}", path, reason(error),
                error == EPERM ? "this needs a user and mount namespace: start in one with: unshare -mr"
                               : "name an existing file in a place where mounts are allowed");
  }
  auto tap = open_and_configure(settings, log);
  if (!tap) static_cast<void>(::umount2(path.c_str(), MNT_DETACH));
  return tap;
}

int live_on_path(const NetworkSettings& settings, const std::string& path, const Channel& channel,
                 const Log& log) {
  // Out of reach of what the terminal sends to the foreground process group, and of kill(2) to that group:
  // this process unmounts PATH when the program has ended, by SIGKILL as well.
  static_cast<void>(::setsid());
  close_all_but({channel.fd()});  // such as --ready-fd, whose reader waits for its end
  sigset_t all;
  sigfillset(&all);
  static_cast<void>(::sigprocmask(SIG_BLOCK, &all, nullptr));
  auto tap = create_on_path(settings, path, log);
  const MountedNamespace mount = MountedNamespace::on(path);
  const bool mounted = tap.has_value();
  UniqueFd handed_over = hand_over(settings, std::move(tap), channel, log);
  // The namespace is PATH's from here on. Staying in it would keep it alive after it was unmounted by others.
  if (handed_over) {
    if (!stay(std::move(handed_over), channel, log)) {
      while (channel.receive()) {  // PATH stays for as long as the program does
      }
    }
  } else {
    static_cast<void>(::unshare(CLONE_NEWNET));
  }
  const int error = mounted ? mount.unmount() : 0;
  if (error != 0)
    log.warning("cannot unmount '{}': {}; remove it with: umount {}", path, reason(error), path);
  return mounted ? 0 : 1;
}

}  // namespace

Result<Inside> start_attached(const NetworkSettings& settings, const std::string& target,
                              const std::string& userns_path, bool child_stays, const Log& log) {
  // First of all, so that a number that changes hands meanwhile is seen as the end of the first one.
  auto end = TargetEnd::watch(target);
  auto found = open_target(target, userns_path);
  if (!found) return tl::unexpected(found.error());
  auto inside = start_child([&](const Channel& channel) {
    // Out of reach of the namespace's debuggers, before it is in there.
    static_cast<void>(::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
    auto joined = join(*found);
    *found = {};
    UniqueFd tap = hand_over(
        settings, joined ? open_and_configure(settings, log) : tl::unexpected(joined.error()), channel, log);
    if (!tap) return 1;
    if (child_stays) static_cast<void>(stay(std::move(tap), channel, log));
    return 0;
  });
  if (!inside || !inside->tap().holds_namespace) return inside;
  if (!end) {
    log.warning("{}; this program will not end by itself", end.error().message);
    return inside;
  }
  inside->set_target_end(*std::move(end));
  return inside;
}

Result<Inside> start_adopted(int fd, bool offload) {
  auto device = adopt_tap(fd, offload);
  if (!device) return tl::unexpected(device.error());
  return Inside(*std::move(device));
}

Result<Inside> start_path(const NetworkSettings& settings, const std::string& path, const Log& log) {
  auto resolved = check_path(path);
  if (!resolved) return tl::unexpected(resolved.error());
  auto inside =
      start_child([&](const Channel& channel) { return live_on_path(settings, *resolved, channel, log); });
  if (inside) inside->set_mount(MountedNamespace::on(*resolved));
  return inside;
}

}  // namespace sf::setup
