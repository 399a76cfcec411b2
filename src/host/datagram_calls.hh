// The system calls that move datagrams, so that a test can be a kernel that lacks some of them.
#pragma once

#include <sys/socket.h>

namespace sf::host {

// As the calls of these names: -1 and errno where they fail.
class DatagramCalls {
 public:
  DatagramCalls() = default;
  DatagramCalls(const DatagramCalls&) = delete;
  DatagramCalls& operator=(const DatagramCalls&) = delete;
  virtual ~DatagramCalls() = default;

  virtual ssize_t sendmsg(int fd, const msghdr& message, int flags) { return ::sendmsg(fd, &message, flags); }
  virtual int sendmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
    return ::sendmmsg(fd, messages, count, flags);
  }
  virtual ssize_t recvmsg(int fd, msghdr& message, int flags) { return ::recvmsg(fd, &message, flags); }
  virtual int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags) {
    return ::recvmmsg(fd, messages, count, flags, nullptr);
  }
  virtual int setsockopt(int fd, int level, int name, const void* value, socklen_t size) {
    return ::setsockopt(fd, level, name, value, size);
  }
  virtual int getsockopt(int fd, int level, int name, void* value, socklen_t* size) {
    return ::getsockopt(fd, level, name, value, size);
  }
};

}  // namespace sf::host
