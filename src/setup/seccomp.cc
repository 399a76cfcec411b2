#include "setup/seccomp.hh"

#include <seccomp.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
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
int add_rule(scmp_filter_ctx filter, const AllowedCall& call) {
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

// Each once, and none with conditions that another module has without.
AllowedCalls merged(const AllowedCalls& calls) {
  AllowedCalls result;
  for (const AllowedCall& call : calls) {
    const auto covers = [&call](const AllowedCall& other) {
      return std::string_view(other.name) == call.name &&
             (other.arguments.empty() || other.arguments == call.arguments);
    };
    if (std::ranges::any_of(result, covers)) continue;
    if (call.arguments.empty()) {
      std::erase_if(result,
                    [&call](const AllowedCall& other) { return std::string_view(other.name) == call.name; });
    }
    result.push_back(call);
  }
  return result;
}

}  // namespace

Result<void> install_filter(const AllowedCalls& calls) {
  const Filter filter(::seccomp_init(SCMP_ACT_KILL_PROCESS), ::seccomp_release);
  if (filter == nullptr) return cannot("seccomp_init", ENOMEM);
  // Calls by another architecture's numbers, such as i386's.
  if (const int error = -::seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
      error != 0) {
    return cannot("the architecture", error);
  }
  // A tree over the numbers instead of a list: there are over a hundred rules. Older libraries have lists
  // only.
  static_cast<void>(::seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2));
  // All threads, or none: those of --threads are there by now (cli/confinement.cc).
  if (const int error = -::seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1); error != 0) {
    return cannot("for all threads", error);
  }
  // Without the brake on speculation that kernels before 5.16 would add: it is for processes that run code of
  // strangers beside secrets, and costs on every packet. Libraries before 2.5 do not know it.
  static_cast<void>(::seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_SSB, 1));
  for (const AllowedCall& call : merged(calls)) {
    if (const int error = add_rule(filter.get(), call); error != 0) return cannot(call.name, error);
  }
  if (const int error = -::seccomp_load(filter.get()); error != 0) return cannot("loading it", error);
  end_leak_check();
  return {};
}

}  // namespace sf::setup
