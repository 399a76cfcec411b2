// Theory of operation. In a new mount namespace, what is to stay is opened; then a tmpfs covers kStage, which
// the program does not need any more; then what is to stay is bound into the tmpfs through the descriptors,
// and the tmpfs becomes the root.
//
// Binds are recursive, because a user namespace may not show what the host's mounts cover. Mounts go on
// coming and going with the host's (slaves), or we would keep alive what the host has unmounted. Where they
// do not, because whoever started us has private mounts, the ones that matter are taken away: mounted network
// namespaces, whose end is what we wait for.
#include "setup/sandbox_root.hh"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <optional>
#include <sstream>
#include <string_view>

#include "setup/namespaces.hh"
#include "setup/posix.hh"

namespace sf::setup {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStage = "/dev";  // there wherever this program can run
constexpr unsigned long kHarmless = MS_NOSUID | MS_NODEV | MS_NOEXEC;
constexpr int kMaxLinks = 40;  // as the kernel has it

std::string through(const UniqueFd& fd) {
  return fmt::format("/proc/self/fd/{}", fd.get());
}

tl::unexpected<Error> cannot(const std::string& step, int error) {
  const UserNamespaceLimits limits = read_user_namespace_limits();
  if ((error == EPERM || error == EACCES) && limits.apparmor_restrict.value_or(0) != 0) {
    return tl::unexpected(explain_user_namespace(error, limits));
  }
  return fail(
      "cannot make the sandbox: {}: {}; a container's seccomp profile or a security module may forbid it: "
      "try "
      "without the sandbox",
      step, reason(error));
}

struct Source {
  std::string path;  // in the new root
  UniqueFd fd;       // outside
  bool folder = true;
};

bool is_below(const std::string& path, const std::string& folder) {
  return path.starts_with(folder + "/");
}

bool is_kept(const std::string& path, const SandboxSettings& settings) {
  return std::ranges::any_of(settings.folders, [&](const auto& folder) { return is_below(path, folder); });
}

// What a path leads to outside of the kept folders: the links on the way, and the file.
struct Way {
  std::vector<std::pair<std::string, std::string>> links;  // path and text
  std::string file;                                        // empty: in a kept folder, or nowhere
};

// The first part of `path` that is a symbolic link, with its text. What is before it has no links.
std::optional<std::pair<std::string, std::string>> first_link(const std::string& path) {
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    std::array<char, PATH_MAX> text;
    const ssize_t size = ::readlink(part.c_str(), text.data(), text.size());
    if (size > 0) return std::pair(part, std::string(text.data(), static_cast<std::size_t>(size)));
    if (end == std::string::npos) return std::nullopt;
  }
}

Way follow(std::string path, const SandboxSettings& settings) {
  Way way;
  for (int links = 0; links <= kMaxLinks; ++links) {
    path = fs::path(path).lexically_normal();
    const auto link = first_link(path);
    if (!link) {
      if (!is_kept(path, settings)) way.file = path;
      return way;
    }
    const auto& [at, text] = *link;
    if (!is_kept(at, settings)) way.links.push_back(*link);
    path = (fs::path(at).parent_path() / text).string() + path.substr(at.size());
  }
  return way;
}

Result<void> bind(const UniqueFd& source, const std::string& target) {
  if (::mount(through(source).c_str(), target.c_str(), nullptr, MS_BIND | MS_REC, nullptr) == 0) return {};
  return cannot(fmt::format("binding {}", target.substr(std::string_view(kStage).size())), errno);
}

// Folders as mkdir -p makes them, below the stage.
Result<void> make_folder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return cannot(fmt::format("creating {}", path), error.value());
  return {};
}

Result<void> put(const Source& source) {
  const std::string target = kStage + source.path;
  if (auto made = make_folder(source.folder ? target : fs::path(target).parent_path().string()); !made)
    return made;
  if (!source.folder) {
    const UniqueFd created(::open(target.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0444));
    if (!created) return cannot(fmt::format("creating {}", target), errno);
  }
  return bind(source.fd, target);
}

