#include "setup/channel.hh"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "setup/posix.hh"

namespace sf::setup {

Result<std::pair<Channel, Channel>> Channel::make_pair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) {
    return fail("cannot make a socket pair: {}; raise the limit of open files (ulimit -n)", reason(errno));
  }
  return std::pair(Channel(UniqueFd(fds[0])), Channel(UniqueFd(fds[1])));
}

bool Channel::send(MessageKind kind, const std::string& text, const std::vector<int>& fds) const {
  char first = static_cast<char>(kind);
  std::string body = text.substr(0, kMaxText);
  std::array<iovec, 2> pieces{{{&first, 1}, {body.data(), body.size()}}};
  msghdr header{};
  header.msg_iov = pieces.data();
  header.msg_iovlen = pieces.size();
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxFds * sizeof(int))> control{};
  const std::size_t count = std::min(fds.size(), kMaxFds);
  if (count > 0) {
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    if (rights == nullptr) return false;
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(count * sizeof(int));
    std::memcpy(CMSG_DATA(rights), fds.data(), count * sizeof(int));
  }
  for (;;) {
    const ssize_t put = ::sendmsg(fd_.get(), &header, MSG_NOSIGNAL);
    if (put >= 0) return true;
    if (errno != EINTR) return false;
  }
}

std::optional<Message> Channel::receive() const {
  std::string buffer(1 + kMaxText, '\0');
  iovec piece{buffer.data(), buffer.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxFds * sizeof(int))> control{};
  msghdr header{};
  header.msg_iov = &piece;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t got = -1;
  do {
    got = ::recvmsg(fd_.get(), &header, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) return std::nullopt;

  Message message;
  message.kind = static_cast<MessageKind>(buffer[0]);
  message.text = buffer.substr(1, static_cast<std::size_t>(got) - 1);
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      message.fds.emplace_back(fd);
    }
  }
  return message;
}

std::optional<MessageKind> Channel::peek() const {
  char kind = 0;
  if (::recv(fd_.get(), &kind, 1, MSG_PEEK | MSG_DONTWAIT) != 1) return std::nullopt;
  return static_cast<MessageKind>(kind);
}

void Channel::end_sending() const {
  static_cast<void>(::shutdown(fd_.get(), SHUT_WR));
}

}  // namespace sf::setup
