// Children for namespaces that are not made for a command: `attach` and PATH.
#include <fcntl.h>
#include <sched.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <functional>

#include "setup/guest_helper.hh"
#include "setup/kept_start.hh"
#include "setup/landlock.hh"
#include "setup/namespaces.hh"
#include "setup/posix.hh"
#include "setup/reaper.hh"
#include "setup/sandbox.hh"
#include "setup/seccomp.hh"
#include "setup/setup.hh"
#include "setup/system_calls.hh"

namespace sf::setup {
namespace {

struct HandedOver {
  UniqueFd tap;  // none where there is no TAP, or the program is gone
  std::vector<KeptFile> files;
};

// Hands a TAP to the program, and says when the network works.
HandedOver hand_over(const NetworkSettings& settings, Result<TapDevice> tap, const Channel& channel,
                     const Log& log) {
  if (!tap) {
    static_cast<void>(channel.send(MessageKind::failed, tap.error().message));
    return {};
  }
  std::vector<int> queues;
  for (const UniqueFd& queue : tap->queues) queues.push_back(queue.get());
  if (!channel.send(MessageKind::tap, describe(*tap), queues)) return {};
  auto files = wait_for_release(channel);
  if (!files) return {};
  wait_for_ipv6(settings, log);
  if (!channel.send(MessageKind::ready)) return {};
  return {std::move(tap->queues.front()), *std::move(files)};
}

// The guest's namespace is visited: to be told of it takes CAP_NET_ADMIN. Files are read for its range of
// ports alone. PATH's child unmounts it, which Landlock would forbid.
void confine(const std::vector<int>& folders, bool unmounts, const Log& log) {
  let_go_of_streams({});
  limit_resources();
  auto done = keep_capabilities({CAP_SYS_ADMIN, CAP_NET_ADMIN});
  std::vector<LandlockRule> rules{{"/proc/sys/net", -1, LandlockRule::Right::read}};
  for (const int folder : folders) rules.push_back({"", folder, LandlockRule::Right::remove_files});
  if (done && !unmounts) restrict_files(rules, false, log);
  AllowedCalls calls = library_calls();
  allow_all_of(calls, helper_calls(true));
  allow_all_of(calls, removing_calls(folders));
  if (unmounts) allow_all_of(calls, unmounting_calls());
  if (done) done = install_filter(calls);
  if (!done) log.debug("the child inside is not confined: {}", done.error().message);
}

// The rest of a child's life: what is asked of it, until the program is gone. The namespace is not held by
// it, nor anything that the caller waits for, such as the other end of --ready-fd. False: it could not be
// left.
bool stay(HandedOver own, const Channel& channel, const HelperSettings& helpers, bool unmounts,
          const Log& log) {
  const std::vector<int> folders = folders_of(own.files);
  std::vector<int> kept = folders;
  kept.insert(kept.end(), {channel.fd(), own.tap.get()});
  close_all_but(kept);
  become_opaque();  // out of reach of the guest's debuggers
  const bool left = ::unshare(CLONE_NEWNET) == 0;
  if (left) {
    GuestHelper helper(std::move(own.tap));
    if (helpers.confined) confine(folders, unmounts, log);
    helper.serve(channel);
  } else {
    log.warning(
        "cannot leave the namespace: {}; ports to its own loopback will not work (raise the limit with "
        "sysctl "
        "user.max_net_namespaces)",
        reason(errno));
    if (!unmounts) return false;
    while (channel.receive()) {  // PATH stays for as long as the program does
    }
  }
  remove_files(own.files);  // the keeper does so as well; it may be the one that was killed
  return left;
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

// For start_kept(): a child that lives as `life` says.
std::function<Result<pid_t>(KeptStart&)> forking(const std::function<int(const Channel&)>& life) {
  return [life](KeptStart& ends) -> Result<pid_t> {
    const pid_t child = ::fork();
    if (child < 0) return fail("cannot fork: {}; raise the limit of processes (ulimit -u)", reason(errno));
    if (child == 0) {
      ends.close_others();
      ::_exit(life(ends.child));
    }
    return child;
  };
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

int live_on_path(const NetworkSettings& settings, const std::string& path, const HelperSettings& helpers,
                 const Channel& channel, const Log& log) {
  close_all_but({channel.fd()});  // such as --ready-fd, whose reader waits for its end
  auto tap = create_on_path(settings, path, log);
  const MountedNamespace mount = MountedNamespace::on(path);
  const bool mounted = tap.has_value();
  HandedOver own = hand_over(settings, std::move(tap), channel, log);
  // The namespace is PATH's from here on. Staying in it would keep it alive after it was unmounted by others.
  if (own.tap) static_cast<void>(stay(std::move(own), channel, helpers, true, log));
  if (mounted) static_cast<void>(mount.unmount());  // as for the files
  return mounted ? 0 : 1;
}

}  // namespace

Result<Inside> start_attached(const NetworkSettings& settings, const std::string& target,
                              const std::string& userns_path, const std::optional<HelperSettings>& helpers,
                              const Log& log) {
  // First of all, so that a number that changes hands meanwhile is seen as the end of the first one.
  auto end = TargetEnd::watch(target);
  auto found = open_target(target, userns_path);
  if (!found) return tl::unexpected(found.error());
  const auto life = [&](const Channel& channel) {
    // Out of reach of the namespace's debuggers, before it is in there.
    become_opaque();
    auto joined = join(*found);
    *found = {};
    HandedOver own = hand_over(
        settings, joined ? open_and_configure(settings, log) : tl::unexpected(joined.error()), channel, log);
    if (!own.tap) return 1;
    if (helpers) static_cast<void>(stay(std::move(own), channel, *helpers, false, log));
    return 0;
  };
  auto inside =
      helpers ? start_kept({}, *helpers, {end ? end->fd() : -1, found->network.get(), found->user.get()},
                           forking(life), log)
              : start_child(life);
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

Result<Inside> start_path(const NetworkSettings& settings, const std::string& path,
                          const HelperSettings& helpers, const Log& log) {
  auto resolved = check_path(path);
  if (!resolved) return tl::unexpected(resolved.error());
  KeeperSettings keeper;
  keeper.mount = *resolved;
  return start_kept(keeper, helpers, {}, forking([&](const Channel& channel) {
                      return live_on_path(settings, *resolved, helpers, channel, log);
                    }),
                    log);
}

}  // namespace sf::setup