Result<void> put_link(const std::string& path, const std::string& text) {
  const std::string target = kStage + path;
  if (auto made = make_folder(fs::path(target).parent_path()); !made) return made;
  if (::symlink(text.c_str(), target.c_str()) == 0 || errno == EEXIST) return {};
  return cannot(fmt::format("creating the link {}", path), errno);
}

// A descriptor of a folder that this process has open, such as a control socket's.
struct OpenFolder {
  int number = -1;
  UniqueFd again;  // the same folder, as this mount namespace has it; empty: it is nowhere
};

bool same_folder(int a, int b) {
  struct stat one {};
  struct stat other {};
  return ::fstat(a, &one) == 0 && ::fstat(b, &other) == 0 && one.st_dev == other.st_dev &&
         one.st_ino == other.st_ino;
}

Result<std::vector<OpenFolder>> open_folders() {
  std::vector<int> numbers;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd", error)) {
    int number = -1;
    const std::string name = entry.path().filename();
    std::from_chars(name.data(), name.data() + name.size(), number);
    numbers.push_back(number);
  }
  // Before any other is opened: the one by which this was read is closed by now, and its number is free.
  std::erase_if(numbers, [](int number) {
    struct stat status {};
    return ::fstat(number, &status) != 0 || !S_ISDIR(status.st_mode);
  });
  if (error)
    return fail("cannot make the sandbox: reading /proc/self/fd: {}; is /proc mounted?", error.message());
  std::vector<OpenFolder> found;
  for (const int number : numbers) {
    const std::string path = fs::read_symlink(fmt::format("/proc/self/fd/{}", number), error);
    UniqueFd again = open_fd(path, O_PATH | O_DIRECTORY);
    if (again && !same_folder(again.get(), number)) again.reset();
    found.push_back({number, std::move(again)});
  }
  return found;
}

// Puts a descriptor in its place from which ".." leads nowhere: the root of a mount of its own that is
// mounted nowhere. A folder that cannot be found again is replaced by the empty root.
Result<void> confine(const OpenFolder& folder, const UniqueFd& root) {
  const std::string place = std::string(kStage) + "/folder";
  if (auto made = make_folder(place); !made) return made;
  UniqueFd confined;
  if (folder.again) {
    if (auto bound = bind(folder.again, place); !bound) return bound;
    confined = open_fd(place, O_PATH | O_DIRECTORY);
    if (::umount2(place.c_str(), MNT_DETACH) != 0) return cannot("unmounting a folder", errno);
  }
  if (::dup3(confined ? confined.get() : root.get(), folder.number, O_CLOEXEC) < 0) {
    return cannot("replacing the descriptor of a folder", errno);
  }
  if (::rmdir(place.c_str()) != 0) return cannot("removing a folder", errno);
  return {};
}

// proc(5): what would end a field is written as a backslash and three octal digits.
std::string unescape(const std::string& field) {
  std::string text;
  for (std::size_t at = 0; at < field.size(); ++at) {
    unsigned code = 0;
    if (field[at] == '\\' && at + 3 < field.size() &&
        std::from_chars(field.data() + at + 1, field.data() + at + 4, code, 8).ptr == field.data() + at + 4) {
      text += static_cast<char>(code);
      at += 3;
    } else {
      text += field[at];
    }
  }
  return text;
}

// A line has a mount's place in its fifth field, and its type after a dash.
void unmount_namespaces() {
  std::istringstream lines(read_text("/proc/self/mountinfo").value_or(""));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    const std::vector<std::string> words(std::istream_iterator<std::string>(fields), {});
    const auto dash = std::ranges::find(words, "-");
    if (words.size() < 5 || words.end() - dash < 2 || *(dash + 1) != "nsfs") continue;
    // Refused where it came with us into a user namespace. Those of the host's own users are shared mounts,
    // and go with theirs.
    const std::string place = unescape(words[4]);
    if (is_below(place, kStage)) static_cast<void>(::umount2(place.c_str(), MNT_DETACH));
  }
}

