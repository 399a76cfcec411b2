#include "setup/seccomp.hh"

#include <seccomp.h>

#include <memory>
#include <type_traits>

#include "setup/leak_check.hh"
#include "setup/posix.hh"

namespace sf::setup {
namespace {

using Filter = std::unique_ptr<std::remove_pointer_t<scmp_filter_ctx>, void (*)(scmp_filter_ctx)>;

tl::unexpected<Error> cannot(const std::string& step, int error) {
  return fail(
      "cannot install the system call filter: {}: {}; it needs Linux 4.14 with CONFIG_SECCOMP_FILTER: try "
      "without seccomp",
      step, reason(error));
}

// 0, or an errno.
int allow(scmp_filter_ctx filter, const AllowedCall& call) {
  const int number = ::seccomp_syscall_resolve_name(call.name);
  // Unknown to this libseccomp, or not there on this machine (where numbers are negative): nobody calls it.
  if (number < 0) return 0;
  std::vector<scmp_arg_cmp> conditions;
  conditions.reserve(call.arguments.size());
  for (const ArgumentIs& argument : call.arguments) {
    conditions.push_back({argument.number, SCMP_CMP_MASKED_EQ, argument.mask, argument.value});
  }
  return -::seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, number, static_cast<unsigned>(conditions.size()),
                                   conditions.data());
}

}  // namespace

Result<void> install_filter(const SeccompSettings& settings) {
  const Filter filter(::seccomp_init(SCMP_ACT_KILL_PROCESS), ::seccomp_release);
  if (filter == nullptr) return cannot("seccomp_init", ENOMEM);
  // Calls by another architecture's numbers, such as i386's.
  if (const int error = -::seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
      error != 0) {
    return cannot("the architecture", error);
  }
  // Shards' threads are there already.
  if (const int error = -::seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1); error != 0) {
    return cannot("all threads", error);
  }
  // A tree over the numbers instead of a list: there are over a hundred rules. Older libraries have lists
  // only.
  static_cast<void>(::seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2));
  for (const AllowedCall& call : allowed_calls(settings)) {
    if (const int error = allow(filter.get(), call); error != 0) return cannot(call.name, error);
  }
  if (const int error = -::seccomp_load(filter.get()); error != 0) return cannot("loading it", error);
  end_leak_check();
  return {};
}

}  // namespace sf::setup
