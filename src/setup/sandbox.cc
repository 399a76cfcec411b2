#include "setup/sandbox.hh"

#include <sched.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <type_traits>

#include "setup/leak_check.hh"
#include "setup/namespaces.hh"
#include "setup/posix.hh"
#include "setup/sandbox_root.hh"

namespace sf::setup {
namespace {

constexpr cap_value_t kKept = CAP_NET_BIND_SERVICE;

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

Result<void> drop_capabilities() {
  const auto failed = [](const char* what) {
    return fail("cannot give up capabilities for the sandbox: {}: {}; this needs CAP_SETPCAP", what,
                reason(errno));
  };
  for (cap_value_t each = 0; each < ::cap_max_bits(); ++each) {
    if (each != kKept && ::cap_get_bound(each) > 0 && ::cap_drop_bound(each) != 0)
      return failed("the bounding set");
  }
  // EINVAL: Linux before 4.3 has no ambient set.
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL) {
    return failed("the ambient set");
  }
  const Capabilities left(::cap_init(), ::cap_free);
  if (left == nullptr) return failed("no memory");
  if (has(kKept, CAP_PERMITTED)) {
    for (const cap_flag_t set : {CAP_EFFECTIVE, CAP_PERMITTED, CAP_INHERITABLE}) {
      if (::cap_set_flag(left.get(), set, 1, &kKept, CAP_SET) != 0) return failed("cap_set_flag");
    }
  }
  if (::cap_set_proc(left.get()) != 0) return failed("capset");
  return {};
}

}  // namespace

Result<void> enter_sandbox(const SandboxSettings& settings, const Log& log) {
  if (!has(CAP_SYS_ADMIN, CAP_EFFECTIVE)) {
    if (auto made = make_user_namespace(); !made) return made;
  }
  end_leak_check();
  if (auto entered = enter_small_root(settings, log); !entered) return entered;
  if (auto dropped = drop_capabilities(); !dropped) return dropped;
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return fail("cannot set NO_NEW_PRIVS for the sandbox: {}; this kernel is too old", reason(errno));
  }
  return {};
}

}  // namespace sf::setup
