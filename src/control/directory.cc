#include "control/directory.hh"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

#include "base/unique_fd.hh"
#include "control/client.hh"

namespace sf::control {
namespace {

constexpr std::string_view kSuffix = ".sock";

// The pid in a file name of ours, 0 in any other.
pid_t pid_in(std::string_view name) {
  if (!name.ends_with(kSuffix)) return 0;
  name.remove_suffix(kSuffix.size());
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
  const bool plain = error == std::errc{} && end == name.data() + name.size() && !name.starts_with('0');
  return plain && pid > 0 ? pid : 0;
}

bool is_directory(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

}  // namespace

std::optional<std::string> instance_directory(const std::optional<std::string>& xdg_runtime_dir) {
  std::string parent = xdg_runtime_dir.value_or("");
  if (!parent.starts_with('/')) {
    parent = fmt::format("/run/user/{}", ::getuid());
    if (!is_directory(parent)) return std::nullopt;
  }
  return parent + "/slirp-forwarder";
}

Result<void> make_instance_directory(const std::string& directory) {
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail("cannot make the directory {}: {}; without it slirp-forwarder ls does not find this instance",
                directory, std::strerror(errno));
  }
  // Through one descriptor, so that what is looked at is what is changed.
  const UniqueFd opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!opened || ::fstat(opened.get(), &status) != 0) {
    return fail("cannot use the directory {}: {}; remove what is in its place", directory,
                std::strerror(errno));
  }
  if (status.st_uid != ::geteuid()) {
    return fail("cannot use the directory {}: it belongs to user {}; set XDG_RUNTIME_DIR to one of your own",
                directory, status.st_uid);
  }
  if ((status.st_mode & 07777) != 0700 && ::fchmod(opened.get(), 0700) != 0) {
    return fail("cannot make the directory {} private: {}; give it the mode 0700", directory,
                std::strerror(errno));
  }
  return {};
}

std::string instance_socket(const std::string& directory, std::string_view pid) {
  return fmt::format("{}/{}{}", directory, pid, kSuffix);
}

std::string own_instance_socket(const std::string& directory) {
  return instance_socket(directory, std::to_string(::getpid()));
}

std::vector<FoundInstance> find_instances(const std::string& directory) {
  const auto close = [](DIR* opened) { ::closedir(opened); };
  const std::unique_ptr<DIR, decltype(close)> opened(::opendir(directory.c_str()), close);
  if (!opened) return {};
  std::vector<pid_t> found;
  while (const dirent* entry = ::readdir(opened.get())) {
    const pid_t pid = pid_in(entry->d_name);
    if (pid == 0) continue;
    const std::string path = instance_socket(directory, std::to_string(pid));
    switch (probe(path)) {
      case Answers::yes:
        found.push_back(pid);
        break;
      case Answers::refused:
        // One that is about to listen refuses as well; its process is alive.
        if (::kill(pid, 0) != 0 && errno == ESRCH) ::unlink(path.c_str());
        break;
      case Answers::absent:
      case Answers::unknown:
        break;
    }
  }
  std::ranges::sort(found);
  std::vector<FoundInstance> instances;
  instances.reserve(found.size());
  for (const pid_t pid : found) {
    instances.push_back({std::to_string(pid), instance_socket(directory, std::to_string(pid))});
  }
  return instances;
}

}  // namespace sf::control
