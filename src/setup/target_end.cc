#include "setup/target_end.hh"

#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "setup/posix.hh"

namespace sf::setup {
namespace {

constexpr std::string_view kProc = "/proc/";

// The process of "4711" and of "/proc/4711/ns/net".
std::optional<pid_t> process_of(std::string_view target) {
  const bool in_proc = target.starts_with(kProc);
  if (in_proc) target.remove_prefix(kProc.size());
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(target.data(), target.data() + target.size(), pid);
  const bool whole = end == target.data() + target.size();
  if (error != std::errc{} || pid <= 0 || (in_proc ? whole || *end != '/' : !whole)) return std::nullopt;
  return pid;
}

}  // namespace

Result<TargetEnd> TargetEnd::watch(const std::string& target) {
  TargetEnd end;
  if (const auto pid = process_of(target)) {
    end.fd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, *pid, 0U)));
    if (!end.fd_)
      return fail("cannot watch process {}: {}; Linux 5.3 or newer is needed", *pid, reason(errno));
    return end;
  }
  std::array<char, PATH_MAX> resolved{};
  if (::realpath(target.c_str(), resolved.data()) == nullptr) {
    return fail("cannot watch '{}': {}", target, reason(errno));
  }
  const std::string path = resolved.data();
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == 0 ? "/" : path.substr(0, slash);
  end.file_ = path.substr(slash + 1);
  end.fd_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!end.fd_ ||
      ::inotify_add_watch(end.fd_.get(), folder.c_str(), IN_DELETE | IN_MOVED_FROM | IN_ONLYDIR) < 0) {
    return fail("cannot watch the folder '{}': {}; raise sysctl fs.inotify.max_user_instances", folder,
                reason(errno));
  }
  return end;
}

bool TargetEnd::has_ended() {
  if (file_.empty()) return true;  // a pidfd is readable once, and for good
  alignas(inotify_event) std::array<char, 8192> buffer;
  ssize_t got = 0;
  while ((got = ::read(fd_.get(), buffer.data(), buffer.size())) > 0) {
    for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
      at += sizeof(inotify_event) + event->len;
      // The folder itself has gone, and so the file.
      if ((event->mask & IN_IGNORED) != 0) return true;
      if (event->len > 0 && file_ == event->name) return true;
    }
  }
  return false;
}

}  // namespace sf::setup
