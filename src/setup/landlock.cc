#include "setup/landlock.hh"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/unique_fd.hh"
#include "setup/posix.hh"

namespace sf::setup {
namespace {

// landlock_ruleset_attr as of ABI 6; older kernels take a prefix of it. The headers of Debian 12 end before.
struct Ruleset {
  std::uint64_t files = 0;
  std::uint64_t network = 0;
  std::uint64_t scopes = 0;
};

// The rights to files that each ABI knows, as bits from 0 on.
constexpr unsigned kFileRights1 = 13;
constexpr unsigned kFileRights2 = 14;  // with refer
constexpr unsigned kFileRights3 = 15;  // with truncate
constexpr unsigned kFileRights5 = 16;  // with ioctl of devices
// From ABI 6 on.
constexpr std::uint64_t kScopeAbstractSockets = 1;
constexpr std::uint64_t kScopeSignals = 2;

std::uint64_t file_rights(long abi) {
  const unsigned count = abi >= 5   ? kFileRights5
                         : abi >= 3 ? kFileRights3
                         : abi == 2 ? kFileRights2
                                    : kFileRights1;
  return (std::uint64_t{1} << count) - 1;
}

bool add(int ruleset, const LandlockRule& rule) {
  const UniqueFd opened = rule.fd >= 0 ? UniqueFd() : open_fd(rule.path, O_PATH);
  landlock_path_beneath_attr beneath{};
  beneath.parent_fd = rule.fd >= 0 ? rule.fd : opened.get();
  beneath.allowed_access =
      rule.right == LandlockRule::Right::read ? LANDLOCK_ACCESS_FS_READ_FILE : LANDLOCK_ACCESS_FS_REMOVE_FILE;
  if (beneath.parent_fd < 0) return true;
  return ::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) == 0;
}

}  // namespace

bool restrict_files(const std::vector<LandlockRule>& rules, bool signals, const Log& log) {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (abi < 1) {
    log.debug("no Landlock here: {}", reason(errno));
    return false;
  }
  Ruleset wanted{file_rights(abi), 0, 0};
  if (abi >= 6) wanted.scopes = kScopeAbstractSockets | (signals ? 0 : kScopeSignals);
  const std::size_t size = abi >= 6   ? sizeof(wanted)
                           : abi >= 4 ? 2 * sizeof(std::uint64_t)
                                      : sizeof(std::uint64_t);
  const UniqueFd ruleset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &wanted, size, 0)));
  bool done = static_cast<bool>(ruleset);
  for (const LandlockRule& rule : rules) done = done && add(ruleset.get(), rule);
  done = done && ::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) == 0;
  if (!done) log.debug("Landlock (ABI {}) cannot be used: {}", abi, reason(errno));
  return done;
}

}  // namespace sf::setup
