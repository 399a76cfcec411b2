// Theory of operation. A small tmpfs holds the file, and the file is bind-mounted over the name
// /etc/resolv.conf.
//
// Where that name is a symbolic link, the mount goes on the link itself and not on what it points to: O_PATH
// with O_NOFOLLOW yields the link, and /proc/self/fd names it as a mount point. A path walk that meets the
// link crosses the mount before it would follow. That serves absolute, relative and dangling links alike, and
// the file behind the link (systemd-resolved replaces its own by rename) may come and go. Where a kernel
// refuses it, the file behind the link is used.
//
// Where there is no such name at all there is nothing to mount on, and creating a file would show on the
// host. Then /etc is covered by a read-only overlay of our directory over the host's /etc.
//
// The tmpfs needs a place to be mounted on for a moment. /etc itself is one that always exists; what was
// opened in it before stays reachable through its descriptors, and the tmpfs is detached from there when it
// has served: the bind mount keeps it. (An overlay stands on top of the tmpfs, because the kernel stacks
// mounts on one place: there it stays.)
#include "setup/resolv_conf_mount.hh"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "setup/posix.hh"

namespace sf::setup {
namespace {

std::string through(const UniqueFd& fd) {
  return fmt::format("/proc/self/fd/{}", fd.get());
}

tl::unexpected<Error> cannot(const std::string& path, const char* step, int error) {
  return fail(
      "cannot replace {} inside: {}: {}; names will be looked up as on the host (--no-dns avoids this)", path,
      step, reason(error));
}

// Takes the tmpfs away from where it was put, unless it is to stay.
class Detach {
 public:
  explicit Detach(std::string where) : where_(std::move(where)) {}
  Detach(const Detach&) = delete;
  Detach& operator=(const Detach&) = delete;
  ~Detach() {
    if (!where_.empty()) static_cast<void>(::umount2(where_.c_str(), MNT_DETACH));
  }
  void keep() { where_.clear(); }

 private:
  std::string where_;
};

Result<void> mount_over_name(const std::string& path, const std::string& source, const UniqueFd& name,
                             const UniqueFd& behind) {
  if (::mount(source.c_str(), through(name).c_str(), nullptr, MS_BIND, nullptr) == 0) return {};
  const int error = errno;
  if (behind && ::mount(source.c_str(), through(behind).c_str(), nullptr, MS_BIND, nullptr) == 0) return {};
  return cannot(path, "the bind mount failed", error);
}

}  // namespace

std::string resolv_conf_text(std::string_view host_text, const std::vector<Address>& servers) {
  std::string text;
  for (const Address& server : servers) text += fmt::format("nameserver {}\n", server.to_string());
  while (!host_text.empty()) {
    const std::size_t end = std::min(host_text.find('\n'), host_text.size());
    std::string_view line = host_text.substr(0, end);
    host_text.remove_prefix(std::min(end + 1, host_text.size()));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    const std::string_view word = line.substr(0, line.find_first_of(" \t"));
    for (const std::string_view kept : {"search", "domain", "options", "sortlist"}) {
      if (word == kept) text.append(line).append("\n");
    }
  }
  return text;
}

bool needs_mount(const std::string& path, const std::string& text) {
  return read_text(path) != text;
}

Result<void> mount_resolv_conf(const std::string& path, const std::string& text) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = path.substr(0, slash);
  const std::string file = path.substr(slash + 1);
  // Opened before the tmpfs hides them.
  const UniqueFd name = open_fd(path, O_PATH | O_NOFOLLOW);
  const UniqueFd behind = open_fd(path, O_PATH);
  const UniqueFd below = open_fd(directory, O_PATH | O_DIRECTORY);
  if (!below) return cannot(path, "its directory cannot be opened", errno);

  if (::mount("tmpfs", directory.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=256k,mode=0755") !=
      0) {
    return cannot(path, "a tmpfs cannot be mounted", errno);
  }
  const UniqueFd tmpfs = open_fd(directory, O_PATH | O_DIRECTORY);
  Detach detach(through(tmpfs));
  const std::string source = through(tmpfs) + "/" + file;
  const UniqueFd written(::open(source.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!written) return cannot(path, "the new file cannot be created", errno);
  if (const int error = write_all(written.get(), text); error != 0) {
    return cannot(path, "the new file cannot be written", error);
  }
  static_cast<void>(
      ::fchmod(written.get(), 0644));  // over the umask; a file that only root reads is still of use
  if (name) return mount_over_name(path, source, name, behind);

  const std::string layers = fmt::format("lowerdir={}:{}", through(tmpfs), through(below));
  if (::mount("overlay", through(below).c_str(), "overlay", MS_RDONLY, layers.c_str()) != 0) {
    return cannot(path, "it does not exist, and an overlay cannot be mounted", errno);
  }
  detach.keep();
  return {};
}

}  // namespace sf::setup
