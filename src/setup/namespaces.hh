// Namespaces: why they cannot be made, and how those of others are joined.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/result.hh"
#include "base/unique_fd.hh"

namespace sf::setup {

// The sysctls that can forbid user namespaces; absent where the kernel has not got them.
struct UserNamespaceLimits {
  std::optional<long> max_user_namespaces;  // user.max_user_namespaces
  std::optional<long> unprivileged_clone;   // kernel.unprivileged_userns_clone (Debian)
  std::optional<long> apparmor_restrict;    // kernel.apparmor_restrict_unprivileged_userns (Ubuntu)
};

[[nodiscard]] UserNamespaceLimits read_user_namespace_limits();

// The line for a user namespace that was refused with `error`, or that came without rights.
[[nodiscard]] Error explain_user_namespace(int error, const UserNamespaceLimits& limits);

// The line for unshare(2) of `what` having failed with `error`.
[[nodiscard]] tl::unexpected<Error> explain_unshare(const std::string& what, int error);

// A namespace of somebody else's, by descriptors. Held only until it has been joined: what holds a namespace
// keeps it from ending.
struct Target {
  UniqueFd network;
  UniqueFd user;  // its owner, or what --userns-path names; empty where this process is in it already
};

// `target` is a process id where it is all digits, else a path. `userns_path` may be empty.
[[nodiscard]] Result<Target> open_target(const std::string& target, const std::string& userns_path);

// Joins both for the calling process, which has to have one thread.
[[nodiscard]] Result<void> join(const Target& target);

// A namespace that is bind-mounted on a file, told apart from others that may be mounted there later.
struct MountedNamespace {
  std::string path;
  dev_t device = 0;
  ino_t inode = 0;

  // What is mounted on `path` now.
  [[nodiscard]] static MountedNamespace on(const std::string& path);
  // Unmounts it where it is still there. An errno, or 0.
  [[nodiscard]] int unmount() const;
};

// Unmounts whatever network namespace is mounted on `path`, if any. An errno, or 0.
[[nodiscard]] int unmount_namespace(const std::string& path);

// True for descriptors of namespaces, and of the kind `type` (CLONE_NEWNET...) where it is not 0.
[[nodiscard]] bool is_namespace(int fd, int type);

}  // namespace sf::setup
