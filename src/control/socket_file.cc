#include "control/socket_file.hh"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "control/client.hh"

namespace sf::control {
namespace {

// The directory of `path`, and the file's name in it.
std::pair<std::string, std::string> split(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

Result<void> remove_old(const std::string& path, bool keep_answering) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return {};  // bind says it, if it is worth saying
  if (!S_ISSOCK(status.st_mode)) {
    return fail(
        "cannot listen at {}: there is a file that is not a socket; remove it, or choose another path", path);
  }
  if (keep_answering && probe(path) != Answers::refused) {
    return fail("cannot listen at {}: another program does already; choose another path", path);
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return fail(
        "cannot listen at {}: removing the old socket: {}; remove it yourself, or choose another path", path,
        std::strerror(errno));
  }
  return {};
}

}  // namespace

Result<SocketFile> SocketFile::bind(int socket, const std::string& path, bool keep_answering) {
  const auto failed = [&path](const char* what) {
    return fail("cannot listen at {}: {}: {}; is that a directory you may write to?", path, what,
                std::strerror(errno));
  };
  sockaddr_un address;
  if (!make_address(path, address)) {
    return fail("cannot listen at '{}': a socket's path has 1 to {} bytes; choose a shorter one", path,
                sizeof(address.sun_path) - 1);
  }
  SocketFile file;
  const auto [folder, name] = split(path);
  file.folder_.reset(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!file.folder_) return failed("its directory");
  if (auto removed = remove_old(path, keep_answering); !removed) return tl::unexpected(removed.error());
  // The file takes the socket's mode (less the umask), so that it is never there with a wider one.
  if (::fchmod(socket, 0600) != 0) return failed("fchmod");
  if (::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    return failed("bind");
  struct stat status {};
  if (::fstatat(file.folder_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return failed("stat");
  file.name_ = name;
  file.device_ = status.st_dev;
  file.inode_ = status.st_ino;
  return file;
}

SocketFile::~SocketFile() {
  struct stat status {};
  if (name_.empty() || ::fstatat(folder_.get(), name_.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return;
  if (status.st_dev == device_ && status.st_ino == inode_) ::unlinkat(folder_.get(), name_.c_str(), 0);
}

}  // namespace sf::control
