#include "setup/sandbox.hh"

#include <fcntl.h>
#include <sched.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <type_traits>

#include "setup/leak_check.hh"
#include "setup/namespaces.hh"
#include "setup/posix.hh"
#include "setup/sandbox_root.hh"

namespace sf::setup {
namespace {

using Capabilities = std::unique_ptr<std::remove_pointer_t<cap_t>, int (*)(void*)>;

bool has(cap_value_t capability, cap_flag_t set) {
  const Capabilities now(::cap_get_proc(), ::cap_free);
  cap_flag_value_t value = CAP_CLEAR;
  return now != nullptr && ::cap_get_flag(now.get(), capability, set, &value) == 0 && value == CAP_SET;
}

// One id, root's in there, which is this user outside. The capabilities in it are what the mounts need.
Result<void> make_user_namespace() {
  const uid_t user = ::geteuid();
  const gid_t group = ::getegid();
  if (::unshare(CLONE_NEWUSER) != 0) {
    return tl::unexpected(explain_user_namespace(errno, read_user_namespace_limits()));
  }
  // user_namespaces(7): without setgroups(2), a user may map the own group.
  for (const auto& [file, text] : {std::pair("/proc/self/setgroups", std::string("deny")),
                                   std::pair("/proc/self/uid_map", fmt::format("0 {} 1", user)),
                                   std::pair("/proc/self/gid_map", fmt::format("0 {} 1", group))}) {
    if (const int error = write_text(file, text); error != 0) {
      return fail("cannot make the sandbox's user namespace: writing {}: {}; is /proc mounted writable?",
                  file, reason(error));
    }
  }
  return {};
}

tl::unexpected<Error> cannot_drop(const char* what) {
  return fail("cannot give up capabilities: {}: {}; this needs CAP_SETPCAP", what, reason(errno));
}

Result<void> drop_capabilities(const std::vector<int>& kept, bool bounding_as_well) {
  for (cap_value_t each = 0; each < ::cap_max_bits(); ++each) {
    if (std::ranges::find(kept, each) != kept.end() || ::cap_get_bound(each) <= 0) continue;
    if (::cap_drop_bound(each) == 0) continue;
    if (bounding_as_well) return cannot_drop("the bounding set");
    break;
  }
  // EINVAL: Linux before 4.3 has no ambient set.
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL) {
    return cannot_drop("the ambient set");
  }
  const Capabilities left(::cap_init(), ::cap_free);
  if (left == nullptr) return cannot_drop("no memory");
  for (const cap_value_t each : kept) {
    if (!has(each, CAP_PERMITTED)) continue;
    for (const cap_flag_t set : {CAP_EFFECTIVE, CAP_PERMITTED, CAP_INHERITABLE}) {
      if (::cap_set_flag(left.get(), set, 1, &each, CAP_SET) != 0) return cannot_drop("cap_set_flag");
    }
  }
  if (::cap_set_proc(left.get()) != 0) return cannot_drop("capset");
  return {};
}

Result<void> set_no_new_privileges() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) return {};
  return fail("cannot set NO_NEW_PRIVS for the sandbox: {}; this kernel is too old", reason(errno));
}

}  // namespace

Result<void> enter_sandbox(const SandboxSettings& settings, const Log& log) {
  if (!has(CAP_SYS_ADMIN, CAP_EFFECTIVE)) {
    if (auto made = make_user_namespace(); !made) return made;
  }
  end_leak_check();
  if (auto entered = enter_small_root(settings, log); !entered) return entered;
  if (auto dropped = drop_capabilities({CAP_NET_BIND_SERVICE}, true); !dropped) return dropped;
  return set_no_new_privileges();
}

Result<void> keep_capabilities(const std::vector<int>& kept) {
  end_leak_check();
  if (auto dropped = drop_capabilities(kept, false); !dropped) return dropped;
  return set_no_new_privileges();
}

void become_opaque() {
  static_cast<void>(::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
}

void limit_resources() {
  const rlimit none{};
  static_cast<void>(::setrlimit(RLIMIT_NPROC, &none));
  static_cast<void>(::setrlimit(RLIMIT_CORE, &none));
}

void let_go_of_streams(const std::vector<int>& kept) {
  const UniqueFd null = open_fd("/dev/null", O_RDWR);
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO}) {
    if (null && std::ranges::find(kept, stream) == kept.end()) static_cast<void>(::dup2(null.get(), stream));
  }
  if (::isatty(STDERR_FILENO) == 0) return;
  // What is typed there is none of ours.
  const UniqueFd write_only = open_fd("/proc/self/fd/2", O_WRONLY | O_NOCTTY);
  if (write_only) static_cast<void>(::dup2(write_only.get(), STDERR_FILENO));
}

void close_all_but(std::vector<int> kept) {
  std::ranges::sort(kept);
  unsigned from = STDERR_FILENO + 1;
  for (const int fd : kept) {
    if (fd < static_cast<int>(from)) continue;
    const auto number = static_cast<unsigned>(fd);
    if (number > from) static_cast<void>(::close_range(from, number - 1, 0));
    from = number + 1;
  }
  static_cast<void>(::close_range(from, ~0U, 0));
}

}  // namespace sf::setup
