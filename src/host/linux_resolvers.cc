#include "host/linux_resolvers.hh"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/unique_fd.hh"

namespace sf::host {
namespace {

constexpr std::size_t kMaxFileSize = 64 * 1024;

std::optional<std::string> read_file(int fd) {
  std::string text;
  std::array<char, 4096> buffer;
  while (text.size() < kMaxFileSize) {
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::nullopt;
    if (count == 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
  return text;
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

}  // namespace

ResolvConf::ResolvConf(std::string path, std::vector<Endpoint> servers_override, Reader reader)
    : path_(std::move(path)),
      reader_(std::move(reader)),
      servers_override_(std::move(servers_override)),
      resolvers_(parse_resolv_conf({})) {
  if (!servers_override_.empty()) resolvers_.servers = servers_override_;
}

const Resolvers& ResolvConf::get(Time now) {
  if (!looked_ || now - *looked_ >= 1s) {
    looked_ = now;
    refresh();
  }
  return resolvers_;
}

void ResolvConf::take(const std::string& text) {
  resolvers_ = parse_resolv_conf(text);
  if (!servers_override_.empty()) resolvers_.servers = servers_override_;
}

void ResolvConf::refresh() {
  if (reader_) {
    if (const auto text = reader_()) take(*text);
    return;
  }
  struct stat status {};
  // Follows symbolic links: systemd-resolved and others replace what the link points to.
  if (::stat(path_.c_str(), &status) != 0) return;
  if (seen_ && same_file(*seen_, status)) return;
  const UniqueFd file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return;
  const auto text = read_file(file.get());
  if (!text) return;
  seen_ = status;
  take(*text);
}

}  // namespace sf::host