// Those of a mount's flags that a user namespace may not change.
unsigned long time_flags(const std::string& path) {
  struct statvfs status {};
  if (::statvfs(path.c_str(), &status) != 0) return 0;
  const auto flag = [&](unsigned long set, unsigned long wanted) {
    return (status.f_flag & set) != 0 ? wanted : 0UL;
  };
  return flag(ST_NOATIME, MS_NOATIME) | flag(ST_NODIRATIME, MS_NODIRATIME) | flag(ST_RELATIME, MS_RELATIME);
}

// Linux before 5.12: what is mounted below the folders keeps its own flags.
Result<void> make_read_only_one_by_one(const SandboxSettings& settings, const Log& log) {
  std::vector<std::string> mounts = settings.folders;
  mounts.emplace_back("/");
  for (const std::string& path : mounts) {
    const unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY | kHarmless | time_flags(path);
    if (::mount(nullptr, path.c_str(), nullptr, flags, nullptr) != 0 && errno != ENOENT) {
      return cannot(fmt::format("making {} read-only", path), errno);
    }
  }
  log.warning(
      "this kernel has no mount_setattr(2): file systems mounted below {} stay writable in the sandbox",
      settings.folders.empty() ? "/" : settings.folders.back());
  return {};
}

Result<void> make_read_only(const SandboxSettings& settings, const Log& log) {
  struct mount_attr wanted {};
  wanted.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  if (::mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &wanted, sizeof(wanted)) == 0) return {};
  if (errno == ENOSYS) return make_read_only_one_by_one(settings, log);
  return cannot("making it read-only", errno);
}

Result<void> build(const UniqueFd& root, const std::vector<Source>& sources, const Way& way,
                   const std::vector<OpenFolder>& folders) {
  for (const Source& source : sources) {
    if (auto done = put(source); !done) return done;
  }
  for (const auto& [path, text] : way.links) {
    if (auto done = put_link(path, text); !done) return done;
  }
  for (const OpenFolder& folder : folders) {
    if (auto done = confine(folder, root); !done) return done;
  }
  unmount_namespaces();
  return {};
}

}  // namespace

Result<void> enter_small_root(const SandboxSettings& settings, const Log& log) {
  if (::unshare(CLONE_NEWNS) != 0) return cannot("a mount namespace", errno);
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) return cannot("its mounts", errno);

  auto folders = open_folders();  // before there are any of ours
  if (!folders) return tl::unexpected(folders.error());
  std::vector<Source> sources;
  for (const std::string& path : settings.folders) {
    UniqueFd fd = open_fd(path, O_PATH | O_DIRECTORY);
    if (fd) sources.push_back({path, std::move(fd), true});
  }
  const Way way = settings.file.empty() ? Way{} : follow(settings.file, settings);
  std::error_code unknown;  // where it cannot be looked at, it cannot be opened either
  if (!way.file.empty() && !fs::is_directory(way.file, unknown)) {
    if (UniqueFd fd = open_fd(way.file, O_PATH); fd) sources.push_back({way.file, std::move(fd), false});
  }

  if (::mount("tmpfs", kStage, "tmpfs", kHarmless, "size=64k,mode=0755") != 0)
    return cannot("a tmpfs", errno);
  const UniqueFd root = open_fd(kStage, O_PATH | O_DIRECTORY);
  if (!root) return cannot("opening its root", errno);
  if (auto built = build(root, sources, way, *folders); !built) return built;

  // The old root comes to lie on top of the new one, in the same place, and is then taken away.
  if (::fchdir(root.get()) != 0) return cannot("entering its root", errno);
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return cannot("pivot_root", errno);
  if (::umount2(".", MNT_DETACH) != 0) return cannot("unmounting the old root", errno);
  if (::chdir("/") != 0) return cannot("entering its root", errno);
  return make_read_only(settings, log);
}

}  // namespace sf::setup
