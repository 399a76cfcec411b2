#include "setup/namespaces.hh"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "setup/posix.hh"

namespace sf::setup {
namespace {

std::optional<long> read_sysctl(const char* name) {
  const auto text = read_text(std::string("/proc/sys/") + name);
  if (!text || text->empty()) return std::nullopt;
  return std::strtol(text->c_str(), nullptr, 10);
}

bool same_file(int a, int b) {
  struct stat one {};
  struct stat other {};
  return ::fstat(a, &one) == 0 && ::fstat(b, &other) == 0 && one.st_dev == other.st_dev &&
         one.st_ino == other.st_ino;
}

Result<UniqueFd> open_network(const std::string& target) {
  const bool is_pid = !target.empty() &&
                      std::all_of(target.begin(), target.end(), [](char c) { return c >= '0' && c <= '9'; });
  const std::string path = is_pid ? "/proc/" + target + "/ns/net" : target;
  UniqueFd fd = open_fd(path, O_RDONLY);
  const int error = errno;
  if (!fd && is_pid && error == ENOENT) {
    return fail(
        "cannot attach to process {}: there is no such process; check the number (a file of that name is "
        "./{})",
        target, target);
  }
  if (!fd && is_pid) {
    return fail(
        "cannot attach to process {}: {}; it must belong to this user, in a user namespace that this user "
        "made",
        target, reason(error));
  }
  if (!fd)
    return fail("cannot open '{}': {}; name a process id or a network namespace's file", target,
                reason(error));
  if (!is_namespace(fd.get(), CLONE_NEWNET)) {
    return fail(
        "cannot attach to '{}': it is not a network namespace; name a process id, or a file on which one is "
        "bind-mounted",
        target);
  }
  return fd;
}

// The user namespace to join, or none where this process is in it or above and no right to ask.
Result<UniqueFd> find_owner(const UniqueFd& network, const std::string& target) {
  UniqueFd owner(::ioctl(network.get(), NS_GET_USERNS));
  if (!owner) {
    const int error = errno;
    return fail(
        "cannot find the user namespace of '{}': {}; name it with --userns-path, or run this in the user "
        "namespace that made it",
        target, reason(error));
  }
  if (::fcntl(owner.get(), F_SETFD, FD_CLOEXEC) != 0) return fail("cannot set FD_CLOEXEC: {}", reason(errno));
  return owner;
}

}  // namespace

UserNamespaceLimits read_user_namespace_limits() {
  return {read_sysctl("user/max_user_namespaces"), read_sysctl("kernel/unprivileged_userns_clone"),
          read_sysctl("kernel/apparmor_restrict_unprivileged_userns")};
}

Error explain_user_namespace(int error, const UserNamespaceLimits& limits) {
  const auto line = [&](const char* advice) {
    return Error{fmt::format("cannot make a user namespace: {}; {}", reason(error), advice)};
  };
  if (limits.max_user_namespaces == 0) {
    return line("they are disabled: as root, sysctl user.max_user_namespaces=10000 enables them");
  }
  if (error == ENOSPC || error == EUSERS) {
    return line(
        "there are too many, or they are nested too deep: as root, raise sysctl user.max_user_namespaces");
  }
  if (limits.unprivileged_clone == 0) {
    return line(
        "they are disabled for users: as root, sysctl kernel.unprivileged_userns_clone=1 enables them");
  }
  if (limits.apparmor_restrict.value_or(0) != 0) {
    return line(
        "AppArmor restricts them: as root, sysctl kernel.apparmor_restrict_unprivileged_userns=0 lifts that, "
        "or add "
        "an AppArmor profile with 'userns,' for this program");
  }
  if (error == EINVAL) return line("this kernel has none (CONFIG_USER_NS)");
  return line("a container's seccomp profile, a chroot or a security module may forbid them");
}

tl::unexpected<Error> explain_unshare(const std::string& what, int error) {
  if (error == EPERM || error == EACCES) {
    const UserNamespaceLimits limits = read_user_namespace_limits();
    if (limits.apparmor_restrict.value_or(0) != 0)
      return tl::unexpected(explain_user_namespace(error, limits));
    return fail(
        "cannot make {}: {}; this needs a user namespace: use slirp-forwarder run, or start in one with: "
        "unshare -mr",
        what, reason(error));
  }
  if (error == ENOSPC) {
    return fail("cannot make {}: {}; as root, raise the limits below /proc/sys/user", what, reason(error));
  }
  return fail("cannot make {}: {}; check that this kernel has such namespaces", what, reason(error));
}

bool is_namespace(int fd, int type) {
  const int found = ::ioctl(fd, NS_GET_NSTYPE);
  return found >= 0 && (type == 0 || found == type);
}

MountedNamespace MountedNamespace::on(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return {path, 0, 0};
  return {path, info.st_dev, info.st_ino};
}

int MountedNamespace::unmount() const {
  const MountedNamespace now = on(path);
  if (now.device != device || now.inode != inode) return 0;
  return ::umount2(path.c_str(), MNT_DETACH) == 0 ? 0 : errno;
}

int unmount_namespace(const std::string& path) {
  const UniqueFd fd = open_fd(path, O_RDONLY | O_NONBLOCK);
  if (!fd || !is_namespace(fd.get(), CLONE_NEWNET)) return 0;
  return MountedNamespace::on(path).unmount();
}

Result<Target> open_target(const std::string& target, const std::string& userns_path) {
  auto network = open_network(target);
  if (!network) return tl::unexpected(network.error());
  const UniqueFd own_network = open_fd("/proc/self/ns/net", O_RDONLY);
  if (own_network && same_file(own_network.get(), network->get())) {
    return fail(
        "cannot attach to '{}': it is in the network namespace that this program is to use as the host's; "
        "name "
        "another one, or start this program outside of it",
        target);
  }
  Target found;
  found.network = *std::move(network);
  if (!userns_path.empty()) {
    found.user = open_fd(userns_path, O_RDONLY);
    if (!found.user) return fail("cannot open --userns-path '{}': {}", userns_path, reason(errno));
    if (!is_namespace(found.user.get(), CLONE_NEWUSER)) {
      return fail("--userns-path '{}': is not a user namespace; name a file such as /proc/PID/ns/user",
                  userns_path);
    }
  } else {
    auto owner = find_owner(found.network, target);
    if (!owner) return tl::unexpected(owner.error());
    found.user = *std::move(owner);
  }
  // setns(2) into the user namespace that a process is in already is EINVAL.
  const UniqueFd own = open_fd("/proc/self/ns/user", O_RDONLY);
  if (own && same_file(own.get(), found.user.get())) found.user.reset();
  return found;
}

Result<void> join(const Target& target) {
  if (target.user && ::setns(target.user.get(), CLONE_NEWUSER) != 0) {
    return fail(
        "cannot join the user namespace: {}; it must have been made by this user, or run this as root",
        reason(errno));
  }
  if (::setns(target.network.get(), CLONE_NEWNET) != 0) {
    return fail(
        "cannot join the network namespace: {}; run this as the user who made it, or name its user namespace "
        "with --userns-path",
        reason(errno));
  }
  return {};
}

}  // namespace sf::setup
