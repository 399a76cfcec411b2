#include "link/bess.hh"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace sf::link {
namespace {

bool is_closed(int socket) {
  pollfd state{socket, POLLRDHUP, 0};
  return ::poll(&state, 1, 0) > 0 && (state.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

}  // namespace

Result<std::unique_ptr<Bess>> Bess::listen(const std::string& path) {
  std::unique_ptr<Bess> bess(new Bess);
  if (auto done = bess->listen_at(path); !done) return tl::unexpected(done.error());
  return bess;
}

Result<void> Bess::listen_at(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return fail("cannot listen at '{}': a socket's path has 1 to {} bytes; choose a shorter one", path,
                sizeof(address.sun_path) - 1);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  const auto failed = [&path](const char* what) {
    return fail("cannot listen at {}: {}: {}; is that a folder you may write to?", path, what,
                std::strerror(errno));
  };
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const std::string file = slash == std::string::npos ? path : path.substr(slash + 1);
  directory_.reset(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory_) return failed("its folder");
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode)) {
      return fail(
          "cannot listen at {}: there is a file that is not a socket; remove it, or choose another path",
          path);
    }
    if (::unlink(path.c_str()) != 0) return failed("removing the old socket");
  }
  listener_.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!listener_ || !epoll_) return failed("a socket");
  // The file takes the socket's mode (less the umask), so that it is never there with a wider one.
  if (::fchmod(listener_.get(), 0600) != 0) return failed("fchmod");
  if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return failed("bind");
  }
  if (::fstatat(directory_.get(), file.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return failed("stat");
  file_ = file;
  device_ = status.st_dev;
  inode_ = status.st_ino;
  if (::listen(listener_.get(), 1) != 0) return failed("listen");
  watch(EPOLL_CTL_ADD, listener_.get(), EPOLLIN);
  return {};
}

Bess::~Bess() {
  struct stat status {};
  if (file_.empty() || ::fstatat(directory_.get(), file_.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return;
  if (status.st_dev == device_ && status.st_ino == inode_) ::unlinkat(directory_.get(), file_.c_str(), 0);
}

void Bess::watch(int operation, int fd, std::uint32_t events) const {
  epoll_event event{};
  event.events = events;
  static_cast<void>(::epoll_ctl(epoll_.get(), operation, fd, &event));
}

bool Bess::accept_peer() {
  if (!listener_) return false;
  peer_.reset(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!peer_) return false;
  listener_.reset();  // one peer: the next one is refused
  watch(EPOLL_CTL_ADD, peer_.get(), EPOLLIN | EPOLLRDHUP);
  return true;
}

Status Bess::receive(MutBytes buffer, Frame& frame) {
  if (!peer_ && !accept_peer()) return Status::empty;
  send_waiting();
  while (true) {
    const ssize_t count = ::recv(peer_.get(), buffer.data(), buffer.size(), 0);
    if (count > 0) {
      frame.bytes = buffer.first(static_cast<std::size_t>(count));
      frame.offload = {};
      return Status::ok;
    }
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const bool passing = errno == EAGAIN || errno == ENOMEM || errno == ENOBUFS;
      return passing ? Status::empty : Status::gone;
    }
    if (is_closed(peer_.get())) return Status::gone;  // else a packet without a byte
  }
}

Status Bess::send(std::span<const Bytes> parts, const wire::Offload&) {
  if (!peer_ || parts.size() > kMaxParts) return Status::dropped;
  std::array<iovec, kMaxParts> vectors;
  std::size_t used = 0;
  for (const Bytes part : parts) vectors[used++] = {const_cast<std::uint8_t*>(part.data()), part.size()};
  msghdr message{};
  message.msg_iov = vectors.data();
  message.msg_iovlen = used;
  while (waiting_.empty()) {
    if (::sendmsg(peer_.get(), &message, MSG_NOSIGNAL) >= 0) return Status::ok;
    if (errno == EINTR) continue;
    if (errno == EPIPE || errno == ECONNRESET) return Status::gone;
    if (errno != EAGAIN) return Status::dropped;
    watch(EPOLL_CTL_MOD, peer_.get(), EPOLLIN | EPOLLRDHUP | EPOLLOUT);
    break;
  }
  if (waiting_.size() >= kMaxWaiting) return Status::dropped;
  std::vector<std::uint8_t>& frame = waiting_.emplace_back();
  for (const Bytes part : parts) frame.insert(frame.end(), part.begin(), part.end());
  return Status::ok;
}

void Bess::send_waiting() {
  if (waiting_.empty()) return;
  while (!waiting_.empty()) {
    const std::vector<std::uint8_t>& frame = waiting_.front();
    if (::send(peer_.get(), frame.data(), frame.size(), MSG_NOSIGNAL) < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return;
    }
    waiting_.pop_front();  // sent, or never to be
  }
  watch(EPOLL_CTL_MOD, peer_.get(), EPOLLIN | EPOLLRDHUP);
}

}  // namespace sf::link
